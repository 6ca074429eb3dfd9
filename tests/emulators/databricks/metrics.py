"""Metric points, one or a batch at a time, and their history."""

from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import invalid
from emulators.databricks.experiments import over_quota
from emulators.databricks.fields import PAIR, integer, many, message, number, text
from emulators.databricks.points import Point, amount, told, word
from emulators.databricks.routing import Call, Route
from emulators.databricks.runs import Run, check_key, need, put_param, put_tag, run_id_of

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks


def put_point(workspace: "Databricks", run: Run, metric: dict[str, Any]) -> None:
    """Adds one point. Raises Refusal."""
    key = metric["key"]
    check_key(workspace, key)
    if metric["timestamp"] < 0:
        raise invalid(f"Got a negative timestamp for metric '{key}'")
    extra = {name: metric.get(name, "") for name in ("model_id", "dataset_name", "dataset_digest")}
    point = Point(metric["timestamp"], metric.get("step", 0), word(metric["value"]), **extra)
    if not workspace.doubts.duplicate_points:
        if (key, point) in run.known:
            return
        run.known.add((key, point))
    if run.points >= workspace.limits.points_per_run:
        raise over_quota("metric steps", "run", workspace.limits.points_per_run)
    run.points += 1
    run.history.setdefault(key, []).append(point)
    model = workspace.tracking.models.get(point.model_id)
    if model is not None:
        model.metrics.append(told(key, point) | {"run_id": run.run_id})


def log_metric(workspace: "Databricks", call: Call) -> None:
    """Adds one point."""
    run = need(workspace, run_id_of(call.fields), active=True)
    put_point(workspace, run, dict(call.fields))


def log_batch(workspace: "Databricks", call: Call) -> None:
    """Adds many points, params and tags; what came before a refused one stays written."""
    metrics, params, tags = (call.fields.get(name, []) for name in ("metrics", "params", "tags"))
    _check_sizes(workspace, call, len(metrics), len(params), len(tags))
    run = need(workspace, call.fields["run_id"], active=True)
    for param in params:
        put_param(workspace, run, param["key"], param.get("value", ""))
    for metric in metrics:
        put_point(workspace, run, metric)
    for tag in tags:
        put_tag(workspace, run, tag["key"], tag.get("value", ""))


def _check_sizes(workspace: "Databricks", call: Call, metrics: int, params: int, tags: int) -> None:
    limits = workspace.limits
    if len(call.request.body) > limits.batch_bytes:
        raise invalid(f"Batched logging API requests must be at most {limits.batch_bytes} bytes in size.")
    for name, count, limit in (
        ("metrics", metrics, limits.batch_metrics),
        ("params", params, limits.batch_params),
        ("tags", tags, limits.batch_tags),
        ("metrics, params, and tags", metrics + params + tags, limits.batch_items),
    ):
        if count > limit:
            raise invalid(f"A batch logging request can contain at most {limit} {name}. Got {count} {name}.")


def log_half(workspace: "Databricks", call: Call) -> None:
    """Writes the first half of a batch's points and params, as a failing server may."""
    run = need(workspace, call.fields["run_id"], active=True)
    metrics, params = call.fields.get("metrics", []), call.fields.get("params", [])
    for param in params[: len(params) // 2]:
        put_param(workspace, run, param["key"], param.get("value", ""))
    for metric in metrics[: len(metrics) // 2]:
        put_point(workspace, run, metric)


def get_history(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """All points of one metric of a run, in pages, by time."""
    run = need(workspace, run_id_of(call.fields))
    key = call.fields["metric_key"]
    size = call.fields.get("max_results", workspace.limits.history_page)
    if not 1 <= size <= workspace.limits.history_page:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: must be 1 to 25000")
    points = sorted(run.history.get(key, []), key=lambda point: (point.timestamp, point.step, amount(point.value)))
    page, token = workspace.pages.cut(points, size, (run.run_id, key), call.fields.get("page_token"))
    answer: dict[str, Any] = {"metrics": [told(key, point) for point in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


FIELDS = {
    "key": text,
    "value": number,
    "timestamp": integer,
    "step": integer,
    "model_id": text,
    "dataset_name": text,
    "dataset_digest": text,
}
METRIC = message("key value timestamp", **FIELDS, run_id=text)
ONE_METRIC = message("key value timestamp", **FIELDS, run_id=text, run_uuid=text)
BATCH = message("run_id", run_id=text, metrics=many(METRIC), params=many(PAIR), tags=many(PAIR))
HISTORY = message("metric_key", run_id=text, run_uuid=text, metric_key=text, max_results=integer, page_token=text)

ROUTES = (
    Route("POST", "/api/2.0/mlflow/runs/log-metric", log_metric, ONE_METRIC),
    Route("POST", "/api/2.0/mlflow/runs/log-batch", log_batch, BATCH, rate="log-batch"),
    Route("GET", "/api/2.0/mlflow/metrics/get-history", get_history, HISTORY),
)
