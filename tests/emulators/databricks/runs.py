"""Runs: created with an id of the server's, updated, tagged, deleted, restored, with inputs and outputs."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.databricks import experiments
from emulators.databricks.errors import absent, invalid
from emulators.databricks.experiments import Experiment, over_quota
from emulators.databricks.fields import PAIR, choice, integer, many, message, text
from emulators.databricks.points import Point, latest, told
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.users import User
    from emulators.databricks.workspace import Databricks

OWNED = frozenset({"mlflow.rootRunId", "mlflow.log-model.history"})
"""Tags of runs that only the server sets."""
STATUS = choice("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


@dataclass
class Run:
    """One run. Times are in milliseconds; `made_at` is when the server made it, `deleted_at` None while active."""

    run_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    start_time: int
    made_at: int
    status: str = "RUNNING"
    end_time: int | None = None
    deleted_at: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[Point]] = field(default_factory=dict)
    known: set[tuple[str, Point]] = field(default_factory=set)
    points: int = 0
    datasets: list[dict[str, Any]] = field(default_factory=list)
    model_inputs: list[dict[str, Any]] = field(default_factory=list)
    model_outputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lifecycle_stage(self) -> str:
        """`active` or `deleted`."""
        return "active" if self.deleted_at is None else "deleted"


def run_id_of(fields: Mapping[str, Any]) -> str:
    """The run that a request means: `run_id`, or `run_uuid` as before MLflow 1. Raises Refusal."""
    run_id: str = fields.get("run_id") or fields.get("run_uuid") or ""
    if not run_id:
        raise invalid("Missing value for required parameter 'run_id'.")
    if fields.get("run_uuid", run_id) != run_id:
        raise invalid("run_id and run_uuid are not the same")
    return run_id


def need(workspace: "Databricks", run_id: str, *, active: bool = False) -> Run:
    """The run of an id. Raises Refusal."""
    run = workspace.tracking.runs.get(run_id)
    kept_since = workspace.milliseconds() - int(workspace.limits.retention * 1000)
    if run is None or (run.deleted_at is not None and run.deleted_at < kept_since):
        raise absent(f"Run '{run_id}' not found.")
    if active and run.deleted_at is not None:
        raise invalid(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
    return run


def describe(workspace: "Databricks", run: Run, *, whole: bool = True) -> dict[str, Any]:
    """A run as the API tells it; searches leave out its model inputs."""
    info: dict[str, Any] = {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": run.name,
        "experiment_id": run.experiment_id,
        "user_id": "",
        "status": run.status,
        "start_time": run.start_time,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": run.lifecycle_stage,
    }
    if run.end_time is not None:
        info["end_time"] = run.end_time
    data: dict[str, Any] = {}
    if run.history:
        data["metrics"] = [told(key, latest(points)) for key, points in run.history.items()]
    if run.params:
        data["params"] = [{"key": key, "value": value} for key, value in run.params.items()]
    data["tags"] = [{"key": key, "value": value} for key, value in run.tags.items()]
    inputs: dict[str, Any] = {"dataset_inputs": run.datasets} if run.datasets else {}
    if whole and run.model_inputs:
        inputs["model_inputs"] = run.model_inputs
    told_run: dict[str, Any] = {"info": info, "data": data, "inputs": inputs}
    if run.model_outputs:
        told_run["outputs"] = {"model_outputs": run.model_outputs}
    return told_run


def create(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new run."""
    fields = call.fields
    experiment = experiments.need(workspace, fields.get("experiment_id") or "", active=True)
    if len(experiment.runs) >= workspace.limits.runs_per_experiment:
        raise over_quota("runs", "experiment", workspace.limits.runs_per_experiment)
    tags = [(tag["key"], tag.get("value", "")) for tag in fields.get("tags", [])]
    if len({key for key, _ in tags}) < len(tags):
        raise invalid("Duplicate tag keys")
    if len(tags) > workspace.limits.tags_per_run:
        raise over_quota("tags", "run", workspace.limits.tags_per_run)
    run = _new(workspace, experiment, fields, dict(tags), call.user)
    for key, value in tags:
        check_tag(workspace, run, key, value)
    run.tags |= dict(tags)
    _own(workspace, run, call.user)
    experiment.runs[run.run_id] = workspace.tracking.runs[run.run_id] = run
    return {"run": describe(workspace, run)}


def _new(
    workspace: "Databricks", experiment: Experiment, fields: Mapping[str, Any], tags: dict[str, str], user: "User"
) -> Run:
    run_id, now = secrets.token_hex(16), workspace.milliseconds()
    name, tagged = fields.get("run_name") or "", tags.get("mlflow.runName", "")
    if name and tagged and name != tagged:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{name}', mlflow.runName='{tagged}')."
        )
    name = name or tagged or f"silent-owl-{run_id[:3]}"
    uri = f"{experiment.artifact_location}/{run_id}/artifacts"
    return Run(run_id, experiment.experiment_id, name, uri, fields.get("start_time", 0), now)


def _own(workspace: "Databricks", run: Run, user: "User") -> None:
    """The tags that the server adds."""
    run.tags["mlflow.runName"] = run.name
    run.tags["mlflow.user"] = user.name
    parent = workspace.tracking.runs.get(run.tags.get("mlflow.parentRunId", ""))
    if parent is not None:
        run.tags["mlflow.rootRunId"] = parent.tags.get("mlflow.rootRunId", parent.run_id)


def check_tag(workspace: "Databricks", run: Run, key: str, value: str) -> None:
    """Raises Refusal for a tag that cannot be set."""
    if key in OWNED:
        raise invalid(f"Cannot update tag '{key}'")
    check_key(workspace, key)
    if len(value.encode()) > workspace.limits.tag_value_bytes:
        raise invalid(f"Tag value of '{key}' exceeds {workspace.limits.tag_value_bytes} bytes")
    if key not in run.tags and len(run.tags) >= workspace.limits.tags_per_run:
        raise over_quota("tags", "run", workspace.limits.tags_per_run)


def check_key(workspace: "Databricks", key: str) -> None:
    """Raises Refusal for a name that is empty or too long."""
    if not key or len(key) > workspace.limits.key:
        raise invalid(f"Key '{key[:50]}' is empty or longer than {workspace.limits.key} characters")


def put_tag(workspace: "Databricks", run: Run, key: str, value: str) -> None:
    """Sets a tag, with what follows from it. Raises Refusal."""
    check_tag(workspace, run, key, value)
    run.tags[key] = value
    if key == "mlflow.runName":
        run.name = value
    if key == "mlflow.parentRunId" and (parent := workspace.tracking.runs.get(value)):
        run.tags["mlflow.rootRunId"] = parent.tags.get("mlflow.rootRunId", parent.run_id)


def put_param(workspace: "Databricks", run: Run, key: str, value: str) -> None:
    """Sets a param, once. Raises Refusal."""
    check_key(workspace, key)
    if len(value) > workspace.limits.param_value:
        raise invalid(f"Param value of '{key}' exceeds {workspace.limits.param_value} characters")
    if run.params.get(key, value) != value:
        raise invalid(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with "
            f"value='{run.params[key]}' for run ID='{run.run_id}'. Attempted logging new value '{value}'."
        )
    if key not in run.params and len(run.params) >= workspace.limits.params_per_run:
        raise over_quota("params", "run", workspace.limits.params_per_run)
    run.params[key] = value


def get(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One run, deleted or not."""
    return {"run": describe(workspace, need(workspace, run_id_of(call.fields)))}


def update(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Changes status, end time or name."""
    run = need(workspace, run_id_of(call.fields), active=True)
    run.status = call.fields.get("status", run.status)
    run.end_time = call.fields.get("end_time", run.end_time)
    if name := call.fields.get("run_name"):
        put_tag(workspace, run, "mlflow.runName", name)
    return {"run_info": describe(workspace, run)["info"]}


def delete(workspace: "Databricks", call: Call) -> None:
    """Marks a run as deleted; its children stay."""
    run = need(workspace, call.fields["run_id"])
    if run.deleted_at is None:
        run.deleted_at = workspace.milliseconds()


def restore(workspace: "Databricks", call: Call) -> None:
    """Takes a deleted run back, within the days that it is kept."""
    run = need(workspace, call.fields["run_id"])
    experiments.need(workspace, run.experiment_id, active=True)
    run.deleted_at = None


def set_tag(workspace: "Databricks", call: Call) -> None:
    """Sets one tag."""
    run = need(workspace, run_id_of(call.fields), active=True)
    put_tag(workspace, run, call.fields["key"], call.fields.get("value", ""))


def delete_tag(workspace: "Databricks", call: Call) -> None:
    """Takes one tag away."""
    run = need(workspace, call.fields["run_id"], active=True)
    key = call.fields["key"]
    if key in OWNED:
        raise invalid(f"Cannot delete tag '{key}'")
    if run.tags.pop(key, None) is None:
        raise absent(f"No tag with name: {key} in run with id {run.run_id}")


def log_param(workspace: "Databricks", call: Call) -> None:
    """Sets one param."""
    run = need(workspace, run_id_of(call.fields), active=True)
    put_param(workspace, run, call.fields["key"], call.fields.get("value", ""))


def log_inputs(workspace: "Databricks", call: Call) -> None:
    """Adds datasets and models that a run read; one that is there is not added twice."""
    run = need(workspace, call.fields["run_id"], active=True)
    known = {(each["dataset"]["name"], each["dataset"]["digest"]) for each in run.datasets}
    for each in call.fields.get("datasets", []):
        if (each["dataset"]["name"], each["dataset"]["digest"]) not in known:
            run.datasets.append({"tags": [], **each})
    for model in call.fields.get("models", []):
        _need_model(workspace, model["model_id"])
        if model not in run.model_inputs:
            run.model_inputs.append(model)


def log_outputs(workspace: "Databricks", call: Call) -> None:
    """Adds models that a run wrote."""
    run = need(workspace, call.fields["run_id"], active=True)
    for model in call.fields.get("models", []):
        _need_model(workspace, model["model_id"])
        if model not in run.model_outputs:
            run.model_outputs.append({"step": 0, **model})


def _need_model(workspace: "Databricks", model_id: str) -> None:
    if model_id not in workspace.tracking.models:
        raise absent(f"Logged model with ID '{model_id}' not found.")


def log_model(workspace: "Databricks", call: Call) -> None:
    """Notes a model of MLflow 2: this is how `mlflow.log-model.history` comes to be."""
    run = need(workspace, call.fields["run_id"], active=True)
    before = run.tags.get("mlflow.log-model.history", "[]")
    comma = "" if before == "[]" else ", "
    run.tags["mlflow.log-model.history"] = before[:-1] + comma + call.fields.get("model_json", "{}") + "]"


BASE = "/api/2.0/mlflow/runs"
ONE = message("run_id", run_id=text)
DATASET = message("name digest", name=text, digest=text, source_type=text, source=text, schema=text, profile=text)
DATASETS = many(message("dataset", dataset=DATASET, tags=many(PAIR)))
CREATE = message(experiment_id=text, run_name=text, start_time=integer, tags=many(PAIR), user_id=text)
UPDATE = message(run_id=text, run_uuid=text, status=STATUS, end_time=integer, run_name=text)
PARAM = message("key", run_id=text, run_uuid=text, key=text, value=text)
INPUTS = message("run_id", run_id=text, datasets=DATASETS, models=many(message("model_id", model_id=text)))
OUTPUTS = message("run_id", run_id=text, models=many(message("model_id", model_id=text, step=integer)))

ROUTES = (
    Route("POST", f"{BASE}/create", create, CREATE),
    Route("GET", f"{BASE}/get", get, message(run_id=text, run_uuid=text)),
    Route("POST", f"{BASE}/update", update, UPDATE),
    Route("POST", f"{BASE}/delete", delete, ONE),
    Route("POST", f"{BASE}/restore", restore, ONE),
    Route("POST", f"{BASE}/set-tag", set_tag, PARAM),
    Route("POST", f"{BASE}/delete-tag", delete_tag, message("run_id key", run_id=text, key=text)),
    Route("POST", f"{BASE}/log-parameter", log_param, PARAM),
    Route("POST", f"{BASE}/log-inputs", log_inputs, INPUTS),
    Route("POST", f"{BASE}/outputs", log_outputs, OUTPUTS),
    Route("POST", f"{BASE}/log-model", log_model, message("run_id", run_id=text, model_json=text)),
)
