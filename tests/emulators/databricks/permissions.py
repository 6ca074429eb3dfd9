"""Access control lists of experiments, notebooks, folders, models and clusters, with what they inherit."""

import posixpath
from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, absent, invalid
from emulators.databricks.fields import many, message, text
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.experiments import Experiment
    from emulators.databricks.users import User
    from emulators.databricks.workspace import Databricks

Entry = tuple[str, str]
"""A principal: what it is (`user_name`, `group_name`, `service_principal_name`) and its name."""
Lists = dict[Entry, str]

TYPES = {
    "experiments": "mlflowExperiment",
    "notebooks": "notebook",
    "directories": "directory",
    "clusters": "cluster",
    "registered-models": "registered-model",
}
LEVELS = {
    "experiments": {
        "CAN_READ": "Can view the experiment",
        "CAN_EDIT": "Can view, log runs, and edit the experiment",
        "CAN_MANAGE": "Can view, log runs, edit, delete, and change permissions of the experiment",
    },
    "notebooks": {
        "CAN_READ": "Can view and comment on the notebook",
        "CAN_RUN": "Can view, comment, attach/detach, and run the notebook",
        "CAN_EDIT": "Can view, comment, attach/detach, run, and edit the notebook",
        "CAN_MANAGE": "Can view, comment, attach/detach, run, edit, and change permissions of the notebook",
    },
    "directories": {"CAN_READ": "Can read", "CAN_RUN": "Can run", "CAN_EDIT": "Can edit", "CAN_MANAGE": "Can manage"},
    "registered-models": {
        "CAN_READ": "Can view the details of the registered model and its model versions",
        "CAN_EDIT": "Can view and edit the details of a registered model and its model versions",
        "CAN_MANAGE_STAGING_VERSIONS": "Can move model versions to the stages but Production",
        "CAN_MANAGE_PRODUCTION_VERSIONS": "Can move model versions to every stage",
        "CAN_MANAGE": "Can manage permissions on, view, and edit the registered model and its versions",
    },
    "clusters": {"CAN_ATTACH_TO": "Can attach", "CAN_RESTART": "Can restart", "CAN_MANAGE": "Can manage"},
}
PRINCIPALS = ("user_name", "group_name", "service_principal_name")


def levels(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The levels that an object can have, and what they mean."""
    kind = _kind(call)
    _need(workspace, kind, call.fields["id"])
    told = [{"permission_level": name, "description": meaning} for name, meaning in LEVELS[kind].items()]
    return {"permission_levels": told}


def get(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Who may do what, what is inherited included; nothing for experiments of notebooks."""
    kind, object_id = _kind(call), call.fields["id"]
    path = _need(workspace, kind, object_id)
    experiment = workspace.tracking.experiments.get(object_id)
    of_notebook = experiment is not None and experiment.tags.get("mlflow.experimentType") != "MLFLOW_EXPERIMENT"
    if kind == "experiments" and of_notebook and workspace.doubts.notebook_permissions:
        return {}
    return _told(workspace, kind, object_id, path)


def put(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Puts a list in the place of the one that there is; what is inherited stays."""
    kind, object_id = _kind(call), call.fields["id"]
    path = _need(workspace, kind, object_id)
    workspace.permissions[(kind, object_id)] = _asked(workspace, call, kind)
    return _told(workspace, kind, object_id, path)


def patch(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Adds to the list that there is."""
    kind, object_id = _kind(call), call.fields["id"]
    path = _need(workspace, kind, object_id)
    workspace.permissions.setdefault((kind, object_id), {}).update(_asked(workspace, call, kind))
    return _told(workspace, kind, object_id, path)


def _kind(call: Call) -> str:
    kind: str = call.fields["type"]
    if kind not in TYPES:
        raise Refusal("INVALID_PARAMETER_VALUE", f"'{kind}' is not a supported object type", violation=True)
    return kind


def _need(workspace: "Databricks", kind: str, object_id: str) -> str:
    """The path of an object (empty where it has none). Raises Refusal."""
    if kind == "clusters":
        if object_id not in workspace.clusters.by_id:
            raise absent(f"Cluster {object_id} does not exist.")
        return ""
    if kind == "registered-models":
        if object_id not in {model.model_id for model in workspace.registry.values()}:
            raise absent(f"RegisteredModel {object_id} does not exist.")
        return ""
    if kind == "experiments":
        experiment = workspace.tracking.experiments.get(object_id)
        if experiment is None or experiment.deleted_at is not None:
            raise absent(f"Node ID {object_id} does not exist.")
        return experiment.name
    node = workspace.tree.by_id(object_id)
    if node is None or node.kind != {"notebooks": "NOTEBOOK", "directories": "DIRECTORY"}[kind]:
        raise absent(f"Node ID {object_id} does not exist.")
    return node.path


def _asked(workspace: "Databricks", call: Call, kind: str) -> Lists:
    asked: Lists = {}
    shared = workspace.tree.need("/Shared")
    if kind == "directories" and call.fields["id"] == str(shared.object_id):
        raise Refusal("INTERNAL_ERROR", f"Cannot modify permissions of directory {shared.object_id}")
    for each in call.fields.get("access_control_list", []):
        named = [(name, each[name]) for name in PRINCIPALS if name in each]
        if len(named) != 1:
            raise invalid("Exactly one of user_name, group_name, service_principal_name must be given")
        what, name = named[0]
        known = {
            "user_name": set(workspace.directory.users) - workspace.directory.principals,
            "group_name": workspace.directory.groups,
            "service_principal_name": workspace.directory.principals,
        }[what]
        if name not in known:
            raise absent(f"Principal: {what.removesuffix('_name').title()}({name}) does not exist")
        level = each.get("permission_level", "")
        if level not in LEVELS[kind]:
            raise invalid(f"Permission level {level} is not supported on {TYPES[kind]}")
        if named[0] == ("group_name", "admins") and level != "CAN_MANAGE":
            raise invalid("Cannot modify permissions of group admins")
        asked[named[0]] = level
    return asked


def _told(workspace: "Databricks", kind: str, object_id: str, path: str) -> dict[str, Any]:
    granted: dict[Entry, list[dict[str, Any]]] = {}
    for entry, level in workspace.permissions.get((kind, object_id), {}).items():
        granted.setdefault(entry, []).append({"permission_level": level, "inherited": False})
    for entry, level, source in _inherited(workspace, path):
        told = {"permission_level": level, "inherited": True, "inherited_from_object": [source]}
        granted.setdefault(entry, []).append(told)
    lists = [
        {what: name, "display_name": name.partition("@")[0], "all_permissions": each}
        if what != "group_name"
        else {what: name, "all_permissions": each}
        for (what, name), each in granted.items()
    ]
    return {"object_id": f"/{kind}/{object_id}", "object_type": TYPES[kind], "access_control_list": lists}


def granted_levels(workspace: "Databricks", user: "User", experiment: "Experiment") -> list[str]:
    """The levels that a user has on an experiment, as such, by its notebook, by a group, or by a folder."""
    notebook = experiment.tags.get("mlflow.experiment.sourceId", experiment.experiment_id)
    objects = (("experiments", experiment.experiment_id), ("notebooks", notebook))
    direct = [grant for each in objects for grant in workspace.permissions.get(each, {}).items()]
    who = _entries(user)
    return [level for entry, level in direct if entry in who] + levels_on(workspace, user, experiment.name)


def levels_on(workspace: "Databricks", user: "User", path: str) -> list[str]:
    """The levels that a user has on what is at a path, by the folders above it."""
    who = _entries(user)
    return [level for entry, level, _ in _inherited(workspace, path) if entry in who]


def _entries(user: "User") -> set[Entry]:
    groups = {("group_name", group) for group in user.groups}
    return {("user_name", user.name), ("service_principal_name", user.name)} | groups


def _inherited(workspace: "Databricks", path: str) -> list[tuple[Entry, str, str]]:
    """What the folders above a path give, the nearest first; the owner's home gives all to the owner."""
    found: list[tuple[Entry, str, str]] = []
    while path and path != "/":
        path = posixpath.dirname(path)
        node = workspace.tree.get(path)
        if node is None:
            continue
        source = f"/directories/{node.object_id}"
        for entry, level in workspace.permissions.get(("directories", str(node.object_id)), {}).items():
            found.append((entry, level, source))
        name = path.removeprefix("/Users/")
        if name in workspace.directory.users:
            found.append((("user_name", name), "CAN_MANAGE", source))
        if path == "/Shared":
            found.append((("group_name", "users"), "CAN_MANAGE", source))
        if path == "/":
            found.append((("group_name", "admins"), "CAN_MANAGE", "/directories/"))
    return found


ITEM = message(user_name=text, group_name=text, service_principal_name=text, permission_level=text)
WRITE = message(type=text, id=text, access_control_list=many(ITEM))
READ = message(type=text, id=text)
ONE = "/api/2.0/permissions/{type}/{id}"
ROUTES = (
    Route("GET", ONE, get, READ, rate="permissions-get"),
    Route("PUT", ONE, put, WRITE, rate="permissions-write"),
    Route("PATCH", ONE, patch, WRITE, rate="permissions-write"),
    Route("GET", f"{ONE}/permissionLevels", levels, READ, rate="permissions-get"),
)
