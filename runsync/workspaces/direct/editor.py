"""Changing runs and experiments in a store. For what it remembers in tags see `workspaces.remembered`.

A store keeps the time of every deletion, so what was deleted before its experiment is known of what runsync deleted and
of what MLflow deleted in a file store. On a database MLflow gives all runs of a deleted experiment a new time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runsync.contract.editor import DeletedBefore
from runsync.errors import RequestRefused, WrongUsage
from runsync.kinds.kind import Kind
from runsync.kinds.traces import TRACES
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import DELETED_AT
from runsync.model.run import Run
from runsync.model.times import now
from runsync.workspaces import remembered
from runsync.workspaces.direct.lifecycle import delete_runs, restore_runs
from runsync.workspaces.direct.store import Change, DirectStore, ExperimentChange, Query
from runsync.workspaces.remembered import MARK


class DirectEditor:
    """See `contract.editor.Editor`."""

    bulk = None
    requests = 0

    def __init__(self, store: DirectStore) -> None:
        self._store = store
        self._experiment_ids: tuple[str, ...] = ()

    def deleted_at(self, run: Run) -> int | None:
        """See `Editor`."""
        return run.deleted_time if run.deleted_time is not None else remembered.time_of(run.tags)

    def is_unfinished(self, run: Run) -> bool:
        """See `Editor`."""
        return run.lifecycle_stage == ACTIVE and DELETED_AT in run.tags

    def is_half_restored(self, experiment: Experiment, runs: Sequence[Run]) -> bool:
        """See `Editor`. Only over REST is an experiment restored before all of its runs are as they were."""
        return remembered.is_half_restored(experiment, runs)

    def rename_run(self, run_id: str, name: str) -> None:
        """See `Editor`."""
        self._require_active(run_id)
        self._store.change_runs([Change(run_id, name=name)])

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`."""
        self._require_active(run_id)
        self._store.change_runs([Change(run_id, tags=tags)])

    def untag_run(self, run_id: str, keys: Sequence[str]) -> None:
        """See `Editor`."""
        self._require_active(run_id)
        self._store.change_runs([Change(run_id, untagged=keys)])

    def delete_run(self, run_id: str, at: int | None) -> None:
        """See `Editor`. The time is in a tag as well: over REST nothing else tells it."""
        run = self._run(run_id)
        if run.lifecycle_stage == ACTIVE:
            tags = {} if at is None else {DELETED_AT: str(at)}
            at = now() if at is None else at
            self._store.change_runs([Change(run_id, lifecycle_stage=DELETED, deleted_time=at, tags=tags)])

    def restore_run(self, run: Run) -> None:
        """See `Editor`."""
        there = self._run(run.run_id)
        if there.lifecycle_stage == DELETED:
            change = Change(run.run_id, lifecycle_stage=ACTIVE, untagged=(DELETED_AT,))
            self._store.change_runs([change])
        elif DELETED_AT in there.tags:
            self._store.change_runs([Change(run.run_id, untagged=(DELETED_AT,))])

    def delete_entities(self, kind: Kind[Any], experiment_id: str, ids: Sequence[str]) -> None:
        """See `Editor`."""
        if kind is not TRACES:
            raise WrongUsage(f"{kind.name} are not deleted here")
        self._store.traces.delete(ids)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See `Editor`."""
        self._experiment(experiment_id)
        if any(e.name == name and e.experiment_id != experiment_id for e in self._store.experiments()):
            raise RequestRefused(f"there is an experiment “{name}” already: take another name")
        self._store.change_experiment(ExperimentChange(experiment_id, name, last_update_time=now()))

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`. As on a server, that is no update of the experiment itself."""
        self._experiment(experiment_id)
        self._store.change_experiment(ExperimentChange(experiment_id, tags=tags))

    def untag_experiment(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See `Editor`."""
        self._store.change_experiment(ExperimentChange(experiment_id, untagged=keys))

    def delete_experiment(self, experiment: Experiment, at: int, deleted_runs: Sequence[str]) -> None:
        """See `Editor`. What an earlier try deleted, before it was stopped, is known by its time in the tag."""
        there = self._experiment(experiment.experiment_id)
        begun = remembered.time_of(there.tags)
        gone_with_it = {run.run_id for run in self._deleted(there) if begun is not None and run.deleted_time == begun}
        before = [run_id for run_id in deleted_runs if run_id not in gone_with_it]
        tags = {**remembered.tags_of(before), DELETED_AT: str(at)}
        stale = [key for key in remembered.keys_in(there.tags) if key not in tags]
        id = there.experiment_id
        self._store.change_experiment(ExperimentChange(id, tags=tags, untagged=stale))
        delete_runs(self._store, id, at)
        self._store.change_experiment(ExperimentChange(id, lifecycle_stage=DELETED, last_update_time=at))

    def restore_experiment(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `Editor`. Runs that stay deleted are left alone; the experiment itself comes last."""
        there = self._experiment(experiment.experiment_id)
        if there.lifecycle_stage == DELETED:
            restore_runs(self._store, there.experiment_id, set(deleted_runs))
            change = ExperimentChange(there.experiment_id, lifecycle_stage=ACTIVE, last_update_time=now())
            self._store.change_experiment(change)

    def put_back(self, run: Run) -> None:
        """See `Editor`. There is something to do only where a restoration over REST was cut short."""
        there = self._run(run.run_id)
        if there.lifecycle_stage == ACTIVE:
            at = remembered.time_of(there.tags) or now()
            change = Change(run.run_id, lifecycle_stage=DELETED, deleted_time=at, untagged=(MARK,))
            self._store.change_runs([change])
        elif MARK in there.tags:
            self._store.change_runs([Change(run.run_id, untagged=(MARK,))])

    def forget_deletion(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `Editor`."""
        keys = list(remembered.keys_in(self._experiment(experiment.experiment_id).tags))
        if keys:
            self._store.change_experiment(ExperimentChange(experiment.experiment_id, untagged=keys))

    def deleted_before(self, experiment: Experiment, runs: Sequence[Run]) -> DeletedBefore:
        """See `Editor`."""
        told = remembered.deleted_runs(experiment, runs)
        if told is not None:
            return DeletedBefore(told, is_all=True)
        at = experiment.last_update_time
        earlier = [r.run_id for r in runs if at is not None and r.deleted_time is not None and r.deleted_time < at]
        if earlier:
            return DeletedBefore(tuple(earlier), is_all=True)
        tagged = tuple(run.run_id for run in runs if remembered.time_of(run.tags) is not None)
        return DeletedBefore(tagged, is_all=not runs)

    def _require_active(self, run_id: str) -> None:
        if self._run(run_id).lifecycle_stage == DELETED:
            raise RequestRefused(f"run {run_id} is deleted, and takes no changes: restore it first")

    def _run(self, run_id: str) -> Run:
        """The run as it is now."""
        self._store.refresh()
        for ids in (self._experiment_ids, None):
            if ids is None:
                ids = self._experiment_ids = tuple(e.experiment_id for e in self._store.experiments())
            for batch in self._store.batches(Query(ids, (run_id,))) if ids else ():
                for run in batch.runs:
                    return run
        raise RequestRefused(f"there is no run {run_id} any more")

    def _experiment(self, experiment_id: str) -> Experiment:
        self._store.refresh()
        for experiment in self._store.experiments():
            if experiment.experiment_id == experiment_id:
                return experiment
        raise RequestRefused(f"there is no experiment {experiment_id} any more")

    def _deleted(self, experiment: Experiment) -> list[Run]:
        found = self._store.batches(Query((experiment.experiment_id,), state="deleted"))
        return [run for batch in found for run in batch.runs]
