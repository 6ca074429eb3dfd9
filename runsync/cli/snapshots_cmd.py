"""runsync snapshots"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.tables import table
from runsync.cli.text import doubted, listed, many, selection, size
from runsync.cli.transfer_text import LACKS
from runsync.kinds.left_behind import told, told_unsought, was_sought

if TYPE_CHECKING:
    from runsync.bundle.snapshots import SnapshotsReport


@click.command(epilog="Example: runsync snapshots backup --json | jq -r '.snapshots[].id'")
@click.argument("bundle")
@options.s3
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, as_json: bool) -> int:
    """List the snapshots of a bundle.

    Lists them in the order they were made, oldest first. Name one as BUNDLE@ID, BUNDLE@latest or BUNDLE@2026-11-01
    wherever a command reads a bundle. Exits with 12 if a manifest is broken or missing; the others are still listed.
    """
    from runsync.bundle.snapshots import snapshots

    report = snapshots(bundle, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "SnapshotsReport") -> Iterator[str]:
    rows = [("id", "finished", "source", "selection", "runs", "points", "artifacts", "bytes")]
    rows += [
        (
            one.id,
            f"{one.created_at[:19]}Z",
            one.source,
            selection(one.selection, one.with_artifacts) + (" (incomplete)" if one.failed or one.problems else ""),
            f"{one.runs:,}",
            f"{one.metric_points:,}",
            f"{one.artifacts:,}",
            size(one.artifact_bytes),
        )
        for one in report.snapshots
    ]
    if report.snapshots:
        yield from table(rows, whole={0})
    yield f"{report.bundle}: {many(len(report.snapshots), 'snapshot')}"
    if report.snapshots:
        yield from listed(LACKS, map(told, filter(was_sought, report.snapshots[-1].lacks)))
        yield from told_unsought(report.snapshots[-1].lacks)
    yield from listed("Broken", (f"{one.id}: {one.error}" for one in report.broken))
    yield from listed("Missing", (one.error for one in report.missing_snapshots))
    yield from doubted(report.doubtful_dates)
