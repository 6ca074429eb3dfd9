"""runsync check"""

import click

from runsync.cli import options
from runsync.cli.progress import shown
from runsync.cli.text import json_text, listed, many, size


@click.command(epilog="Example: runsync check backup --quick")
@click.argument("bundle")
@click.option("--quick", is_flag=True, help="All but the hashes.")
@options.s3
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, quick: bool, as_json: bool) -> int:
    """Is a bundle sound?

    Structure, schemas, counts and the hash of every file, of every snapshot. Exit 12 and a list of faults when not.
    """
    from runsync.bundle.check import check

    with shown("check", as_json) as progress:
        report = check(bundle, quick=quick, access=options.access(ctx), progress=progress)
    if as_json:
        click.echo(json_text(report.to_document()))
        return report.exit_code
    how = "hashes left out" if quick else f"{size(report.bytes)} hashed"
    click.echo(
        f"{report.bundle}: {many(report.snapshots, 'snapshot')}, {report.files:,} files, {how}, {report.seconds:.1f} s"
    )
    for line in listed("Faults", (_fault(f.file, f.error, f.snapshots, f.runs) for f in report.faults)):
        click.echo(line)
    if report.unused:
        click.echo(f"{len(report.unused):,} files that no snapshot needs (the next export takes up what it can use)")
    click.echo("Damaged." if report.faults else "Sound.")
    return report.exit_code


def _fault(file: str, error: str, snapshots: list[str], runs: list[str]) -> str:
    hit = f"; hits snapshots {', '.join(snapshots[:3])}" if snapshots else ""
    return f"{file}: {error}{hit}" + (f", runs {', '.join(runs[:3])}{' …' if len(runs) > 3 else ''}" if runs else "")
