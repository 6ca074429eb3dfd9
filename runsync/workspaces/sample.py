"""What doctor tells of the newest runs: whether they can be read, and their histories, as an export reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync import threads
from runsync.contract.workspace import Workspace
from runsync.errors import ITEM_ERRORS, AccessDenied, RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.finding import RUNS, Finding, failure, ok, warning
from runsync.model.run import Batch, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.wording import many

NEWEST = 100
HISTORIES = 5
"""Of so many of them the history of one metric is read."""
_NAMED = 3
_LEFT_OUT = "an export takes all others, names these, and ends with exit code 3"
_SEARCH = "look into the server's log: while it cannot search runs, nothing can be exported; artifacts were not tried"


def readable(workspace: Workspace, experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """Of runs in these experiments, which are all there are."""
    unread: list[Unreadable] = []
    try:
        runs = list(workspace.in_order(experiments, Selection(), limit=NEWEST, unread=unread.append))
    except AccessDenied:
        raise
    except RequestRefused as error:
        yield failure(RUNS, f"searching runs fails: {error}", _SEARCH)
        return
    unread += [one for one in workspace.unreadable_experiments() if one not in unread]
    counts = workspace.known_counts(experiments)
    which = _which(len(runs), None if counts is None else sum(counts.values()))
    if unread:
        named = "; ".join(f"{one.kind} {one.id} ({one.place}): {one.reason}" for one in unread[:_NAMED])
        more = "; …" if len(unread) > _NAMED else ""
        yield warning(RUNS, f"of {which}, {len(unread):,} cannot be read: {named}{more}", _LEFT_OUT)
    else:
        yield ok(RUNS, f"{which} could be read" if runs else "there are no runs yet")
    yield from _histories(workspace, [run for run in runs if run.latest_metrics][:HISTORIES])


def _which(count: int, total: int | None) -> str:
    if count < NEWEST or count == total:
        return "all runs" if count != 1 else "the only run"
    return f"the newest {many(count, 'run')}" + (f" of {total:,}" if total is not None else "")


def _histories(workspace: Workspace, runs: Sequence[Run]) -> Iterator[Finding]:
    known = len(workspace.notes)
    batch = Batch(tuple(replace(run, latest_metrics=run.latest_metrics[:1]) for run in runs))
    failed: list[str] = []
    with threads.pool(HISTORIES) as pool, workspace.histories(batch, pool) as histories:
        for run in batch.runs:
            try:
                next(histories.of(run.run_id), None)
            except ITEM_ERRORS as error:
                failed.append(f"run {run.run_id}: {error}")
    if failed:
        told = f"{many(len(failed), 'history')} of {len(runs)} cannot be read: {'; '.join(failed[:_NAMED])}"
        yield warning("histories", told, _LEFT_OUT)
    yield from (warning("histories", note) for note in workspace.notes[known:])
