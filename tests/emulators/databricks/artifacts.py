"""Artifacts of runs and logged models: listed by the workspace, moved by signed URLs that it gives out."""

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from emulators.databricks import models, runs
from emulators.databricks.clouds import Upload
from emulators.databricks.errors import CloudRefusal, Refusal, absent, invalid
from emulators.databricks.experiments import ARTIFACTS
from emulators.databricks.fields import integer, many, message, text
from emulators.databricks.routing import Call, Route
from emulators.databricks.runs import run_id_of

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

PARTS = 10_000


def key_of(root: str, path: str) -> str:
    """The storage key of a file below an artifact root. Raises Refusal."""
    if path.startswith("/") or any(part in {"", ".", ".."} for part in path.split("/")):
        raise invalid(f"Invalid artifact path: '{path}'")
    return f"{root.removeprefix('dbfs:')}/{path}"


def need_managed(root: str) -> None:
    """Raises Refusal when an artifact root is not Databricks' own: there are no credentials for others."""
    if not root.startswith(ARTIFACTS):
        raise invalid(f"Credentials are given for artifacts in {ARTIFACTS} only, not for {root}")


def listed(files: Mapping[str, int], folder: str) -> list[dict[str, Any]]:
    """The files and folders directly in a folder (empty: the root), of sizes by path; a file lists itself."""
    if folder in files:
        return [{"path": folder, "is_dir": False, "file_size": files[folder]}]
    prefix = f"{folder}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, size in files.items():
        if not path.startswith(prefix):
            continue
        name, _, below = path[len(prefix) :].partition("/")
        whole = prefix + name
        found[whole] = {"path": whole, "is_dir": True} if below else {"path": whole, "is_dir": False, "file_size": size}
    return [found[path] for path in sorted(found)]


def files_below(workspace: "Databricks", root: str) -> dict[str, int]:
    """Sizes of all files below an artifact root, by path."""
    if not root.startswith("dbfs:/"):
        raise invalid(f"Artifacts in {root} cannot be listed by the workspace")
    prefix = root.removeprefix("dbfs:") + "/"
    return {key[len(prefix) :]: len(body) for key, body in workspace.storage.objects.items() if key.startswith(prefix)}


def list_artifacts(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One level of a run's artifacts, in pages; of a volume the first thousand, without pages."""
    run = runs.need(workspace, run_id_of(call.fields))
    path, token = call.fields.get("path", "").strip("/"), call.fields.get("page_token")
    found = listed(files_below(workspace, run.artifact_uri), path)
    if run.artifact_uri.startswith("dbfs:/Volumes/"):
        if token:
            raise invalid("page_token is not supported when listing artifacts in UC Volumes")
        return {"root_uri": run.artifact_uri, "files": found[:1000]}
    return _page(workspace, found, run.artifact_uri, (run.run_id, path), token)


def list_model(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """One level of a logged model's artifacts."""
    model = models.need(workspace, call.fields["model_id"])
    path = call.fields.get("artifact_directory_path", "").strip("/")
    found = listed(files_below(workspace, model.artifact_uri), path)
    return _page(workspace, found, model.artifact_uri, (model.model_id, path), call.fields.get("page_token"))


def _page(
    workspace: "Databricks", found: list[dict[str, Any]], root: str, question: Any, token: str | None
) -> dict[str, Any]:
    page, following = workspace.pages.cut(found, workspace.limits.artifacts_page, question, token)
    answer: dict[str, Any] = {"root_uri": root} | ({"files": page} if page else {})
    return answer | ({"next_page_token": following} if following else {})


def credentials(method: str) -> Any:
    """What gives out URLs to read (`GET`) or to write (`PUT`) files of a run."""

    def give(workspace: "Databricks", call: Call) -> dict[str, Any]:
        run = runs.need(workspace, call.fields["run_id"])
        if method == "PUT" and run.deleted_at is not None:
            raise invalid(f"The run {run.run_id} must be in the 'active' state. Current state is deleted.")
        paths, token = call.fields.get("path", []), call.fields.get("page_token")
        infos, following = _signed(workspace, method, run.artifact_uri, paths, token)
        infos = [{"run_id": run.run_id, **info} for info in infos]
        return {"credential_infos": infos} | ({"next_page_token": following} if following else {})

    return give


def model_credentials(method: str) -> Any:
    """What gives out URLs to read (`GET`) or to write (`PUT`) files of a logged model."""

    def give(workspace: "Databricks", call: Call) -> dict[str, Any]:
        model = models.need(workspace, call.fields["model_id"])
        paths, token = call.fields.get("paths", []), call.fields.get("page_token")
        infos, following = _signed(workspace, method, model.artifact_uri, paths, token)
        answer = {"credentials": [{"credential_info": info} for info in infos]}
        return answer | ({"next_page_token": following} if following else {})

    return give


def _signed(
    workspace: "Databricks", method: str, root: str, paths: list[str], token: str | None
) -> tuple[list[dict[str, Any]], str]:
    need_managed(root)
    if token == "":
        raise invalid("Malformed token supplied with artifact credentials request.")
    if not 1 <= len(paths) <= workspace.limits.credential_paths:
        raise invalid(f"Between 1 and {workspace.limits.credential_paths} paths must be given, not {len(paths)}")
    keys = {path: key_of(root, path) for path in paths}
    size = workspace.limits.credentials_page
    page, following = workspace.pages.cut(paths, size, (method, root, tuple(paths)), token)
    return [{"path": path, **workspace.storage.signed(method, keys[path])} for path in page], following


def create_upload(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Begins an S3 multipart upload, with a URL a part and one to abort."""
    if workspace.cloud != "aws":
        raise Refusal("NOT_IMPLEMENTED", "Multipart uploads are for AWS only")
    run_id, path, parts = (call.fields[name] for name in ("run_id", "path", "num_parts"))
    root = _root(workspace, run_id)
    need_managed(root)
    if not 1 <= parts <= PARTS:
        raise invalid(f"num_parts must be 1 to {PARTS}")
    key, upload_id = key_of(root, path), secrets.token_urlsafe(32)
    workspace.storage.uploads[upload_id] = Upload(key)
    whose = {"run_id": run_id, "path": path}
    numbers: Iterable[int] = range(1, parts + 1)
    return {
        "upload_id": upload_id,
        "upload_credential_infos": [whose | workspace.storage.signed("PUT", key, upload_id, each) for each in numbers],
        "abort_credential_info": whose | workspace.storage.signed("DELETE", key, upload_id),
    }


def part_url(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """A fresh URL for one part."""
    key = _upload_key(workspace, call)
    number = call.fields["part_number"]
    if not 1 <= number <= PARTS:
        raise invalid(f"part_number must be 1 to {PARTS}")
    signed = workspace.storage.signed("PUT", key, call.fields["upload_id"], number)
    whose = {"run_id": call.fields["run_id"], "path": call.fields["path"]}
    return {"upload_credential_info": whose | signed}


def complete_upload(workspace: "Databricks", call: Call) -> None:
    """Ends an S3 multipart upload."""
    _upload_key(workspace, call)
    tags = [(each["part_number"], each["etag"]) for each in call.fields.get("part_etags", [])]
    try:
        workspace.storage.complete(call.fields["upload_id"], tags)
    except CloudRefusal as refusal:
        raise invalid(f"{refusal.code}: {refusal}") from None


def _root(workspace: "Databricks", owner: str) -> str:
    """The artifact root of a run, or of a logged model, whose id MLflow's client sends as `run_id`."""
    if owner in workspace.tracking.models:
        return workspace.tracking.models[owner].artifact_uri
    return runs.need(workspace, owner, active=True).artifact_uri


def _upload_key(workspace: "Databricks", call: Call) -> str:
    root = _root(workspace, call.fields["run_id"])
    upload = workspace.storage.uploads.get(call.fields["upload_id"])
    if upload is None or upload.key != key_of(root, call.fields["path"]):
        raise absent("The specified multipart upload does not exist.")
    return upload.key


BASE = "/api/2.0/mlflow/artifacts"
MODEL = "/api/2.0/mlflow/logged-models/{model_id}/artifacts"
LIST = message(run_id=text, run_uuid=text, path=text, page_token=text)
PATHS = message("run_id", run_id=text, path=many(text), page_token=text)
MODEL_PATHS = message(model_id=text, paths=many(text), page_token=text)
UPLOAD = message("run_id path num_parts", run_id=text, path=text, num_parts=integer)
PART = message("run_id path upload_id part_number", run_id=text, path=text, upload_id=text, part_number=integer)
TAGS = many(message("part_number etag", part_number=integer, etag=text))
COMPLETE = message("run_id path upload_id", run_id=text, path=text, upload_id=text, part_etags=TAGS)

ROUTES = (
    Route("GET", f"{BASE}/list", list_artifacts, LIST),
    Route("POST", f"{BASE}/credentials-for-read", credentials("GET"), PATHS),
    Route("POST", f"{BASE}/credentials-for-write", credentials("PUT"), PATHS),
    Route("POST", f"{BASE}/create-multipart-upload", create_upload, UPLOAD),
    Route("GET", f"{BASE}/get-presigned-upload-part-url", part_url, PART),
    Route("POST", f"{BASE}/complete-multipart-upload", complete_upload, COMPLETE),
    Route(
        "GET",
        f"{MODEL}/directories",
        list_model,
        message(model_id=text, artifact_directory_path=text, page_token=text),
    ),
    Route("POST", f"{MODEL}/credentials-for-download", model_credentials("GET"), MODEL_PATHS),
    Route("POST", f"{MODEL}/credentials-for-upload", model_credentials("PUT"), MODEL_PATHS),
)
