"""The workspace's model registry: registered models and their versions, with stages and without aliases."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.databricks import artifacts, models, runs
from emulators.databricks.errors import Refusal, absent, invalid, present
from emulators.databricks.fields import PAIR, choice, flag, integer, many, message, text
from emulators.databricks.filters import compile_registry, in_order
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

STAGES = ("None", "Staging", "Production", "Archived")
MODELS_PAGE, VERSIONS_PAGE = 1000, 10_000


@dataclass
class Version:
    """One version of a registered model. Times are in milliseconds."""

    name: str
    version: int
    source: str
    made_at: int
    updated_at: int
    user: str
    run_id: str = ""
    run_link: str = ""
    description: str = ""
    stage: str = "None"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """One registered model."""

    model_id: str
    name: str
    made_at: int
    updated_at: int
    user: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    last: int = 0


def describe_version(version: Version) -> dict[str, Any]:
    """A version as the API tells it."""
    told: dict[str, Any] = {
        "name": version.name,
        "version": str(version.version),
        "creation_timestamp": version.made_at,
        "last_updated_timestamp": version.updated_at,
        "user_id": version.user,
        "current_stage": version.stage,
        "source": version.source,
        "status": "READY",
        "tags": [{"key": key, "value": value} for key, value in version.tags.items()],
    }
    named = {"description": version.description, "run_id": version.run_id, "run_link": version.run_link}
    return told | {name: value for name, value in named.items() if value}


def describe(model: Model) -> dict[str, Any]:
    """A registered model as the API tells it, with the latest version of every stage."""
    latest: dict[str, Version] = {}
    for version in sorted(model.versions.values(), key=lambda each: each.version):
        latest[version.stage] = version
    told: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": model.made_at,
        "last_updated_timestamp": model.updated_at,
        "user_id": model.user,
        "tags": [{"key": key, "value": value} for key, value in model.tags.items()],
    }
    if model.description:
        told["description"] = model.description
    return told | ({"latest_versions": [describe_version(each) for each in latest.values()]} if latest else {})


def _model(workspace: "Databricks", call: Call) -> Model:
    model = workspace.registry.get(call.fields["name"])
    if model is None:
        raise absent(f"RegisteredModel '{call.fields['name']}' does not exist.")
    return model


def _version(workspace: "Databricks", call: Call) -> Version:
    number = call.fields["version"]
    version = _model(workspace, call).versions.get(int(number) if number.isdigit() else -1)
    if version is None:
        raise absent(f"Model Version (name={call.fields['name']}, version={number}) not found")
    return version


def create_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new registered model."""
    name = call.fields["name"]
    if name in workspace.registry:
        raise present(f"RegisteredModel '{name}' already exists.")
    if any(each in name for each in "/:.%\"'"):
        raise invalid(f"Registered model name cannot contain / : . % quotes: {name}")
    now = workspace.milliseconds()
    tags = {tag["key"]: tag.get("value", "") for tag in call.fields.get("tags", [])}
    model_id = f"{workspace.new_id():032x}"
    made = Model(model_id, name, now, now, call.user.name, call.fields.get("description", ""), tags)
    workspace.registry[name] = made
    return {"registered_model": describe(made)}


def get_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One registered model."""
    return {"registered_model": describe(_model(workspace, call))}


def get_with_id(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One registered model with the id that its permissions are asked by."""
    model = _model(workspace, call)
    return {"registered_model_databricks": describe(model) | {"id": model.model_id, "permission_level": "CAN_MANAGE"}}


def update_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Changes the description."""
    model = _model(workspace, call)
    model.description, model.updated_at = call.fields.get("description", ""), workspace.milliseconds()
    return {"registered_model": describe(model)}


def rename_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Gives a model another name."""
    model, name = _model(workspace, call), call.fields["new_name"]
    if name in workspace.registry:
        raise present(f"RegisteredModel '{name}' already exists.")
    del workspace.registry[model.name]
    workspace.registry[name] = model
    model.name = name
    for version in model.versions.values():
        version.name = name
    return {"registered_model": describe(model)}


def delete_model(workspace: "Databricks", call: Call) -> None:
    """Deletes a model none of whose versions is in use."""
    model = _model(workspace, call)
    if any(version.stage in {"Staging", "Production"} for version in model.versions.values()):
        raise Refusal("INVALID_STATE", "Versions in Staging or Production must be moved out of these stages first")
    del workspace.registry[model.name]


def search_models(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The models that a single condition means, in pages."""
    size = _size(call, 100, MODELS_PAGE)
    condition, order = call.fields.get("filter", ""), call.fields.get("order_by", [])
    keep = compile_registry(condition)
    found = sorted((each for each in workspace.registry.values() if keep(each)), key=lambda each: each.name)
    found = in_order(found, order, ATTRIBUTES)
    question = ("registered", condition, tuple(order))
    page, token = workspace.pages.cut(found, size, question, call.fields.get("page_token"))
    answer: dict[str, Any] = {"registered_models": [describe(each) for each in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def create_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new version; it is ready at once."""
    model, fields = _model(workspace, call), call.fields
    if "://" not in fields["source"] and ":/" not in fields["source"]:
        raise invalid(f"Invalid model version source: {fields['source']}")
    if run_id := fields.get("run_id"):
        runs.need(workspace, run_id)
    model.last += 1
    now = workspace.milliseconds()
    made = Version(model.name, model.last, fields["source"], now, now, call.user.name)
    made.run_id, made.run_link = fields.get("run_id", ""), fields.get("run_link", "")
    made.description = fields.get("description", "")
    made.tags = {tag["key"]: tag.get("value", "") for tag in fields.get("tags", [])}
    model.versions[made.version] = made
    model.updated_at = now
    _keep_copy(workspace, model, made)
    return {"model_version": describe_version(made)}


def _keep_copy(workspace: "Databricks", model: Model, version: Version) -> None:
    """The files of its source, as they are then."""
    source = version.source
    if source.startswith("models:/m-"):
        source = models.need(workspace, source.removeprefix("models:/")).artifact_uri
    start, root = f"{source.removeprefix('dbfs:')}/", _own_root(model, version)
    found = {key.removeprefix(start): body for key, body in workspace.storage.objects.items() if key.startswith(start)}
    workspace.storage.objects.update({f"{root}/{path}": body for path, body in found.items()})


def _own_root(model: Model, version: Version) -> str:
    return f"/databricks/mlflow-registry/{model.model_id}/models/{version.version}"


def list_files(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One level of the registry's own copy of the files of a version."""
    version, path = _version(workspace, call), call.fields.get("path", "").strip("/")
    root = f"dbfs:{_own_root(_model(workspace, call), version)}"
    return {"files": artifacts.listed(artifacts.files_below(workspace, root), path)}


def sign_download(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """An address of one of these files."""
    version = _version(workspace, call)
    key = artifacts.key_of(_own_root(_model(workspace, call), version), call.fields["path"])
    told = workspace.storage.signed("GET", key)
    return {"signed_uri": told["signed_uri"], "headers": told["headers"]}


def get_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One version."""
    return {"model_version": describe_version(_version(workspace, call))}


def update_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Changes the description."""
    version = _version(workspace, call)
    version.description, version.updated_at = call.fields.get("description", ""), workspace.milliseconds()
    return {"model_version": describe_version(version)}


def delete_version(workspace: "Databricks", call: Call) -> None:
    """Deletes a version that is not in use."""
    version = _version(workspace, call)
    if version.stage in {"Staging", "Production"}:
        raise Refusal("INVALID_STATE", f"Version {version.version} is in {version.stage}")
    del workspace.registry[version.name].versions[version.version]


def transition(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Moves a version to a stage, as open-source servers do."""
    return {"model_version": describe_version(_moved(workspace, call))}


def transition_databricks(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Moves a version to a stage, as only Databricks does, with a comment."""
    return {"model_version_databricks": describe_version(_moved(workspace, call))}


def _moved(workspace: "Databricks", call: Call) -> Version:
    version = _version(workspace, call)
    stage = call.fields["stage"]
    if call.fields.get("archive_existing_versions"):
        for each in workspace.registry[version.name].versions.values():
            each.stage = "Archived" if each.stage == stage else each.stage
    version.stage, version.updated_at = stage, workspace.milliseconds()
    return version


def search_versions(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The versions that a single condition means, in pages (mlflow issue 7967: there must be one)."""
    size = _size(call, VERSIONS_PAGE, VERSIONS_PAGE)
    if not call.fields.get("filter", "").strip():
        raise invalid("Missing filter: please specify a filter parameter in the format `name = 'model_name'`.")
    condition, order = call.fields.get("filter", ""), call.fields.get("order_by", [])
    keep = compile_registry(condition)
    every = [version for model in workspace.registry.values() for version in model.versions.values()]
    found = sorted((each for each in every if keep(each)), key=lambda each: (each.name, -each.version))
    found = in_order(found, order, ATTRIBUTES)
    question = ("versions", condition, tuple(order))
    page, token = workspace.pages.cut(found, size, question, call.fields.get("page_token"))
    answer: dict[str, Any] = {"model_versions": [describe_version(each) for each in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def latest_versions(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The latest version of every stage."""
    stages = call.fields.get("stages") or STAGES
    told = describe(_model(workspace, call)).get("latest_versions", [])
    return {"model_versions": [each for each in told if each["current_stage"] in stages]}


def download_uri(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Where the files of a version are."""
    return {"artifact_uri": _version(workspace, call).source}


def set_model_tag(workspace: "Databricks", call: Call) -> None:
    """Sets a tag of a model."""
    _model(workspace, call).tags[call.fields["key"]] = call.fields.get("value", "")


def delete_model_tag(workspace: "Databricks", call: Call) -> None:
    """Takes a tag of a model away."""
    _model(workspace, call).tags.pop(call.fields["key"], None)


def set_version_tag(workspace: "Databricks", call: Call) -> None:
    """Sets a tag of a version."""
    _version(workspace, call).tags[call.fields["key"]] = call.fields.get("value", "")


def delete_version_tag(workspace: "Databricks", call: Call) -> None:
    """Takes a tag of a version away."""
    _version(workspace, call).tags.pop(call.fields["key"], None)


def no_aliases(workspace: "Databricks", call: Call) -> None:
    """Aliases are for models in Unity Catalog."""
    raise Refusal("FEATURE_DISABLED", "Model aliases are not supported in the workspace model registry")


def _size(call: Call, default: int, greatest: int) -> int:
    size: int = call.fields.get("max_results", default)
    if not 1 <= size <= greatest:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: must be 1 to {greatest}")
    return size


ATTRIBUTES: dict[str, Any] = {
    "name": lambda each: each.name,
    "version_number": lambda each: each.version,
    "last_updated_timestamp": lambda each: each.updated_at,
    "creation_timestamp": lambda each: each.made_at,
}
M, V = "/api/2.0/mlflow/registered-models", "/api/2.0/mlflow/model-versions"
D = "/api/2.0/mlflow/databricks"
NAME = message("name", name=text)
VERSION = message("name version", name=text, version=text)
FILES = message("name version", name=text, version=text, path=text, page_token=text)
SEARCH = message(filter=text, max_results=integer, order_by=many(text), page_token=text)
CREATE = message("name", name=text, description=text, tags=many(PAIR))
CREATE_VERSION = message(
    "name source", name=text, source=text, run_id=text, run_link=text, description=text, tags=many(PAIR), model_id=text
)
MOVE = {
    "name": text,
    "version": text,
    "stage": choice(*STAGES),
    "archive_existing_versions": flag,
}
MODEL_TAG = message("name key", name=text, key=text, value=text)
VERSION_TAG = message("name version key", name=text, version=text, key=text, value=text)
LATEST = message("name", name=text, stages=many(text))
ALIAS = message(name=text, alias=text, version=text)


def _route(method: str, path: str, answer: Any, fields: Any) -> Route:
    """MLflow's client sends DELETE with a body, databricks-sdk with a query."""
    return Route(method, path, answer, fields, rate="registry", reads="either" if method == "DELETE" else "")


ROUTES = (
    _route("POST", f"{M}/create", create_model, CREATE),
    _route("GET", f"{M}/get", get_model, NAME),
    _route("GET", f"{D}/registered-models/get", get_with_id, NAME),
    _route("PATCH", f"{M}/update", update_model, message("name", name=text, description=text)),
    _route("POST", f"{M}/rename", rename_model, message("name new_name", name=text, new_name=text)),
    _route("DELETE", f"{M}/delete", delete_model, NAME),
    _route("GET", f"{M}/search", search_models, SEARCH),
    _route("POST", f"{M}/get-latest-versions", latest_versions, LATEST),
    _route("GET", f"{M}/get-latest-versions", latest_versions, LATEST),
    _route("POST", f"{M}/set-tag", set_model_tag, MODEL_TAG),
    _route("DELETE", f"{M}/delete-tag", delete_model_tag, message("name key", name=text, key=text)),
    _route("GET", f"{M}/alias", no_aliases, ALIAS),
    _route("POST", f"{M}/alias", no_aliases, ALIAS),
    _route("DELETE", f"{M}/alias", no_aliases, ALIAS),
    _route("POST", f"{V}/create", create_version, CREATE_VERSION),
    _route("GET", f"{V}/get", get_version, VERSION),
    _route("PATCH", f"{V}/update", update_version, message("name version", name=text, version=text, description=text)),
    _route("DELETE", f"{V}/delete", delete_version, VERSION),
    _route("POST", f"{V}/transition-stage", transition, message("name version stage", **MOVE)),
    _route(
        "POST",
        f"{D}/model-versions/transition-stage",
        transition_databricks,
        message("name version stage archive_existing_versions", **MOVE, comment=text),
    ),
    _route("GET", f"{V}/search", search_versions, SEARCH),
    _route("GET", f"{V}/list-artifacts", list_files, FILES),
    _route("GET", f"{V}/get-signed-download-uri", sign_download, FILES),
    _route("GET", f"{V}/get-download-uri", download_uri, VERSION),
    _route("POST", f"{V}/set-tag", set_version_tag, VERSION_TAG),
    _route(
        "DELETE", f"{V}/delete-tag", delete_version_tag, message("name version key", name=text, version=text, key=text)
    ),
)
