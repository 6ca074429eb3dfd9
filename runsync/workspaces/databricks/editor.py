"""Changing runs and experiments of a Databricks workspace, with its own deletion and restoration by time."""

from collections.abc import Mapping, Sequence

from runsync.errors import ABSENT, RequestRefused
from runsync.model.named import plain_path
from runsync.model.run import Run
from runsync.workspaces.databricks.client import DatabricksClient
from runsync.workspaces.http.fields import number
from runsync.workspaces.rest.editor import RestEditor
from runsync.workspaces.rest.server import API

MOST = 10_000
"""Runs of one request."""
KEEPS_DAYS = 30
"""Deleted runs (Databricks' documentation)."""
RETENTION = f"Databricks keeps deleted runs for {KEEPS_DAYS} days"
BULK = f"{API}/databricks/runs"


class DatabricksEditor(RestEditor):
    """See `contract.editor.Editor`."""

    def __init__(self, client: DatabricksClient) -> None:
        super().__init__(client)
        self.bulk = DatabricksBulk(client)
        self._tags = client.tags

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`."""
        self._check(tags)
        super().tag_run(run_id, tags)

    def untag_run(self, run_id: str, keys: Sequence[str]) -> None:
        """See `Editor`."""
        self._check(keys)
        super().untag_run(run_id, keys)

    def restore_run(self, run: Run) -> None:
        """See `Editor`."""
        try:
            super().restore_run(run)
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
            raise RequestRefused(f"{error}: {RETENTION}, then they are gone", error.status, error.code) from None

    def _mark(self, deleted_runs: Sequence[str]) -> None:
        """Nothing: no run of a deleted experiment can be restored there, and what was deleted before it stays so."""

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See `Editor`."""
        if not name.startswith("/"):
            raise RequestRefused(f"“{name}” is no name for an experiment in Databricks: write a path, /Users/…/{name}")
        super().rename_experiment(experiment_id, plain_path(name))

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """See `Editor`."""
        for key in tags:
            if self._tags.is_of_experiments(key):
                raise RequestRefused(f"tag “{key}” is set by Databricks itself")
        super().tag_experiment(experiment_id, tags)

    def _check(self, keys: Mapping[str, str] | Sequence[str]) -> None:
        for key in keys:
            if self._tags.is_of_runs(key):
                raise RequestRefused(f"tag “{key}” is set by Databricks itself")


class DatabricksBulk:
    """See `BulkChanges`. One request does 10000 runs at most, and is asked again until there are fewer."""

    keeps_days = KEEPS_DAYS

    def __init__(self, client: DatabricksClient) -> None:
        self._client = client

    def delete_runs(self, experiment_id: str, max_timestamp_millis: int, max_runs: int) -> int:
        """See `BulkChanges`."""
        body = {"experiment_id": experiment_id, "max_timestamp_millis": max_timestamp_millis}
        return self._repeat("delete-runs", body, max_runs, "runs_deleted")

    def restore_runs(self, experiment_id: str, min_timestamp_millis: int, max_runs: int) -> int:
        """See `BulkChanges`; of the runs that are still kept."""
        body = {"experiment_id": experiment_id, "min_timestamp_millis": min_timestamp_millis}
        return self._repeat("restore-runs", body, max_runs, "runs_restored")

    def _repeat(self, verb: str, body: Mapping[str, object], max_runs: int, counted: str) -> int:
        done = 0
        while done < max_runs:
            asked = min(MOST, max_runs - done)
            # Once only: a request whose answer is lost may have changed as many runs already.
            answer = self._client.post(f"{BULK}/{verb}", {**body, "max_runs": asked}, retry=False)
            found = max(0, number(answer, counted))
            done += found
            if found < asked:
                break
        return done
