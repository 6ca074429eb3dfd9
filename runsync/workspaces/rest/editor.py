"""Changing runs and experiments on an MLflow tracking server; for what it remembers in tags see `remembered`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from runsync.contract.editor import BulkChanges, DeletedBefore
from runsync.errors import ABSENT, RequestRefused, WrongUsage
from runsync.kinds.kind import Kind
from runsync.kinds.traces import TRACES
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import DELETED_AT, DELETED_RUNS
from runsync.model.run import Run
from runsync.workspaces import remembered
from runsync.workspaces.http import Client
from runsync.workspaces.remembered import MARK, RESTORING
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.collisions import is_inactive, is_untagged, post, to_stage
from runsync.workspaces.rest.equal_keys import is_of_equal_keys, post_soon
from runsync.workspaces.rest.habits import EditorHabits
from runsync.workspaces.rest.runs import BATCH_TAGS, LONGEST_TAG
from runsync.workspaces.rest.traces import delete_traces


class RestEditor:
    """See `contract.editor.Editor`."""

    def __init__(self, client: Client, habits: EditorHabits) -> None:
        self._client = client
        self._habits = habits
        self._marked: set[str] = set()

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self._client.requests

    @property
    def bulk(self) -> BulkChanges | None:
        """See `Editor`."""
        return self._habits.bulk

    def deleted_at(self, run: Run) -> int | None:
        """Of runsync's own deletions only.

        A run that was restored and deleted again by others keeps the time of the first deletion: nothing tells.
        """
        return remembered.time_of(run.tags)

    def is_unfinished(self, run: Run) -> bool:
        """See `Editor`."""
        return run.lifecycle_stage == ACTIVE and DELETED_AT in run.tags

    def is_half_restored(self, experiment: Experiment, runs: Sequence[Run]) -> bool:
        """See `Editor`."""
        return remembered.is_half_restored(experiment, runs)

    def rename_run(self, run_id: str, name: str) -> None:
        """See `Editor`."""
        self._post("runs/update", run_id=run_id, run_name=name)

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`."""
        for key, value in tags.items():
            self._habits.check_run_tag(key)
            if len(value) > LONGEST_TAG:
                # Servers would cut it short and answer 200.
                raise RequestRefused(f"tag “{key}” has {len(value)} characters, and a server takes {LONGEST_TAG}")
        entries = wire.entries(tags)
        for start in range(0, len(entries), BATCH_TAGS):
            body = {"run_id": run_id, "tags": entries[start : start + BATCH_TAGS]}
            try:
                post_soon(self._client, "runs/log-batch", body)
            except RequestRefused as error:
                if not is_of_equal_keys(error):
                    raise
                why = "to the server's database some of these tags are the same as others of the run, or of each other"
                raise RequestRefused(f"{why}: {error}", error.status, error.code) from None

    def untag_run(self, run_id: str, keys: Sequence[str]) -> None:
        """See `Editor`."""
        for key in keys:
            self._habits.check_run_tag(key)
        for key in keys:
            self._untag("runs/delete-tag", run_id=run_id, key=key)

    def delete_run(self, run_id: str, at: int | None) -> None:
        """See `Editor`. A deleted run takes no tags, so the time goes before."""
        try:
            if at is not None:
                self._post("runs/set-tag", run_id=run_id, key=DELETED_AT, value=str(at))
        except RequestRefused as error:
            if is_inactive(error):
                return
            raise
        try:
            self._post("runs/delete", run_id=run_id)
        except RequestRefused:
            if at is not None:
                with suppress(RequestRefused):  # it may be deleted all the same
                    self.untag_run(run_id, [DELETED_AT])
            raise

    def restore_run(self, run: Run) -> None:
        """See `Editor`."""
        if run.lifecycle_stage == DELETED:
            try:
                self._post("runs/restore", run_id=run.run_id)
            except RequestRefused as error:
                if error.code != ABSENT or not self._habits.retention:
                    raise
                told = f"{error}: {self._habits.retention}, then they are gone"
                raise RequestRefused(told, error.status, error.code) from None
        if DELETED_AT in run.tags:
            self.untag_run(run.run_id, [DELETED_AT])

    def delete_entities(self, kind: Kind[Any], experiment_id: str, ids: Sequence[str]) -> None:
        """See `Editor`."""
        if kind is not TRACES:
            raise WrongUsage(f"{kind.name} are not deleted here")
        delete_traces(self._client, experiment_id, ids)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See `Editor`."""
        sent = self._habits.experiment_name(name)
        self._post("experiments/update", experiment_id=experiment_id, new_name=sent)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`."""
        for key in tags:
            self._habits.check_experiment_tag(key)
        for key, value in tags.items():
            self._post("experiments/set-experiment-tag", experiment_id=experiment_id, key=key, value=value)

    def untag_experiment(self, experiment_id: str, keys: Sequence[str]) -> None:
        """See `Editor`. MLflow 2 has no such endpoint."""
        for key in keys:
            try:
                self._untag("experiments/delete-experiment-tag", experiment_id=experiment_id, key=key)
            except RequestRefused as error:
                if not _is_unknown_endpoint(error):
                    raise
                raise RequestRefused(
                    "this server cannot take a tag from an experiment (MLflow 3 can): set it to another value, "
                    "with runsync experiments tag",
                    error.status,
                    error.code,
                ) from None

    def delete_experiment(self, experiment: Experiment, at: int, deleted_runs: Sequence[str]) -> None:
        """See `Editor`."""
        told = remembered.tags_of(deleted_runs)
        stale = [key for key in experiment.tags if key.startswith(DELETED_RUNS) and key not in told]
        self.tag_experiment(experiment.experiment_id, {**dict.fromkeys(stale, ""), **told, DELETED_AT: str(at)})
        to_stage(self._client, experiment.experiment_id, DELETED)

    def restore_experiment(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `Editor`. A deleted experiment takes no tags, so they come after."""
        if experiment.lifecycle_stage == DELETED:
            if self._habits.revives_runs:
                self._mark(deleted_runs[:1])
            to_stage(self._client, experiment.experiment_id, ACTIVE)
            if deleted_runs:
                told = remembered.tags_of(deleted_runs)
                stale = [key for key in experiment.tags if key.startswith(DELETED_RUNS) and key not in told]
                changed = {key: value for key, value in told.items() if experiment.tags.get(key) != value}
                tags = {**dict.fromkeys(stale, ""), **changed, DELETED_AT: RESTORING}
                self.tag_experiment(experiment.experiment_id, tags)

    def _mark(self, deleted_runs: Sequence[str]) -> None:
        for run_id in deleted_runs:
            self._post("runs/restore", run_id=run_id)
            self._post("runs/set-tag", run_id=run_id, key=MARK, value="yes")
            self._marked.add(run_id)

    def put_back(self, run: Run) -> None:
        """See `Editor`."""
        if run.run_id in self._marked or MARK in run.tags:
            self.untag_run(run.run_id, [MARK])
        self._post("runs/delete", run_id=run.run_id)

    def forget_deletion(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """See `Editor`. Where tags cannot be taken away they are emptied."""
        keys = set(remembered.keys_in(experiment.tags))
        if deleted_runs:
            keys |= {DELETED_AT, *remembered.tags_of(deleted_runs)}
        for key in sorted(keys, reverse=True):
            try:
                self._untag("experiments/delete-experiment-tag", experiment_id=experiment.experiment_id, key=key)
            except RequestRefused as error:
                if not _is_unknown_endpoint(error):
                    raise
                self.tag_experiment(experiment.experiment_id, {key: ""})

    def deleted_before(self, experiment: Experiment, runs: Sequence[Run]) -> DeletedBefore:
        """See `Editor`. An experiment that others deleted since tells nothing: then only the runs' own tags do."""
        told = remembered.deleted_runs(experiment, runs)
        if told is not None:
            return DeletedBefore(told, is_all=True)
        return DeletedBefore(
            tuple(run.run_id for run in runs if remembered.time_of(run.tags) is not None), is_all=not runs
        )

    def _untag(self, path: str, **body: str) -> None:
        """A tag that is gone already is no fault."""
        try:
            self._post(path, **body)
        except RequestRefused as error:
            if not is_untagged(error):
                raise

    def _post(self, path: str, **body: object) -> None:
        post(self._client, path, body)


def _is_unknown_endpoint(error: RequestRefused) -> bool:
    """Azure ML has a code for every refusal of its own."""
    return error.status in (404, 405) and error.code in ("", "UserError")
