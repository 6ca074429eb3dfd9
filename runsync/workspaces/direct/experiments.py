"""Making and changing experiments of a store: kept as they are given, under their own ids where those are free."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from runsync.errors import TAKEN, RequestRefused
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import DELETED_AT, own_tags_removed
from runsync.model.lineage import is_copy, origin_of_experiment
from runsync.model.times import now
from runsync.workspaces import remembered
from runsync.workspaces.direct.artifact_places import EXPERIMENT, ArtifactPlaces
from runsync.workspaces.direct.editor import DirectEditor
from runsync.workspaces.direct.lifecycle import delete_runs, runs_in
from runsync.workspaces.direct.misfits import EXPERIMENT_NAME, Unfit
from runsync.workspaces.direct.store import DirectStore, ExperimentChange, Query

T = TypeVar("T")


class DirectExperiments:
    """See `arrival.experiments.ExperimentWriter`."""

    keeps_state = True
    deleted_keep_names = True

    def __init__(self, store: DirectStore, places: ArtifactPlaces, editor: DirectEditor) -> None:
        self.renumbered: dict[str, str] = {}
        """New ids by the ids that were taken, or do not fit."""
        self.left_out: dict[str, dict[str, str]] = {}
        self._store = store
        self._places = places
        self._editor = editor

    def foresee(self, experiment: Experiment) -> Mapping[str, str]:
        """See `ExperimentWriter`."""
        left_out: dict[str, str] = {}

        def check(tags: Mapping[str, str]) -> None:
            if misfits := self._store.unfit_experiment(experiment.name, tags):
                raise Unfit(misfits)

        try:
            _fitting(experiment.tags, left_out, check)
        except RequestRefused as error:
            raise _advised(error, experiment) from error
        return left_out

    def create(self, experiment: Experiment) -> str:
        """See `ExperimentWriter`. Another import may have made it just now."""
        wanted = replace(experiment, artifact_location=self._places.new(EXPERIMENT))
        left_out: dict[str, str] = {}
        try:
            new_id = _fitting(
                wanted.tags, left_out, lambda some: self._store.create_experiment(replace(wanted, tags=some))
            )
        except RequestRefused as error:
            twin = self._find(experiment)
            if twin is None:
                raise _advised(error, experiment) from error
            new_id = twin.experiment_id
        self.left_out[new_id] = left_out
        if new_id != experiment.experiment_id:
            self.renumbered[experiment.experiment_id] = new_id
        return new_id

    def restore(self, experiment: Experiment) -> None:
        """See `ExperimentWriter`. Runs that were deleted before it was stay so."""
        self._store.refresh()
        found = next((e for e in self._store.experiments() if e.experiment_id == experiment.experiment_id), None)
        if found is None:
            raise RequestRefused(f"there is no experiment {experiment.experiment_id} any more")
        deleted = self._editor.deleted_before(found, list(runs_in(self._store, found.experiment_id))).run_ids
        self._editor.restore_experiment(found, deleted)
        self._editor.forget_deletion(found, deleted)

    def change(self, experiment: Experiment, tags: Mapping[str, str], untagged: Sequence[str] = ()) -> None:
        """See `ExperimentWriter`."""
        id, left_out = experiment.experiment_id, self.left_out.setdefault(experiment.experiment_id, {})
        change = ExperimentChange(
            id, None, None, experiment.creation_time, experiment.last_update_time, untagged=untagged
        )
        _fitting(tags, left_out, lambda some: self._store.change_experiment(replace(change, tags=some)))

    def rename(self, experiment: Experiment, name: str) -> None:
        """See `ExperimentWriter`."""
        self._store.refresh()
        self._store.change_experiment(ExperimentChange(experiment.experiment_id, name))

    def delete(self, experiment: Experiment, deleted_before: Sequence[str] | None = None) -> None:
        """See `ExperimentWriter`."""
        at = experiment.last_update_time or now()
        self._store.refresh()
        delete_runs(self._store, experiment.experiment_id, at)
        tags = {} if deleted_before is None else {DELETED_AT: str(at)}
        change = ExperimentChange(experiment.experiment_id, lifecycle_stage=DELETED, last_update_time=at, tags=tags)
        self._store.change_experiment(change)

    def deleted_runs(self, experiment_id: str) -> tuple[str, ...]:
        """See `ExperimentWriter`."""
        return tuple(run.run_id for run in runs_in(self._store, experiment_id, "deleted"))

    def remember(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `ExperimentWriter`."""
        tags = {**remembered.tags_of(deleted_runs), DELETED_AT: str(now())}
        stale = [key for key in remembered.keys_in(experiment.tags) if key not in tags]
        self._store.change_experiment(ExperimentChange(experiment.experiment_id, tags=tags, untagged=stale))

    def forget(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `ExperimentWriter`."""
        self._editor.forget_deletion(experiment, deleted_runs)

    def is_deleted(self, experiment_id: str) -> bool:
        """See `ExperimentWriter`."""
        self._store.refresh()
        return any(e.experiment_id == experiment_id and e.lifecycle_stage == DELETED for e in self._store.experiments())

    def has_active_runs(self, experiment_id: str) -> bool:
        """See `ExperimentWriter`."""
        self._store.refresh()
        return any(batch.runs for batch in self._store.batches(Query((experiment_id,), state="active")))

    def _find(self, experiment: Experiment) -> Experiment | None:
        self._store.refresh()
        born = is_copy(experiment), origin_of_experiment(experiment)
        found = (e for e in self._store.experiments() if e.name == experiment.name)
        return next((e for e in found if (is_copy(e), origin_of_experiment(e)) == born), None)


def _fitting(tags: Mapping[str, str], left_out: dict[str, str], act: Callable[[Mapping[str, str]], T]) -> T:
    """Does it with those of the tags that the store has a place for; why the others are left out is noted."""
    while True:
        try:
            return act({key: value for key, value in tags.items() if key not in left_out})
        except Unfit as error:
            unfit = {one.name: one.why for one in error.misfits if one.kind == "tag" and one.name not in left_out}
            if not own_tags_removed(unfit):
                raise
            left_out |= unfit


def _advised(error: RequestRefused, experiment: Experiment) -> RequestRefused:
    """With the way out, where it is the name that is refused."""
    is_of_name = error.code == TAKEN
    if isinstance(error, Unfit):
        is_of_name = any(one.name == EXPERIMENT_NAME for one in error.misfits)
    if not is_of_name:
        return error
    return RequestRefused(
        f"{error}: give it another name with --rename '{experiment.experiment_id}=NEW'", error.status, error.code
    )
