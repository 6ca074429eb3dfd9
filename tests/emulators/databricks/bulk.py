"""Deletion and restoration of many runs in one request, which only Databricks has."""

from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import invalid
from emulators.databricks.experiments import need
from emulators.databricks.fields import integer, message, text
from emulators.databricks.routing import Call, Route
from emulators.databricks.runs import Run

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks


def delete_runs(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Deletes active runs that were made at a time or before, the oldest first, `max_runs` of them at most."""
    experiment = need(workspace, call.fields["experiment_id"], active=True)
    limit = _limit(workspace, call)
    until = call.fields["max_timestamp_millis"]

    def made(run: Run) -> int:
        return run.start_time if workspace.doubts.bulk_by_start_time else run.made_at

    meant = [run for run in experiment.runs.values() if run.deleted_at is None and made(run) <= until]
    meant = sorted(meant, key=made)[:limit]
    for run in meant:
        run.deleted_at = workspace.milliseconds()
    return {"runs_deleted": len(meant)}


def restore_runs(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Restores runs that were deleted at a time or later, `max_runs` of them at most."""
    experiment = need(workspace, call.fields["experiment_id"], active=True)
    limit = _limit(workspace, call)
    since = max(call.fields["min_timestamp_millis"], workspace.milliseconds() - int(workspace.limits.retention * 1000))
    meant = [run for run in experiment.runs.values() if run.deleted_at is not None and run.deleted_at >= since]
    for run in meant[:limit]:
        run.deleted_at = None
    return {"runs_restored": len(meant[:limit])}


def _limit(workspace: "Databricks", call: Call) -> int:
    greatest = workspace.limits.bulk_runs
    limit: int = call.fields.get("max_runs", greatest)
    if not 1 <= limit <= greatest:
        raise invalid(f"Invalid value {limit} for parameter 'max_runs' supplied: must be 1 to {greatest}")
    return limit


BASE = "/api/2.0/mlflow/databricks/runs"
DELETE = message(
    "experiment_id max_timestamp_millis", experiment_id=text, max_timestamp_millis=integer, max_runs=integer
)
RESTORE = message(
    "experiment_id min_timestamp_millis", experiment_id=text, min_timestamp_millis=integer, max_runs=integer
)
ROUTES = (
    Route("POST", f"{BASE}/delete-runs", delete_runs, DELETE),
    Route("POST", f"{BASE}/restore-runs", restore_runs, RESTORE),
)
