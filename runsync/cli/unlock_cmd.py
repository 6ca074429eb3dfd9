"""runsync unlock"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import consent, options, say
from runsync.cli.finish import finish
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.bundle.unlock import UnlockReport


@click.command(epilog="Example: runsync unlock backup")
@click.argument("bundle")
@click.option("--all", "everything", is_flag=True, help="Also remove locks that another process may still hold.")
@options.dry_run
@consent.yes
@options.s3
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, everything: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove stale locks from a bundle.

    A lock stays if its process may still be running: on another machine, in another container, or from before this
    machine booted. Remove such a lock with --all, or wait: the next command watches it for 5 minutes, then takes it
    over.
    """
    from runsync.bundle.unlock import unlock

    access = options.access(ctx)
    if everything and not dry_run and consent.must_ask(yes, "unlock --all removes locks that are in use"):
        found = unlock(bundle, everything=True, dry_run=True, access=access)
        say.all_err(map(str, found.removed))
        consent.ask(f"{found.bundle}: remove {many(len(found.removed), 'lock')}")
    report = unlock(bundle, everything=everything, dry_run=dry_run, access=access)
    return finish(report, as_json, _lines(report))


def _lines(report: "UnlockReport") -> Iterator[str]:
    yield from (f"{'would be removed' if report.dry_run else 'removed'}: {holder}" for holder in report.removed)
    yield from (f"held: {holder}" for holder in report.held)
    done = "would be removed" if report.dry_run else "removed"
    if report.held:
        yield "If nothing is running there, runsync unlock --all removes the locks that are held."
    yield f"{report.bundle}: {many(len(report.removed), 'lock')} {done}, {len(report.held)} held"
