"""runsync unlock"""

import click

from runsync.cli import consent, options
from runsync.cli.text import json_text


@click.command(epilog="Example: runsync unlock backup")
@click.argument("bundle")
@click.option("--all", "everything", is_flag=True, help="Remove also locks that somebody still seems to hold.")
@options.dry_run
@consent.yes
@options.s3
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, everything: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove stale locks from a bundle.

    Those whose process on this machine is gone, or that were not refreshed for 30 minutes. It says whose they were.
    """
    from runsync.bundle.unlock import unlock

    access = options.access(ctx)
    if everything and not dry_run and consent.must_ask(yes, "unlock --all removes locks that are in use"):
        found = unlock(bundle, everything=True, dry_run=True, access=access)
        consent.ask("\n".join([*map(str, found.removed), f"{found.bundle}: remove {len(found.removed)} locks"]))
    report = unlock(bundle, everything=everything, dry_run=dry_run, access=access)
    if as_json:
        click.echo(json_text(report.to_document()))
        return report.exit_code
    for holder in report.removed:
        click.echo(f"{'would be removed' if dry_run else 'removed'}: {holder}")
    for holder in report.held:
        click.echo(f"held: {holder}")
    click.echo(f"{report.bundle}: {len(report.removed)} locks removed, {len(report.held)} held")
    return report.exit_code
