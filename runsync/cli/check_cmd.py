"""runsync check"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.text import listed, many, size

if TYPE_CHECKING:
    from runsync.bundle.check import CheckReport


@click.command(epilog="Example: runsync check backup --quick")
@click.argument("bundle")
@click.option("--quick", is_flag=True, help="All but the hashes.")
@options.s3
@options.unattended
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, quick: bool, as_json: bool) -> int:
    """Is a bundle sound?

    Structure, schemas, counts and the hash of every file, of every snapshot. Exit 12 and a list of faults when not.
    """
    from runsync.bundle.check import check

    with shown("check", as_json) as progress:
        report = check(bundle, quick=quick, access=options.access(ctx), progress=progress)
    return finish(report, as_json, _lines(report))


def _lines(report: "CheckReport") -> Iterator[str]:
    how = "hashes left out" if report.quick else f"{size(report.bytes)} hashed"
    counted = f"{many(report.snapshots, 'snapshot')}, {report.files:,} files"
    yield f"{report.bundle}: {counted}, {how}, {report.seconds:.1f} s"
    yield from listed("Faults", (_fault(f.file, f.error, f.snapshots, f.runs) for f in report.faults))
    if report.unused:
        yield f"{len(report.unused):,} files that no snapshot needs (the next export takes up what it can use)"
    yield "Damaged." if report.faults else "Sound."


def _fault(file: str, error: str, snapshots: list[str], runs: list[str]) -> str:
    hit = f"; hits snapshots {', '.join(snapshots[:3])}" if snapshots else ""
    return f"{file}: {error}{hit}" + (f", runs {', '.join(runs[:3])}{' …' if len(runs) > 3 else ''}" if runs else "")
