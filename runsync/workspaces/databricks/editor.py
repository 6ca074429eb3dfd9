"""Changing runs and experiments of a Databricks workspace, with its own deletion and restoration by time."""

from collections.abc import Callable, Mapping

from runsync.errors import RequestRefused
from runsync.model.named import plain_path
from runsync.workspaces.databricks.client import DatabricksClient
from runsync.workspaces.http.fields import number
from runsync.workspaces.rest.editor import RestEditor
from runsync.workspaces.rest.habits import EditorHabits
from runsync.workspaces.rest.server import API

MOST = 10_000
"""Runs of one request."""
KEEPS_DAYS = 30
"""Deleted runs (Databricks' documentation)."""
RETENTION = f"Databricks keeps deleted runs for {KEEPS_DAYS} days"
BULK = f"{API}/databricks/runs"


def editor_of(client: DatabricksClient) -> RestEditor:
    """Changes what lies in the workspace of a client. No run of a deleted experiment can be restored there."""

    def check(is_own: Callable[[str], bool]) -> Callable[[str], None]:
        def checked(key: str) -> None:
            if is_own(key):
                raise RequestRefused(f"tag “{key}” is set by Databricks itself")

        return checked

    tags = client.tags
    habits = EditorHabits(
        check_run_tag=check(tags.is_of_runs),
        check_experiment_tag=check(tags.is_of_experiments),
        experiment_name=_path,
        revives_runs=False,
        retention=RETENTION,
        bulk=DatabricksBulk(client),
    )
    return RestEditor(client, habits)


def _path(name: str) -> str:
    if not name.startswith("/"):
        raise RequestRefused(f"“{name}” is no name for an experiment in Databricks: write a path, /Users/…/{name}")
    return plain_path(name)


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
