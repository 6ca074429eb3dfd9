"""runsync diff"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.differences import field_name
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.text import MOST_LISTED, listed, many, table
from runsync.transfer.options import DiffOptions

if TYPE_CHECKING:
    from runsync.transfer.diff import Change, DiffReport

DIFFERENT = 4
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
MOST_FIELDS = 5


_exit_code = click.option("--exit-code", is_flag=True, help="Exit with 4 if there is any difference.")


@click.command(epilog="Example: runsync diff backup@2026-11-01 backup@latest")
@click.argument("old")
@click.argument("new")
@options.selection
@options.of(DiffOptions, artifacts=options.artifact_root, workers=options.together(_exit_code, options.s3))
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, old: str, new: str, exit_code: bool, as_json: bool, **given: Any) -> int:
    """Show what changed between two snapshots or workspaces.

    OLD and NEW are snapshots (backup@latest, backup@2026-11-01, backup@ID) or workspaces. Runs are matched by the id
    they were created with. Only runs that a search shows to be different are read in full.
    Exit 3 when something could not be read.
    """
    from runsync.transfer.diff import diff

    with shown("diff", as_json) as progress:
        report = diff(
            old,
            new,
            **options.gathered(ctx, given),
            progress=progress,
        )
    if exit_code and report.changes:
        report.exit_code = DIFFERENT
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "DiffReport") -> Iterator[str]:
    yield f"diff: {_place(report.old)} → {_place(report.new)}"
    rows = [("", "added", "changed", "removed")]
    for name, counts in report.counts.items():
        rows.append((name, f"{counts.added:,}", f"{counts.changed:,}", f"{counts.removed:,}"))
    yield from table(rows)
    for change in report.changes[:MOST_LISTED]:
        yield from _change(change)
    if len(report.changes) > MOST_LISTED:
        yield f"… and {len(report.changes) - MOST_LISTED:,} more (--json lists all)"
    yield from (f"Note: {note}" for note in report.notes)
    yield from listed("Not read", (f"{u.side}: {u.kind} {u.id} ({u.place}): {u.reason}" for u in report.unreadable))
    if report.unreadable:
        found = "" if report.changes else "No difference was found in what could be read. "
        yield f"{found}{many(len(report.unreadable), 'item')} could not be compared: see above."
    elif not report.changes:
        yield "No difference was found."


def _place(place: Any) -> str:
    snapshot = place.details.get("snapshot")
    return f"{place.address}@{snapshot}" if snapshot else place.address


def _change(change: "Change") -> Iterator[str]:
    home = f" in {change.experiment}" if change.experiment else ""
    yield f"{SIGNS[change.change]} {change.kind} {change.id} “{change.name}”{home}"
    for field in change.fields[:MOST_FIELDS]:
        yield f"    {field_name(field.field)}: {field.old or '–'} → {field.new or '–'}"
    if len(change.fields) > MOST_FIELDS:
        yield f"    … and {many(len(change.fields) - MOST_FIELDS, 'more field')}"
