"""Experiments: objects of the workspace's tree, notebooks among them, with tags that the server owns."""

import posixpath
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, absent, invalid, present
from emulators.databricks.fields import PAIR, anything, choice, integer, many, message, text
from emulators.databricks.filters import compile_experiments, in_order
from emulators.databricks.rights import allowed, check_folder
from emulators.databricks.routing import Call, Route
from emulators.databricks.tree import Node, plain

if TYPE_CHECKING:
    from emulators.databricks.models import LoggedModel
    from emulators.databricks.runs import Run
    from emulators.databricks.workspace import Databricks

ARTIFACTS = "dbfs:/databricks/mlflow-tracking"
OWNED = frozenset(
    [
        "mlflow.ownerId",
        "mlflow.ownerEmail",
        "mlflow.experimentType",
        "mlflow.experiment.sourceName",
        "mlflow.experiment.sourceType",
        "mlflow.experiment.sourceId",
    ]
)
"""Tags of experiments that only the server sets."""
SOURCE_TYPE, SOURCE_ID = "mlflow.experiment.sourceType", "mlflow.experiment.sourceId"
LOCATIONS = ("dbfs:/", "s3://", "s3a://", "gs://", "abfss://", "wasbs://")
VIEW = choice("ACTIVE_ONLY", "DELETED_ONLY", "ALL")


@dataclass
class Experiment:
    """One experiment. Times are in milliseconds; `deleted_at` is None while it is active."""

    experiment_id: str
    name: str
    artifact_location: str
    created_at: int
    updated_at: int
    tags: dict[str, str] = field(default_factory=dict)
    deleted_at: int | None = None
    runs: dict[str, "Run"] = field(default_factory=dict)

    @property
    def lifecycle_stage(self) -> str:
        """`active` or `deleted`."""
        return "active" if self.deleted_at is None else "deleted"


class Tracking:
    """All experiments, runs and logged models by id."""

    def __init__(self) -> None:
        self.experiments: dict[str, Experiment] = {}
        self.runs: dict[str, Run] = {}
        self.models: dict[str, LoggedModel] = {}
        self._purged = 0

    def delete(self, experiment: Experiment, now: int) -> None:
        """Marks an experiment as deleted, with its active runs."""
        experiment.deleted_at = experiment.updated_at = now
        for run in experiment.runs.values():
            if run.deleted_at is None:
                run.deleted_at = now

    def purge(self, before: int) -> None:
        """Forgets what was deleted before a time; looks once a minute, as it looks at everything."""
        if before < self._purged + 60_000:
            return
        self._purged = before
        for experiment in list(self.experiments.values()):
            if experiment.deleted_at is not None and experiment.deleted_at < before:
                del self.experiments[experiment.experiment_id]
                for run_id in experiment.runs:
                    del self.runs[run_id]
        gone = [run for run in self.runs.values() if run.deleted_at is not None and run.deleted_at < before]
        for run in gone:
            del self.runs[run.run_id]
            del self.experiments[run.experiment_id].runs[run.run_id]


def need(workspace: "Databricks", experiment_id: str, *, active: bool = False) -> Experiment:
    """The experiment of an id; a notebook that has none yet gets it. Raises Refusal."""
    kept_since = workspace.milliseconds() - int(workspace.limits.retention * 1000)
    workspace.tracking.purge(kept_since)
    experiment = workspace.tracking.experiments.get(experiment_id)
    if experiment is not None and experiment.deleted_at is not None and experiment.deleted_at < kept_since:
        raise absent(f"Node ID {experiment_id} does not exist.")
    if experiment is None:
        experiment = _of_notebook(workspace, experiment_id)
    if active and experiment.deleted_at is not None:
        raise invalid(f"Experiment {experiment_id} must be in active lifecycle_stage.")
    return experiment


def _of_notebook(workspace: "Databricks", experiment_id: str) -> Experiment:
    node = workspace.tree.by_id(experiment_id)
    if node is None:
        raise absent(f"Node ID {experiment_id} does not exist.")
    if node.kind != "NOTEBOOK":
        raise invalid(
            f"Expected id '{experiment_id}' to be an MLflow experiment or Databricks notebook, found '{node.kind}'."
        )
    return record(workspace, node, {"mlflow.experimentType": "NOTEBOOK"})


def record(
    workspace: "Databricks",
    node: Node,
    tags: dict[str, str],
    location: str | None = None,
    experiment_id: str = "",
) -> Experiment:
    """An experiment for a node of the tree, with the tags of the server."""
    now = workspace.milliseconds()
    experiment_id = experiment_id or str(node.object_id)
    owned = {
        "mlflow.ownerId": workspace.owner.user_id,
        "mlflow.ownerEmail": workspace.owner.name,
        "mlflow.experiment.sourceName": node.path,
    }
    place = (location or f"{ARTIFACTS}/{experiment_id}").rstrip("/")
    experiment = Experiment(experiment_id, node.path, place, now, now, owned | tags)
    workspace.tracking.experiments[experiment_id] = experiment
    return experiment


def describe(workspace: "Databricks", experiment: Experiment) -> dict[str, Any]:
    """An experiment as the API tells it."""
    tags = [{"key": key, "value": value} for key, value in experiment.tags.items()]
    if workspace.doubts.duplicate_tags:
        tags += [tag for tag in tags if tag["key"] == "mlflow.ownerId"]
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle_stage,
        "last_update_time": experiment.updated_at,
        "creation_time": experiment.created_at,
        "tags": tags,
    }


def checked_name(workspace: "Databricks", call: Call, name: str) -> str:
    """The path that a name means. Raises Refusal."""
    if not name.startswith("/") or name == "/" or "//" in name:
        raise invalid(
            f"Got an invalid experiment name '{name}'. An experiment name must be an absolute path within the "
            f"Databricks workspace, e.g. '/Users/{workspace.owner.name}/my-experiment'."
        )
    path = plain(name)
    workspace.tree.need_parent(path)
    check_folder(workspace, call.user, path)
    if workspace.tree.get(path) is not None:
        raise present(f"Node named '{posixpath.basename(path)}' already exists")
    return path


def check_tag(workspace: "Databricks", key: str, value: str) -> None:
    """Raises Refusal for a tag that cannot be set."""
    if key in OWNED:
        raise invalid(f"Cannot update tag '{key}'")
    if len(key) > workspace.limits.key or len(value.encode()) > workspace.limits.experiment_tag_bytes:
        raise invalid(f"Tag '{key[:50]}' is too long")


def create(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new experiment at a path whose folder is there."""
    tags = {tag["key"]: tag.get("value", "") for tag in call.fields.get("tags", [])}
    if len(call.fields.get("tags", [])) > workspace.limits.experiment_tags_per_create:
        raise invalid(f"At most {workspace.limits.experiment_tags_per_create} tags may be set on creation")
    if SOURCE_ID in tags:
        return _for_repo_notebook(workspace, tags)
    for key, value in tags.items():
        check_tag(workspace, key, value)
    location = call.fields.get("artifact_location")
    if location and not location.startswith(LOCATIONS):
        raise invalid(f"Got an invalid artifact location: {location}")
    if location and location.startswith(ARTIFACTS):
        raise Refusal("PERMISSION_DENIED", f"{ARTIFACTS} is managed by Databricks")
    path = checked_name(workspace, call, call.fields["name"])
    node = workspace.tree.add(path, "MLFLOW_EXPERIMENT")
    experiment = record(workspace, node, {"mlflow.experimentType": "MLFLOW_EXPERIMENT"} | tags, location)
    return {"experiment_id": experiment.experiment_id}


def _for_repo_notebook(workspace: "Databricks", tags: dict[str, str]) -> dict[str, Any]:
    """The experiment of a notebook in a Git folder, made when it has none yet: MLflow asks this in notebooks."""
    source = tags.pop(SOURCE_ID)
    node = workspace.tree.by_id(source)
    if node is None:
        raise absent(f"Node ID {source} does not exist.")
    if tags.pop(SOURCE_TYPE, "") != "REPO_NOTEBOOK" or node.kind != "NOTEBOOK" or not workspace.tree.in_repo(node.path):
        raise invalid(f"Node ID {source} is no notebook in a Git folder.")
    for key, value in tags.items():
        check_tag(workspace, key, value)
    for experiment in workspace.tracking.experiments.values():
        if experiment.tags.get(SOURCE_ID) == source:
            return {"experiment_id": experiment.experiment_id}
    marks = {SOURCE_TYPE: "REPO_NOTEBOOK", SOURCE_ID: source}
    return {"experiment_id": record(workspace, node, marks | tags, experiment_id=secrets.token_hex(16)).experiment_id}


def get(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One experiment by id."""
    return {"experiment": describe(workspace, need(workspace, call.fields["experiment_id"]))}


def get_by_name(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One experiment by name as it is written: `/Workspace` before it is not understood."""
    name = call.fields["experiment_name"]
    node = workspace.tree.get(name)
    if node is not None and node.kind == "NOTEBOOK":
        need(workspace, str(node.object_id))
    named = [each for each in workspace.tracking.experiments.values() if each.name == name]
    if not named:
        raise absent(f"Could not find experiment with name '{name}'" if node is None else f"Node '{name}' is none")
    return {"experiment": describe(workspace, min(named, key=lambda each: each.deleted_at is not None))}


def _viewed(workspace: "Databricks", call: Call, view: str) -> list[Experiment]:
    workspace.tracking.purge(workspace.milliseconds() - int(workspace.limits.retention * 1000))
    known = workspace.tracking.experiments.values()
    every = [each for each in known if allowed(workspace, call.user, each, "CAN_READ")]
    if view == "ALL":
        return every
    return [each for each in every if (each.deleted_at is None) == (view == "ACTIVE_ONLY")]


def list_experiments(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """All experiments, in pages when `max_results` is given."""
    view = call.fields.get("view_type", "ACTIVE_ONLY")
    found = _viewed(workspace, call, view)
    size = call.fields.get("max_results")
    if size is not None and size <= 0:
        raise invalid(f"max_results must be positive: {size}")
    size = min(size, workspace.limits.experiments_list_page) if size else max(1, len(found))
    page, token = workspace.pages.cut(found, size, ("list", view), call.fields.get("page_token"))
    return _page(workspace, page, token)


def search(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The experiments that a filter means, in order, in pages."""
    fields = call.fields
    size = fields.get("max_results", workspace.limits.experiments_page)
    if not 1 <= size <= workspace.limits.experiments_page:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: must be 1 to 3000")
    view, condition = fields.get("view_type", "ACTIVE_ONLY"), fields.get("filter", "")
    keep = compile_experiments(condition)
    found = [each for each in _viewed(workspace, call, view) if keep(each)]
    order = fields.get("order_by", [])
    found.sort(key=lambda each: int(each.experiment_id, 36), reverse=True)
    found = in_order(
        found,
        order,
        {
            "name": lambda each: each.name,
            "last_update_time": lambda each: each.updated_at,
            "creation_time": lambda each: each.created_at,
            "experiment_id": lambda each: each.experiment_id,
        },
    )
    question = ("experiments", view, condition, tuple(order))
    page, token = workspace.pages.cut(found, size, question, fields.get("page_token"))
    return _page(workspace, page, token)


def _page(workspace: "Databricks", page: Any, token: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"experiments": [describe(workspace, each) for each in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def update(workspace: "Databricks", call: Call) -> None:
    """Renames an experiment: it moves in the tree."""
    experiment = need(workspace, call.fields["experiment_id"], active=True)
    if experiment.tags.get("mlflow.experimentType") != "MLFLOW_EXPERIMENT":
        raise invalid("Cannot rename a notebook experiment; rename its notebook")
    name = call.fields.get("new_name", "")
    node = workspace.tree.get(experiment.name)
    assert node is not None
    path = checked_name(workspace, call, name)
    workspace.tree.move(node, path)
    experiment.name = experiment.tags["mlflow.experiment.sourceName"] = path
    experiment.updated_at = workspace.milliseconds()


def delete(workspace: "Databricks", call: Call) -> None:
    """Moves an experiment to the trash, with its runs; its path is free again."""
    experiment = need(workspace, call.fields["experiment_id"])
    if experiment.deleted_at is not None:
        raise absent(f"Node ID {experiment.experiment_id} does not exist.")
    if experiment.tags.get("mlflow.experimentType") != "MLFLOW_EXPERIMENT":
        raise invalid("Cannot delete a notebook experiment; delete its notebook")
    workspace.tree.remove(experiment.name)
    workspace.tracking.delete(experiment, workspace.milliseconds())


def restore(workspace: "Databricks", call: Call) -> None:
    """Takes an experiment out of the trash, with the runs that went there with it."""
    experiment = need(workspace, call.fields["experiment_id"])
    if experiment.deleted_at is None:
        return
    workspace.tree.need_parent(experiment.name)
    if workspace.tree.get(experiment.name) is not None:
        raise present(f"Node named '{posixpath.basename(experiment.name)}' already exists")
    node = workspace.tree.add(experiment.name, "MLFLOW_EXPERIMENT")
    node.object_id = int(experiment.experiment_id)
    for run in experiment.runs.values():
        if run.deleted_at == experiment.deleted_at:
            run.deleted_at = None
    experiment.deleted_at, experiment.updated_at = None, workspace.milliseconds()


def set_tag(workspace: "Databricks", call: Call) -> None:
    """Sets one tag that the server does not own."""
    experiment = need(workspace, call.fields["experiment_id"], active=True)
    key = call.fields["key"]
    check_tag(workspace, key, call.fields.get("value", ""))
    if key not in experiment.tags and len(experiment.tags) >= workspace.limits.tags_per_experiment:
        raise over_quota("tags", "experiment", workspace.limits.tags_per_experiment)
    experiment.tags[key] = call.fields.get("value", "")
    experiment.updated_at = workspace.milliseconds()


def delete_tag(workspace: "Databricks", call: Call) -> None:
    """Takes one tag away."""
    experiment = need(workspace, call.fields["experiment_id"], active=True)
    key = call.fields["key"]
    if key in OWNED:
        raise invalid(f"Cannot delete tag '{key}'")
    if experiment.tags.pop(key, None) is None:
        raise absent(f"No tag with name: {key} in experiment with id {experiment.experiment_id}")


def over_quota(what: str, where: str, limit: int) -> Refusal:
    """More than a run or an experiment may have."""
    return Refusal(
        "BAD_REQUEST",
        f"The number of {what} in the {where} exceeded maximum allowed number {limit}. "
        "To raise this quota please contact your Databricks account team.",
    )


BASE = "/api/2.0/mlflow/experiments"
ONE = message("experiment_id", experiment_id=text)
CREATE = message("name", name=text, artifact_location=text, tags=many(PAIR), trace_location=anything)
SEARCH = message(filter=text, max_results=integer, order_by=many(text), page_token=text, view_type=VIEW)
LIST = message(max_results=integer, page_token=text, view_type=VIEW)

ROUTES = (
    Route("POST", f"{BASE}/create", create, CREATE),
    Route("GET", f"{BASE}/get", get, ONE),
    Route("GET", f"{BASE}/get-by-name", get_by_name, message("experiment_name", experiment_name=text)),
    Route("GET", f"{BASE}/list", list_experiments, LIST, rate="experiments"),
    Route("POST", f"{BASE}/search", search, SEARCH, rate="experiments"),
    Route("GET", f"{BASE}/search", search, SEARCH, rate="experiments"),
    Route(
        "POST",
        f"{BASE}/update",
        update,
        message("experiment_id new_name", experiment_id=text, new_name=text),
        rate="experiments",
    ),
    Route("POST", f"{BASE}/delete", delete, ONE, rate="experiments"),
    Route("POST", f"{BASE}/restore", restore, ONE, rate="experiments"),
    Route(
        "POST",
        f"{BASE}/set-experiment-tag",
        set_tag,
        message("experiment_id key", experiment_id=text, key=text, value=text),
    ),
    Route(
        "POST",
        f"{BASE}/delete-experiment-tag",
        delete_tag,
        message("experiment_id key", experiment_id=text, key=text),
    ),
)
