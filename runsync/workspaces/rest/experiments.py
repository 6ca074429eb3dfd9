"""Making and changing experiments of a target server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from runsync.errors import ABSENT, TAKEN, RequestRefused
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import DELETED_AT, own_tags_removed
from runsync.model.lineage import is_copy, origin_of_experiment
from runsync.model.times import now
from runsync.workspaces import remembered
from runsync.workspaces.http.fields import identifier, part
from runsync.workspaces.rest import fits, wire
from runsync.workspaces.rest.collisions import is_inactive, post, stage_of, to_stage
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.equal_keys import Spellings, is_of_equal_keys, same_as
from runsync.workspaces.rest.server import API
from runsync.workspaces.rest.workspace import RestWorkspace


class RestExperiments:
    """See `arrival.experiments.ExperimentWriter`. Servers give ids and times themselves."""

    keeps_state = False

    def __init__(self, workspace: RestWorkspace) -> None:
        self.deleted_keep_names = workspace.habits.deleted_keep_names
        self.left_out: dict[str, dict[str, str]] = {}
        self._is_mlflow = workspace.habits.is_mlflow
        self._client = workspace.client
        self._search = workspace.search
        self._editor = workspace.editor()

    def foresee(self, experiment: Experiment) -> Mapping[str, str]:
        """See `ExperimentWriter`."""
        if not self._is_mlflow:
            return {}
        if why := fits.fault_of_name(experiment.name):
            raise RequestRefused(f"{why}{_advice(experiment)}")
        tags = own_tags_removed(experiment.tags)
        return {key: why for key, value in tags.items() if (why := fits.fault_of_tag(key, value))}

    def create(self, experiment: Experiment) -> str:
        """See `ExperimentWriter`. A server that does not take it gets it with our own tags first: then its name is at
        fault, or one of the others."""
        try:
            return self._create(experiment)
        except RequestRefused as error:
            others = own_tags_removed(experiment.tags)
            if not _is_of_content(error) and not is_of_equal_keys(error):
                raise
            own = {key: value for key, value in experiment.tags.items() if key not in others}
            try:
                made = self._create(replace(experiment, tags=own))
            except RequestRefused as again:
                raise RequestRefused(f"{again}{_advice(experiment)}", again.status, again.code) from again
        self.change(replace(experiment, experiment_id=made), others)
        return made

    def _create(self, experiment: Experiment) -> str:
        body = {"name": experiment.name, "tags": wire.entries(experiment.tags)}
        return create_once(
            self._client,
            lambda: identifier(self._client.post(f"{API}/experiments/create", body, retry=False), "experiment_id"),
            lambda: self._found(experiment),
        )

    def restore(self, experiment: Experiment) -> None:
        """See `ExperimentWriter`."""
        to_stage(self._client, experiment.experiment_id, ACTIVE)

    def change(self, experiment: Experiment, tags: Mapping[str, str], untagged: Sequence[str] = ()) -> None:
        """See `ExperimentWriter`."""
        spellings = Spellings(experiment.tags.keys() - tags.keys())
        for key, value in tags.items():
            if other := spellings.other(key):
                self._set_beside(experiment.experiment_id, key, value, other, tags.get(other, experiment.tags[other]))
            else:
                self._set(experiment.experiment_id, key, value)

    def _set(self, experiment_id: str, key: str, value: str) -> None:
        body = {"experiment_id": experiment_id, "key": key, "value": value}
        try:
            post(self._client, "experiments/set-experiment-tag", body)
        except RequestRefused as error:
            if not _is_of_content(error) or not own_tags_removed({key: value}):
                raise
            self.left_out.setdefault(experiment_id, {})[key] = str(error)

    def _set_beside(self, experiment_id: str, key: str, value: str, other: str, others: str) -> None:
        """Sets a tag that may be one with another to the server's database, which then has lost its own value."""
        self._set(experiment_id, key, value)
        answer = self._client.get(f"{API}/experiments/get", experiment_id=experiment_id)
        there = wire.experiment(part(answer, "experiment")).tags
        if key not in there or there.get(other) != others:
            self._set(experiment_id, other, others)
            self.left_out.setdefault(experiment_id, {}).setdefault(key, same_as(other))

    def rename(self, experiment: Experiment, name: str) -> None:
        """See `ExperimentWriter`. A server renames active ones only."""
        if experiment.lifecycle_stage == DELETED:
            self.restore(experiment)
        self._editor.rename_experiment(experiment.experiment_id, name)
        if experiment.lifecycle_stage == DELETED:
            self.delete(experiment)

    def delete(self, experiment: Experiment, deleted_before: Sequence[str] | None = None) -> None:
        """See `ExperimentWriter`."""
        if deleted_before is not None:
            self._editor.tag_experiment(experiment.experiment_id, {DELETED_AT: str(now())})
        to_stage(self._client, experiment.experiment_id, DELETED)

    def deleted_runs(self, experiment_id: str) -> tuple[str, ...]:
        """See `ExperimentWriter`."""
        return tuple(run.run_id for run in self._search.every([experiment_id], "", "deleted"))

    def remember(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `ExperimentWriter`."""
        told = remembered.tags_of(deleted_runs)
        stale = [key for key in remembered.keys_in(experiment.tags) if key not in told]
        self._editor.tag_experiment(
            experiment.experiment_id, {**dict.fromkeys(stale, ""), **told, DELETED_AT: str(now())}
        )

    def forget(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `ExperimentWriter`."""
        self._editor.forget_deletion(experiment, deleted_runs)

    def is_deleted(self, experiment_id: str) -> bool:
        """See `ExperimentWriter`."""
        return stage_of(self._client, experiment_id) == DELETED

    def has_active_runs(self, experiment_id: str) -> bool:
        """See `ExperimentWriter`."""
        body = {"experiment_ids": [experiment_id], "run_view_type": "ACTIVE_ONLY", "max_results": 1}
        return bool(self._client.post(f"{API}/runs/search", body).get("runs"))

    def _found(self, experiment: Experiment) -> str | None:
        """What is there by that name, with all tags.

        Where the answer was lost, others made it first, or it is the experiment of a notebook of Databricks, which
        nobody makes, tags may be missing; one that is not ours, or another's copy, stays so.
        """
        try:
            answer = self._client.get(f"{API}/experiments/get-by-name", experiment_name=experiment.name)
        except RequestRefused:
            return None
        there = wire.experiment(part(answer, "experiment"))
        is_same = is_copy(there) and origin_of_experiment(there) == origin_of_experiment(experiment)
        wanted = experiment.tags if is_same else own_tags_removed(experiment.tags)
        self.change(there, {key: value for key, value in wanted.items() if there.tags.get(key) != value})
        return there.experiment_id


def _advice(experiment: Experiment) -> str:
    return f"; for another name say --rename '{experiment.experiment_id}=NEW'"


def _is_of_content(error: RequestRefused) -> bool:
    """Whether it may be what was sent that is refused: by the server, or by its database."""
    return error.status in (400, 413, 500) and not is_inactive(error) and error.code not in (ABSENT, TAKEN)
