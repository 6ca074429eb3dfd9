"""runsync inspect"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.pieces import missing_pieces
from runsync.cli.text import listed, many, selection, size, table
from runsync.kinds import BY_NAME
from runsync.kinds.left_behind import told, told_unsought, was_sought

if TYPE_CHECKING:
    from runsync.bundle.inspect import InspectReport


@click.command(epilog="Example: runsync inspect backup --json | jq .snapshot.counts")
@click.argument("bundle")
@options.s3
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, as_json: bool) -> int:
    """Show what is in a bundle.

    Describes the newest snapshot (or another: backup@2026-11-01): its source, when it was made, what was selected,
    counts, sizes, and what was left behind.
    """
    from runsync.bundle.inspect import inspect

    report = inspect(bundle, options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "InspectReport") -> Iterator[str]:
    snapshot, counts = report.snapshot, report.snapshot.counts
    source = snapshot.source
    yield f"{report.bundle}: bundle format {report.format_version}, {many(report.files, 'file')}, {size(report.bytes)}"
    which = "the newest" if snapshot.id == report.snapshots[-1] else "this one"
    yield f"Snapshots: {len(report.snapshots)}; {which} is {snapshot.id}, finished {snapshot.created_at}"
    yield f"Source: {source.address} ({source.kind} {source.version})".replace(" )", ")")
    yield f"Selection: {selection(snapshot.selection, snapshot.with_artifacts)}"
    yield (
        f"{many(counts.experiments, 'experiment')} ({counts.experiments_deleted:,} deleted), "
        f"{many(counts.runs, 'run')} ({counts.runs_deleted:,} deleted)"
    )
    yield (
        f"{many(counts.params, 'param')}, {many(counts.tags, 'tag')}, {many(counts.metric_points, 'metric point')}, "
        f"{many(counts.dataset_inputs, 'dataset input')}, "
        f"{many(counts.artifacts, 'artifact')} ({size(counts.artifact_bytes)})"
    )
    for objects in report.objects:
        kind = BY_NAME[objects.kind].noun if objects.count == 1 else objects.kind.replace("-", " ")
        yield f"{objects.count:,} {kind}" + (f" ({size(objects.bytes)})" if objects.bytes else "")
    rows = [("experiment", "state", "runs", "points", "artifacts", "bytes")]
    rows += [
        (
            e.name,
            e.lifecycle_stage,
            f"{e.runs:,}",
            f"{e.metric_points:,}",
            f"{e.artifacts:,}",
            size(e.artifact_bytes),
        )
        for e in report.experiments
    ]
    yield from table(rows)
    yield from listed("Failed", (f"{f['kind']} {f['id']} “{f['name']}”: {f['error']}" for f in snapshot.failed))
    yield from missing_pieces(snapshot.problems)
    yield from listed("Not carried", map(told, filter(was_sought, snapshot.not_carried)))
    yield from told_unsought(snapshot.not_carried)
