"""Models in Unity Catalog: names of three parts, versions with files in storage of their own, aliases and no stages.

Requests and answers are those of MLflow's client (`mlflow/store/_unity_catalog/registry`, 3.17).
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from support.s3 import KEYS
from support.secrets import new_secret

from emulators.databricks import runs
from emulators.databricks.errors import Refusal, absent, invalid, present
from emulators.databricks.fields import PAIR, anything, choice, integer, many, message, text
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from support.s3 import Bucket

    from emulators.databricks.users import User
    from emulators.databricks.workspace import Databricks

ADMINS = "admins"
FORBIDDEN = re.compile(r"[.,\-=/:]")
"""In keys of tags (learn.microsoft.com, “Apply tags to Unity Catalog securable objects”)."""
TAGS, KEY, VALUE = 50, 255, 1000
NOT_IN_NAMES = re.compile(r"[./ \x00-\x1f\x7f]")
NEED_THREE = "Registered model name '{}' is invalid: you must specify all three levels, catalog.schema.model"
PENDING, READY = "PENDING_REGISTRATION", "READY"


@dataclass
class Version:
    """One version. Times are in milliseconds."""

    number: int
    source: str
    made_at: int
    updated_at: int
    user: str
    root: str
    run_id: str = ""
    model_id: str = ""
    description: str = ""
    status: str = PENDING
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """One registered model; `last` is the greatest number that it ever gave out."""

    name: str
    owner: str
    made_at: int
    updated_at: int
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    last: int = 0


class Catalogs:
    """All models, by their full names, and the schemas that there are, with who may make models in them.

    `bucket` is where files lie on AWS; without it the metastore has default storage, at signed addresses only.
    """

    def __init__(self) -> None:
        self.bucket: Bucket | None = None
        self.is_there = True
        self.schemas: dict[str, set[str]] = {}
        self.owners: dict[str, str] = {}
        """Of schemas and catalogs: admins of the metastore where it is not said."""
        self.models: dict[str, Model] = {}
        self.tokens: dict[str, tuple[str, bool]] = {}
        """What lets into a folder of storage, and whether to write."""
        self.lineage: list[dict[str, Any]] = []

    def add_schema(self, name: str, *makers: str) -> str:
        """A schema, `prod.ml`, in which these users (and admins) may make models."""
        self.schemas[name] = set(makers)
        return name


def _model(workspace: "Databricks", call: Call) -> Model:
    _need_metastore(workspace)
    name = _full_name(call.fields["name"])
    model = workspace.unity.models.get(name)
    if model is None:
        raise absent(f"Routine or Model '{name}' does not exist.")
    return model


def _need_metastore(workspace: "Databricks") -> None:
    if not workspace.unity.is_there:
        raise Refusal("INVALID_PARAMETER_VALUE", "METASTORE_DOES_NOT_EXIST: No metastore assigned for the workspace.")


def _full_name(name: str) -> str:
    """As the catalog keeps it: in lower case."""
    parts = name.split(".")
    if len(parts) != 3 or not all(parts):
        raise invalid(NEED_THREE.format(name))
    if any(NOT_IN_NAMES.search(part) or len(part) > 255 for part in parts):
        raise invalid(f"Invalid name: '{name}'")
    return name.lower()


def _need_owner(workspace: "Databricks", user: "User", model: Model) -> None:
    if ADMINS not in user.groups and model.owner not in (user.name, *user.groups):
        raise Refusal("PERMISSION_DENIED", f"User is not an owner of Routine or Model '{model.name}'.")


def _version(workspace: "Databricks", call: Call) -> tuple[Model, Version]:
    model, number = _model(workspace, call), call.fields["version"]
    version = model.versions.get(int(number) if number.isdigit() else -1)
    if version is None:
        raise absent(f"Model version '{model.name}' version {number} does not exist.")
    return model, version


def _tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags, when they can be. Raises Refusal."""
    for key, value in tags.items():
        if not key or FORBIDDEN.search(key) or len(key) > KEY or len(value) > VALUE:
            raise invalid(f"Tag '{key}' is invalid: keys have up to {KEY} characters and none of . , - = / :")
    if len(tags) > TAGS:
        raise invalid(f"An object has at most {TAGS} tags.")
    return tags


def _given_tags(call: Call) -> dict[str, str]:
    return _tags({tag["key"]: tag.get("value", "") for tag in call.fields.get("tags", [])})


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def describe(model: Model, *, whole: bool = True) -> dict[str, Any]:
    """A model as the API tells it: searches leave out aliases and tags."""
    told: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": model.made_at,
        "last_updated_timestamp": model.updated_at,
        "user_id": model.owner,
        "description": model.description,
    }
    if whole:
        aliases = [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()]
        told |= {"aliases": aliases, "tags": _pairs(model.tags)}
    return told


def describe_version(model: Model, version: Version, *, whole: bool = True) -> dict[str, Any]:
    """A version as the API tells it, likewise."""
    told: dict[str, Any] = {
        "name": model.name,
        "version": str(version.number),
        "creation_timestamp": version.made_at,
        "last_updated_timestamp": version.updated_at,
        "user_id": version.user,
        "description": version.description,
        "source": version.source,
        "run_id": version.run_id,
        "status": version.status,
        "storage_location": version.root,
        "model_id": version.model_id,
    }
    if whole:
        aliases = [{"alias": a, "version": str(n)} for a, n in model.aliases.items() if n == version.number]
        told |= {"aliases": aliases, "tags": _pairs(version.tags)}
    return told


def create_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new model, which is its maker's."""
    _need_metastore(workspace)
    name = _full_name(call.fields["name"])
    catalog_and_schema = name.rpartition(".")[0]
    makers = workspace.unity.schemas.get(catalog_and_schema)
    if makers is None:
        raise Refusal("NOT_FOUND", f"Schema '{catalog_and_schema}' does not exist.")
    owners = {workspace.unity.owners.get(name) for name in (catalog_and_schema, catalog_and_schema.partition(".")[0])}
    if ADMINS not in call.user.groups and call.user.name not in makers | owners:
        raise Refusal("PERMISSION_DENIED", f"User does not have CREATE MODEL on Schema '{catalog_and_schema}'.")
    if name in workspace.unity.models:
        raise present(f"Routine or Model '{name}' already exists")
    now, told = workspace.milliseconds(), call.fields.get("description", "")
    model = Model(name, call.user.name, now, now, told, _given_tags(call))
    workspace.unity.models[name] = model
    return {"registered_model": describe(model)}


def get_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One model with aliases and tags."""
    return {"registered_model": describe(_model(workspace, call))}


def update_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Changes the description, or the name."""
    model = _model(workspace, call)
    _need_owner(workspace, call.user, model)
    if new := call.fields.get("new_name"):
        del workspace.unity.models[model.name]
        model.name = _full_name(new)
        workspace.unity.models[model.name] = model
    model.description = call.fields.get("description", model.description)
    model.updated_at = workspace.milliseconds()
    return {"registered_model": describe(model)}


def delete_model(workspace: "Databricks", call: Call) -> None:
    """Deletes a model without versions."""
    model = _model(workspace, call)
    _need_owner(workspace, call.user, model)
    if model.versions:
        raise Refusal("INVALID_STATE", f"Model '{model.name}' has versions")
    del workspace.unity.models[model.name]


def search_models(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """All models, in pages; nothing can be searched for."""
    _need_metastore(workspace)
    found = sorted(workspace.unity.models.values(), key=lambda model: model.name)
    size = min(call.fields.get("max_results", 100), 1000)
    page, token = workspace.pages.cut(found, size, ("unity models",), call.fields.get("page_token"))
    answer = {"registered_models": [describe(model, whole=False) for model in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def create_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A new version, whose files are still to come."""
    model, fields = _model(workspace, call), call.fields
    _need_owner(workspace, call.user, model)
    if run_id := fields.get("run_id"):
        runs.need(workspace, run_id)
    if (model_id := fields.get("model_id", "")) and model_id not in workspace.tracking.models:
        raise absent(f"Logged model with ID '{model_id}' not found.")
    model.last += 1
    now, root = workspace.milliseconds(), _root(workspace)
    version = Version(model.last, fields["source"], now, now, call.user.name, root, fields.get("run_id", ""), model_id)
    version.description, version.tags = fields.get("description", ""), _given_tags(call)
    model.versions[version.number] = version
    return {"model_version": describe_version(model, version)}


def _root(workspace: "Databricks") -> str:
    path = f"metastore/models/{secrets.token_hex(8)}/versions/{secrets.token_hex(8)}"
    if workspace.cloud in {"azure", "adls"}:
        return f"abfss://lake@{workspace.cloud_url.removeprefix('http://')}/{path}"
    if workspace.cloud == "gcp":
        return f"gs://lake/{path}"
    return f"s3://{workspace.unity.bucket.name if workspace.unity.bucket else 'lake'}/{path}"


def get_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One version with aliases and tags."""
    return {"model_version": describe_version(*_version(workspace, call))}


def update_version(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Changes the description."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    version.description, version.updated_at = call.fields.get("description", ""), workspace.milliseconds()
    return {"model_version": describe_version(model, version)}


def delete_version(workspace: "Databricks", call: Call) -> None:
    """Deletes a version and the aliases that name it."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    del model.versions[version.number]
    model.aliases = {alias: number for alias, number in model.aliases.items() if number != version.number}


def search_versions(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The versions of one model, in pages (mlflow issues 7967 and 12217)."""
    condition = call.fields.get("filter", "").strip()
    found = re.fullmatch(r"name\s*=\s*'([^']+)'", condition)
    if not condition:
        raise invalid("Missing filter: please specify a filter parameter in the format `name = 'model_name'`.")
    if found is None:
        raise invalid(f"Unsupported filter query : `{condition}`.")
    named = Call(call.request, call.path, call.query, {**call.fields, "name": found[1]}, call.user)
    model = _model(workspace, named)
    versions = sorted(model.versions.values(), key=lambda version: -version.number)
    size = min(call.fields.get("max_results", 100), 10_000)
    page, token = workspace.pages.cut(versions, size, ("unity versions", condition), call.fields.get("page_token"))
    answer = {"model_versions": [describe_version(model, version, whole=False) for version in page]} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def finalize(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Says that the files of a version are all there."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    version.status, version.updated_at = READY, workspace.milliseconds()
    return {"model_version": describe_version(model, version)}


def download_uri(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Where the files of a version lie."""
    return {"artifact_uri": _version(workspace, call)[1].root}


def give_credentials(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What lets into the folder of a version for a while."""
    model, version = _version(workspace, call)
    writes = call.fields.get("operation") == "MODEL_VERSION_OPERATION_READ_WRITE"
    if writes:
        _need_owner(workspace, call.user, model)
        if version.status == READY:
            raise Refusal("INVALID_STATE", "Files of a version that is READY cannot be written")
    ends = int((workspace.clock.now() + workspace.limits.url_lifetime) * 1000)
    told: dict[str, Any] = {"expiration_time": ends, "storage_mode": "CUSTOMER_HOSTED"}
    if workspace.cloud in {"azure", "adls"}:
        return {"credentials": told | {"azure_user_delegation_sas": {"sas_token": _sas(workspace, version, writes)}}}
    if workspace.cloud == "gcp":
        token = _keep(workspace, version, writes, "ya29.")
        return {"credentials": told | {"gcp_oauth_token": {"oauth_token": token}}}
    if workspace.unity.bucket is None:
        return {"credentials": told | {"storage_mode": "DEFAULT_STORAGE"}}
    token = _keep(workspace, version, writes, "IQoJb3JpZ2lu")
    keys = {
        "access_key_id": KEYS["AWS_ACCESS_KEY_ID"],
        "secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"],
        "session_token": token,
    }
    return {"credentials": told | {"aws_temp_credentials": keys}}


def _keep(workspace: "Databricks", version: Version, writes: bool, start: str) -> str:
    token = new_secret("temporary credentials", start)
    workspace.unity.tokens[token] = (version.root, writes)
    return token


def _sas(workspace: "Databricks", version: Version, writes: bool) -> str:
    signature = _keep(workspace, version, writes, "")
    return f"sv=2021-12-02&sr=d&sp={'racwdl' if writes else 'rl'}&sig={quote(signature)}"


def set_alias(workspace: "Databricks", call: Call) -> None:
    """Has an alias name a version: a right of the owner."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    if version.status != READY:
        workspace.violated(f"alias {call.fields['alias']} of {model.name} names a version that is {version.status}")
    if call.fields["alias"].lower() == "latest" or re.fullmatch(r"v\d+", call.fields["alias"]):
        raise invalid(f"'{call.fields['alias']}' is reserved")
    model.aliases[call.fields["alias"]] = version.number


def delete_alias(workspace: "Databricks", call: Call) -> None:
    """Takes an alias away."""
    model = _model(workspace, call)
    _need_owner(workspace, call.user, model)
    model.aliases.pop(call.fields["alias"], None)


def by_alias(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The version that an alias names."""
    model = _model(workspace, call)
    if (number := model.aliases.get(call.fields["alias"])) is None:
        raise absent(f"Alias {call.fields['alias']} of {model.name} does not exist.")
    return {"model_version": describe_version(model, model.versions[number])}


def set_model_tag(workspace: "Databricks", call: Call) -> None:
    """Sets a tag of a model."""
    model = _model(workspace, call)
    _need_owner(workspace, call.user, model)
    model.tags = _tags({**model.tags, call.fields["key"]: call.fields.get("value", "")})


def delete_model_tag(workspace: "Databricks", call: Call) -> None:
    """Takes a tag of a model away."""
    model = _model(workspace, call)
    _need_owner(workspace, call.user, model)
    model.tags.pop(call.fields["key"], None)


def set_version_tag(workspace: "Databricks", call: Call) -> None:
    """Sets a tag of a version."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    version.tags = _tags({**version.tags, call.fields["key"]: call.fields.get("value", "")})


def delete_version_tag(workspace: "Databricks", call: Call) -> None:
    """Takes a tag of a version away."""
    model, version = _version(workspace, call)
    _need_owner(workspace, call.user, model)
    version.tags.pop(call.fields["key"], None)


def get_securable(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A model as Unity Catalog's own API tells it."""
    model = _model(workspace, Call(call.request, call.path, call.query, {"name": call.fields["full_name"]}, call.user))
    return {"full_name": model.name, "name": model.name.rpartition(".")[2], "owner": model.owner}


def get_container(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A schema or a catalog, of which only its owner is told here."""
    name = call.fields["full_name"]
    return {"full_name": name, "owner": workspace.unity.owners.get(name, "metastore admins")}


def list_grants(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is granted on a schema, two principals a page."""
    _need_metastore(workspace)
    schema = call.fields["full_name"]
    if schema not in workspace.unity.schemas:
        raise Refusal("SCHEMA_DOES_NOT_EXIST", f"Schema '{schema}' does not exist.")
    uses = {"privilege": "USE_SCHEMA"}
    made = {maker: [uses, {"privilege": "CREATE_MODEL"}] for maker in sorted(workspace.unity.schemas[schema])}
    granted = list(({"readers": [uses]} | made).items())
    start = int(call.fields.get("page_token") or 0)
    told = [{"principal": principal, "privileges": some} for principal, some in granted[start : start + 2]]
    more = {"next_page_token": str(start + 2)} if start + 2 < len(granted) else {}
    return {"privilege_assignments": told} | more


def summarise(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """The metastore, of which only its owner is told here."""
    return {"name": "metastore", "owner": "metastore admins"}


def emit_lineage(workspace: "Databricks", call: Call) -> None:
    """Notes who read a version."""
    _version(workspace, call)
    workspace.unity.lineage.append(dict(call.fields))


def uses_sdk(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Files of versions are not served by the Files API here."""
    return {"is_databricks_sdk_models_artifact_repository_enabled": False}


U = "/api/2.0/mlflow/unity-catalog"
M, V = f"{U}/registered-models", f"{U}/model-versions"
NAME = message("name", name=text)
VERSION = message("name version", name=text, version=text)
CREATE = message("name", name=text, description=text, tags=many(PAIR), deployment_job_id=text)
UPDATE = message("name", name=text, description=text, new_name=text, deployment_job_id=text)
CREATE_VERSION = message(
    "name source",
    **dict.fromkeys(("name", "source", "run_id", "description", "run_tracking_server_id", "feature_deps"), text),
    model_id=text,
    tags=many(PAIR),
    model_version_dependencies=anything,
)
SEARCH = message(max_results=integer, page_token=text)
SEARCH_VERSIONS = message(filter=text, max_results=integer, page_token=text)
OPERATION = choice("MODEL_VERSION_OPERATION_READ", "MODEL_VERSION_OPERATION_READ_WRITE")
CREDENTIALS = message("name version operation", name=text, version=text, operation=OPERATION)
ALIAS = message("name alias", name=text, alias=text)
SET_ALIAS = message("name alias version", name=text, alias=text, version=text)
MODEL_TAG = message("name key", name=text, key=text, value=text)
VERSION_TAG = message("name version key", name=text, version=text, key=text, value=text)
GRANTS = message(full_name=text, principal=text, max_results=integer, page_token=text)
LINEAGE = message("name version", name=text, version=text, model_version_lineage_info=anything, securable=anything)


def _route(method: str, path: str, answer: Any, fields: Any) -> Route:
    return Route(method, path, answer, fields, rate="registry", reads="either" if method == "DELETE" else "")


ROUTES = (
    _route("POST", f"{M}/create", create_model, CREATE),
    _route("GET", f"{M}/get", get_model, NAME),
    _route("PATCH", f"{M}/update", update_model, UPDATE),
    _route("DELETE", f"{M}/delete", delete_model, NAME),
    _route("GET", f"{M}/search", search_models, SEARCH),
    _route("POST", f"{M}/set-tag", set_model_tag, MODEL_TAG),
    _route("DELETE", f"{M}/delete-tag", delete_model_tag, MODEL_TAG),
    _route("GET", f"{M}/alias", by_alias, ALIAS),
    _route("POST", f"{M}/alias", set_alias, SET_ALIAS),
    _route("DELETE", f"{M}/alias", delete_alias, ALIAS),
    _route("GET", f"{M}:is-databricks-sdk-models-artifact-repository-enabled", uses_sdk, message()),
    _route("POST", f"{V}/create", create_version, CREATE_VERSION),
    _route("GET", f"{V}/get", get_version, VERSION),
    _route("PATCH", f"{V}/update", update_version, message("name version", name=text, version=text, description=text)),
    _route("DELETE", f"{V}/delete", delete_version, VERSION),
    _route("GET", f"{V}/search", search_versions, SEARCH_VERSIONS),
    _route("POST", f"{V}/finalize", finalize, VERSION),
    _route("GET", f"{V}/get-download-uri", download_uri, VERSION),
    _route("POST", f"{V}/generate-temporary-credentials", give_credentials, CREDENTIALS),
    _route("POST", f"{V}/set-tag", set_version_tag, VERSION_TAG),
    _route("DELETE", f"{V}/delete-tag", delete_version_tag, VERSION_TAG),
    _route("POST", f"{V}/emit-lineage", emit_lineage, LINEAGE),
    Route("GET", "/api/2.1/unity-catalog/models/{full_name}", get_securable, message(full_name=text), rate="uc"),
    Route("GET", "/api/2.1/unity-catalog/metastore_summary", summarise, message(), rate="uc"),
    Route("GET", "/api/2.1/unity-catalog/schemas/{full_name}", get_container, message(full_name=text), rate="uc"),
    Route("GET", "/api/2.1/unity-catalog/catalogs/{full_name}", get_container, message(full_name=text), rate="uc"),
    Route("GET", "/api/2.1/unity-catalog/effective-permissions/schema/{full_name}", list_grants, GRANTS, rate="uc"),
)
