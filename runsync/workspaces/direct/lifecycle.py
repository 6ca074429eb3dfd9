"""Deleting and restoring many runs of one experiment in a store."""

from collections.abc import Collection, Iterator

from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.identity import DELETED_AT
from runsync.model.run import Run
from runsync.workspaces.direct.store import Change, DirectStore, Query

RUNS_A_WRITE = 1000


def runs_in(store: DirectStore, experiment_id: str, state: str = "all") -> Iterator[Run]:
    """The runs of an experiment."""
    return (run for batch in store.batches(Query((experiment_id,), state=state)) for run in batch.runs)


def delete_runs(store: DirectStore, experiment_id: str, at: int) -> None:
    """Marks the active runs of an experiment as deleted at a time (epoch milliseconds)."""
    found = [run.run_id for run in runs_in(store, experiment_id, "active")]
    _change(store, [Change(run_id, lifecycle_stage=DELETED, deleted_time=at) for run_id in found])


def restore_runs(store: DirectStore, experiment_id: str, but: Collection[str]) -> None:
    """Makes the deleted runs of an experiment active, but not these."""
    deleted = runs_in(store, experiment_id, "deleted")
    found = [run.run_id for run in deleted if run.run_id not in but]
    _change(store, [Change(run_id, lifecycle_stage=ACTIVE, untagged=(DELETED_AT,)) for run_id in found])


def _change(store: DirectStore, changes: list[Change]) -> None:
    for start in range(0, len(changes), RUNS_A_WRITE):
        store.change_runs(changes[start : start + RUNS_A_WRITE])
