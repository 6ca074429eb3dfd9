"""Logged models of MLflow 3."""

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.databricks import experiments, runs
from emulators.databricks.errors import absent, invalid
from emulators.databricks.experiments import ARTIFACTS
from emulators.databricks.fields import PAIR, choice, flag, integer, many, message, text
from emulators.databricks.filters import compile_models, in_order
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

FINAL = choice("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")
BY_NUMBER = {2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}


def final(value: Any, where: str) -> str:
    """A status by its name or, as proto3 JSON has it too, by its number."""
    return str(FINAL(BY_NUMBER.get(value, value) if isinstance(value, int) else value, where))


@dataclass
class LoggedModel:
    """One logged model. Times are in milliseconds."""

    model_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    made_at: int
    updated_at: int
    creator_id: int
    model_type: str = ""
    source_run_id: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)


def need(workspace: "Databricks", model_id: str) -> LoggedModel:
    """The logged model of an id. Raises Refusal."""
    model = workspace.tracking.models.get(model_id)
    if model is None:
        raise absent(f"Logged model with ID '{model_id}' not found.")
    return model


def describe(model: LoggedModel) -> dict[str, Any]:
    """A logged model as the API tells it."""
    info: dict[str, Any] = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.made_at,
        "last_updated_timestamp_ms": model.updated_at,
        "artifact_uri": model.artifact_uri,
        "status": model.status,
        "creator_id": model.creator_id,
        "tags": [{"key": key, "value": value} for key, value in model.tags.items()],
    }
    if model.model_type:
        info["model_type"] = model.model_type
    if model.source_run_id:
        info["source_run_id"] = model.source_run_id
    params = [{"key": key, "value": value} for key, value in model.params.items()]
    return {"info": info, "data": {"params": params, "metrics": model.metrics}}


def create(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new logged model."""
    fields = call.fields
    experiment = experiments.need(workspace, fields["experiment_id"], active=True)
    if run_id := fields.get("source_run_id"):
        runs.need(workspace, run_id)
    model_id, now = "m-" + secrets.token_hex(16), workspace.milliseconds()
    place = experiment.artifact_location
    root = f"{place}/logged_models" if place.startswith(ARTIFACTS) else f"{place}/models"
    model = LoggedModel(
        model_id,
        experiment.experiment_id,
        fields.get("name") or f"agile-hare-{model_id[-3:]}",
        f"{root}/{model_id}/artifacts",
        now,
        now,
        int(call.user.user_id),
        fields.get("model_type", ""),
        fields.get("source_run_id", ""),
        params={each["key"]: each.get("value", "") for each in fields.get("params", [])},
        tags={each["key"]: each.get("value", "") for each in fields.get("tags", [])},
    )
    workspace.tracking.models[model_id] = model
    return {"model": describe(model)}


def get(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One logged model."""
    return {"model": describe(need(workspace, call.fields["model_id"]))}


def finalize(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Says that a model's files are all there, or will never be."""
    model = need(workspace, call.fields["model_id"])
    model.status, model.updated_at = call.fields["status"], workspace.milliseconds()
    return {"model": describe(model)}


def delete(workspace: "Databricks", call: Call) -> None:
    """Forgets a logged model."""
    del workspace.tracking.models[need(workspace, call.fields["model_id"]).model_id]


def log_params(workspace: "Databricks", call: Call) -> None:
    """Adds params, each once."""
    model = need(workspace, call.fields["model_id"])
    for each in call.fields.get("params", []):
        if model.params.get(each["key"], each.get("value", "")) != each.get("value", ""):
            raise invalid(f"Changing param values is not allowed: {each['key']}")
        model.params[each["key"]] = each.get("value", "")


def set_tags(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Sets tags."""
    model = need(workspace, call.fields["model_id"])
    model.tags |= {each["key"]: each.get("value", "") for each in call.fields.get("tags", [])}
    return {"model": describe(model)}


def delete_tag(workspace: "Databricks", call: Call) -> None:
    """Takes one tag away."""
    model = need(workspace, call.fields["model_id"])
    if model.tags.pop(call.fields["tag_key"], None) is None:
        raise absent(f"No tag with key {call.fields['tag_key']}")


def search(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The logged models of some experiments that a filter means, in pages of 50 at most."""
    fields = call.fields
    size = fields.get("max_results", workspace.limits.models_page)
    if not 1 <= size <= workspace.limits.models_page:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: must be 1 to 50")
    ids = fields.get("experiment_ids", [])
    if len(ids) > workspace.limits.search_experiments:
        raise invalid("Too many experiment_ids")
    keep = compile_models(fields.get("filter", ""))
    found = [model for model in workspace.tracking.models.values() if model.experiment_id in ids and keep(model)]
    found.sort(key=lambda model: -model.made_at)
    order = [
        f"{each['field_name']} {'ASC' if each.get('ascending', True) else 'DESC'}"
        for each in fields.get("order_by", [])
    ]
    found = in_order(found, order, ATTRIBUTES, KEYED)
    question = ("models", tuple(ids), fields.get("filter", ""), tuple(order))
    page, token = workspace.pages.cut(found, size, question, fields.get("page_token"))
    answer: dict[str, Any] = {"models": [describe(each) for each in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


ATTRIBUTES: dict[str, Any] = {
    "name": lambda model: model.name,
    "model_id": lambda model: model.model_id,
    "creation_timestamp": lambda model: model.made_at,
    "creation_time": lambda model: model.made_at,
    "last_updated_timestamp": lambda model: model.updated_at,
}
KEYED: dict[str, Any] = {
    "metrics": lambda model, key: max((each["value"] for each in model.metrics if each["key"] == key), default=None),
    "params": lambda model, key: model.params.get(key),
}

BASE = "/api/2.0/mlflow/logged-models"
ONE = f"{BASE}/{{model_id}}"
CREATE = message(
    "experiment_id",
    experiment_id=text,
    name=text,
    model_type=text,
    source_run_id=text,
    params=many(PAIR),
    tags=many(PAIR),
)
ORDER = message("field_name", field_name=text, ascending=flag, dataset_name=text, dataset_digest=text)
SEARCH = message(
    experiment_ids=many(text),
    filter=text,
    datasets=many(message("dataset_name", dataset_name=text, dataset_digest=text)),
    max_results=integer,
    order_by=many(ORDER),
    page_token=text,
)
ROUTES = (
    Route("POST", BASE, create, CREATE),
    Route("POST", f"{BASE}/search", search, SEARCH, rate="models-search"),
    Route("GET", ONE, get, message(model_id=text)),
    Route("PATCH", ONE, finalize, message("status", model_id=text, status=final)),
    Route("DELETE", ONE, delete, message(model_id=text)),
    Route("POST", f"{ONE}/params", log_params, message(model_id=text, params=many(PAIR))),
    Route("PATCH", f"{ONE}/tags", set_tags, message(model_id=text, tags=many(PAIR))),
    Route("DELETE", f"{ONE}/tags/{{tag_key}}", delete_tag, message(model_id=text, tag_key=text)),
)
