"""Deleting and restoring many runs of one experiment in a store."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.identity import DELETED_AT
from runsync.model.run import Run
from runsync.workspaces.direct.store import DirectStore, Query

RUNS_A_WRITE = 1000


def runs_in(store: DirectStore, experiment_id: str, state: str = "all") -> Iterator[Run]:
    """The runs of an experiment."""
    return (run for batch in store.batches(Query((experiment_id,), state=state)) for run in batch.runs)


def delete_runs(store: DirectStore, experiment_id: str, at: int) -> None:
    """Marks the active runs of an experiment as deleted at a time (epoch milliseconds)."""
    found = [_bare(run) for run in runs_in(store, experiment_id, "active")]
    _write(store, [replace(run, lifecycle_stage=DELETED, deleted_time=at) for run in found])


def restore_runs(store: DirectStore, experiment_id: str, but: Collection[str]) -> None:
    """Makes the deleted runs of an experiment active, but not these."""
    deleted = runs_in(store, experiment_id, "deleted")
    found = [(_bare(run), DELETED_AT in run.tags) for run in deleted if run.run_id not in but]
    _write(store, [replace(run, lifecycle_stage=ACTIVE, deleted_time=None) for run, _ in found])
    stale = {run.run_id: (DELETED_AT,) for run, is_tagged in found if is_tagged}
    if stale:
        store.untag_runs(stale)


def _bare(run: Run) -> Run:
    """Without what is left alone: many of them fit into memory."""
    return replace(run, params={}, tags={}, latest_metrics=(), dataset_inputs=(), model_inputs=(), model_outputs=())


def _write(store: DirectStore, runs: list[Run]) -> None:
    for start in range(0, len(runs), RUNS_A_WRITE):
        store.update_runs(runs[start : start + RUNS_A_WRITE])
