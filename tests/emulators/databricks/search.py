"""The search over runs."""

from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, invalid
from emulators.databricks.experiments import VIEW, need
from emulators.databricks.fields import integer, many, message, text
from emulators.databricks.filters import RUN_ATTRIBUTES, compile_runs, in_order, run_attribute, run_metric
from emulators.databricks.rights import allowed
from emulators.databricks.routing import Call, Route
from emulators.databricks.runs import Run, describe

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks


def search(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The runs of some experiments that a filter means, in order, in pages."""
    fields, limits = call.fields, workspace.limits
    ids = fields.get("experiment_ids", [])
    if not ids:
        raise invalid("experiment_ids must not be empty")
    if len(ids) > limits.search_experiments:
        raise invalid(f"At most {limits.search_experiments} experiment_ids may be given, not {len(ids)}")
    size = fields.get("max_results", limits.runs_page_default)
    if not 1 <= size <= limits.runs_page:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: must be 1 to {limits.runs_page}")
    view, condition = fields.get("run_view_type", "ACTIVE_ONLY"), fields.get("filter", "")
    order = fields.get("order_by", [])
    keep = compile_runs(condition)
    found = [run for run in _runs(workspace, call, ids, view) if keep(run)]
    found.sort(key=lambda run: (-run.start_time, run.run_id))
    found = in_order(found, order, ATTRIBUTES, KEYED)
    question = ("runs", tuple(ids), view, condition, tuple(order))
    page, token = workspace.pages.cut(found, size, question, fields.get("page_token"))
    answer: dict[str, Any] = {"runs": [describe(workspace, run, whole=False) for run in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def _runs(workspace: "Databricks", call: Call, ids: list[str], view: str) -> list[Run]:
    found: list[Run] = []
    kept_since = workspace.milliseconds() - int(workspace.limits.retention * 1000)
    for each in dict.fromkeys(ids):
        try:
            experiment = need(workspace, each)
        except Refusal as refusal:
            if refusal.code == "RESOURCE_DOES_NOT_EXIST":
                continue
            raise
        if not allowed(workspace, call.user, experiment, "CAN_READ"):
            raise Refusal("PERMISSION_DENIED", f"User {call.user.name} does not have CAN_READ permission on {each}.")
        found += [run for run in experiment.runs.values() if run.deleted_at is None or run.deleted_at >= kept_since]
    if view == "ALL":
        return found
    return [run for run in found if (run.deleted_at is None) == (view == "ACTIVE_ONLY")]


def _attribute(key: str) -> Any:
    return lambda run: run_attribute(run, key)


ATTRIBUTES = {key: _attribute(key) for key in RUN_ATTRIBUTES}
KEYED: dict[str, Any] = {
    "metrics": run_metric,
    "params": lambda run, key: run.params.get(key),
    "tags": lambda run, key: run.tags.get(key),
}

SEARCH = message(
    experiment_ids=many(text),
    filter=text,
    run_view_type=VIEW,
    max_results=integer,
    order_by=many(text),
    page_token=text,
)
ROUTES = (Route("POST", "/api/2.0/mlflow/runs/search", search, SEARCH, rate="runs-search"),)
