"""The storage behind Unity Catalog: ADLS with a shared access signature, GCS with an OAuth token, default storage.

Objects lie in the storage of the workspace below the root of their version. (On AWS they lie in a bucket of their own.)
"""

import json
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from emulators.databricks.errors import CloudRefusal, Refusal
from emulators.databricks.unity import READY, Version
from emulators.server import Reply, Request

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

PAGE = 2
"""Objects of one page of a list."""
JSON = {"Content-Type": "application/json"}
LAKE, LIST, UPLOAD = "/lake", "/storage/v1/b/lake/o", "/upload/storage/v1/b/lake/o"


def files_of(workspace: "Databricks", name: str, number: int) -> dict[str, bytes]:
    """The files of a version, by path, wherever they lie."""
    root = workspace.unity.models[name].versions[number].root
    if workspace.unity.bucket is not None and root.startswith("s3:"):
        prefix = root.removeprefix(f"{workspace.unity.bucket.url}/") + "/"
        return {key.removeprefix(prefix): body for key, body in workspace.unity.bucket.files(prefix).items()}
    return _below(workspace, root)


def _below(workspace: "Databricks", root: str) -> dict[str, bytes]:
    objects = workspace.storage.objects.items()
    return {key.removeprefix(f"{root}/"): body for key, body in objects if key.startswith(f"{root}/")}


def put(workspace: "Databricks", name: str, number: int, path: str, body: bytes) -> None:
    """Puts a file of a version there, as MLflow's client does when it registers one."""
    root = workspace.unity.models[name].versions[number].root
    if workspace.unity.bucket is not None and root.startswith("s3:"):
        workspace.unity.bucket.put(f"{root.removeprefix(workspace.unity.bucket.url + '/')}/{path}", body)
    else:
        workspace.storage.objects[f"{root}/{path}"] = body


def answer(workspace: "Databricks", request: Request) -> Reply | None:
    """What the storage answers; None where something else is asked. Raises CloudRefusal."""
    path, _, text = request.target.partition("?")
    path, query = unquote(path), dict(parse_qsl(text, keep_blank_values=True))
    if path.startswith(LAKE) and workspace.cloud in {"azure", "adls"}:
        return _azure(workspace, request, path, query)
    if path.startswith((LIST, UPLOAD)) and workspace.cloud == "gcp":
        return _google(workspace, request, path, query)
    return None


def _need(workspace: "Databricks", token: str, writes: bool) -> str:
    """The root that a token lets into. Raises CloudRefusal."""
    root, may_write = workspace.unity.tokens.get(token, ("", False))
    if not root or (writes and not may_write):
        raise CloudRefusal(403, "AuthenticationFailed", "The signature or token is unknown, or has expired")
    return root


def _azure(workspace: "Databricks", request: Request, path: str, query: Mapping[str, str]) -> Reply:
    if "authorization" in request.headers:
        raise CloudRefusal(400, "InvalidAuthenticationInfo", "A signature and Authorization", violation=True)
    writes = request.method in {"PUT", "PATCH", "DELETE"}
    root = _need(workspace, query.get("sig", ""), writes)
    host = f"abfss://lake@{workspace.cloud_url.removeprefix('http://')}"
    key = host + path.removeprefix(LAKE)
    extra = {name: value for name, value in query.items() if name not in {"sv", "sr", "sp", "sig"}}
    if request.method == "GET" and extra.get("resource") == "filesystem":
        return _azure_list(workspace, f"{host}/{extra['directory']}", root, host, extra)
    if not key.startswith(f"{root}/"):
        raise CloudRefusal(403, "AuthorizationFailure", f"{key} is not in the folder", violation=True)
    if writes:
        return workspace.storage.adls(request, key, extra)
    return _bytes(workspace, key)


def _azure_list(workspace: "Databricks", folder: str, root: str, host: str, query: Mapping[str, str]) -> Reply:
    if folder != root or query.get("recursive") != "true":
        raise CloudRefusal(403, "AuthorizationFailure", f"{folder} is not the folder", violation=True)
    found = _below(workspace, root)
    if not found:
        raise CloudRefusal(404, "PathNotFound", "The specified path does not exist.")
    entries: list[dict[str, Any]] = [
        {"name": f"{root}/{path}".removeprefix(f"{host}/"), "contentLength": str(len(body))}
        for path, body in sorted(found.items())
    ]
    folders = {posixpath.dirname(str(entry["name"])) for entry in entries}
    entries += [{"name": each, "isDirectory": "true", "contentLength": "0"} for each in sorted(folders)]
    begin = int(query.get("continuation", "0"))
    end = begin + PAGE
    headers = JSON | ({"x-ms-continuation": str(end)} if end < len(entries) else {})
    return Reply(200, json.dumps({"paths": entries[begin:end]}).encode(), headers)


def _google(workspace: "Databricks", request: Request, path: str, query: Mapping[str, str]) -> Reply:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    root = _need(workspace, token, request.method == "POST")
    bucket = "gs://lake/"
    if path.startswith(UPLOAD):
        key = bucket + query["name"]
        if query.get("uploadType") != "media" or not key.startswith(f"{root}/"):
            raise CloudRefusal(403, "forbidden", f"{key} is not in the folder", violation=True)
        workspace.storage.objects[key] = request.body
        return Reply(200, json.dumps({"name": query["name"]}).encode(), JSON)
    if path == LIST:
        if bucket + query.get("prefix", "") != f"{root}/":
            raise CloudRefusal(403, "forbidden", "That is not the folder", violation=True)
        found = sorted(_below(workspace, root).items())
        begin = int(query.get("pageToken", "0"))
        some = found[begin : begin + PAGE]
        items = [{"name": f"{root}/{p}".removeprefix(bucket), "size": str(len(body))} for p, body in some]
        more = {"nextPageToken": str(begin + PAGE)} if begin + PAGE < len(found) else {}
        return Reply(200, json.dumps(({"items": items} if items else {}) | more).encode(), JSON)
    return _bytes(workspace, bucket + path.removeprefix(f"{LIST}/"))


def _bytes(workspace: "Databricks", key: str) -> Reply:
    content = workspace.storage.objects.get(key)
    if content is None:
        raise CloudRefusal(404, "PathNotFound", "The specified path does not exist.")
    return Reply(200, content, {"Content-Type": "application/octet-stream", "ETag": f'"{len(content)}"'})


def place_of(workspace: "Databricks", path: str) -> tuple[str, Version]:
    """The key of `/Models/CATALOG/SCHEMA/NAME/VERSION/…` in default storage, and the version. Raises Refusal."""
    parts = path.strip("/").split("/")
    name, number = ".".join(parts[1:4]), int(parts[4]) if len(parts) > 4 and parts[4].isdigit() else -1
    model = workspace.unity.models.get(name)
    if parts[0] != "Models" or model is None or number not in model.versions:
        raise Refusal("NOT_FOUND", f"'{path}' does not exist.", status=404)
    version = model.versions[number]
    return "/".join((version.root, *parts[5:])), version


def address(workspace: "Databricks", path: str, method: str) -> dict[str, Any]:
    """A signed address of a file in default storage. Raises Refusal."""
    key, version = place_of(workspace, path)
    if method == "PUT" and version.status == READY:
        raise Refusal("INVALID_STATE", "Files of a version that is READY cannot be written")
    told = workspace.storage.signed(method, key)
    return {"url": told["signed_uri"], "headers": told["headers"]}


def contents(workspace: "Databricks", path: str) -> list[dict[str, Any]]:
    """What is directly in a folder of default storage. Raises Refusal."""
    folder, _ = place_of(workspace, path)
    found = _below(workspace, folder)
    if not found:
        raise Refusal("NOT_FOUND", f"The directory {path} being accessed is not found.", status=404)
    entries: dict[str, dict[str, Any]] = {}
    for below, body in found.items():
        name, _, rest = below.partition("/")
        entries[name] = {"path": f"{path}/{name}", "name": name, "is_directory": bool(rest)}
        if not rest:
            entries[name]["file_size"] = len(body)
    return [entries[name] for name in sorted(entries)]
