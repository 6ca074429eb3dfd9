"""The DBFS API: plain files in `dbfs:/`, a megabyte at a time. Managed artifacts cannot be reached by it."""

import base64
import binascii
import posixpath
import zlib
from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, absent
from emulators.databricks.fields import flag, integer, message, text
from emulators.databricks.routing import Call, Route
from emulators.server import Reply

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

MANAGED = "/databricks/mlflow-"
MODIFIED = 1_760_000_000_000
"""When an empty file was written; others seem to be written later, and each content at a time of its own."""


class Dbfs:
    """Folders, and files that are being written, by handle (the finished ones are in the storage)."""

    def __init__(self) -> None:
        self.folders: set[str] = {"/"}
        self.open: dict[int, tuple[str, bytearray]] = {}

    def make(self, path: str) -> None:
        """A folder and all above it."""
        while path not in self.folders:
            self.folders.add(path)
            path = posixpath.dirname(path)


def checked(path: str) -> str:
    """A plain path. Raises Refusal."""
    path = path.removeprefix("dbfs:")
    if not path.startswith("/"):
        raise Refusal("INVALID_PARAMETER_VALUE", f"Path must be absolute: {path}")
    if path.startswith(MANAGED):
        raise Refusal("PERMISSION_DENIED", f"No operations allowed on this path: {path}")
    if path.startswith("/Volumes/"):
        raise Refusal("INVALID_PARAMETER_VALUE", "Use the Files API for volumes")
    return path.rstrip("/") or "/"


def _content(workspace: "Databricks", path: str) -> bytes:
    content = workspace.storage.objects.get(path)
    if content is None:
        raise absent(f"No file or directory exists on path {path}.")
    return content


def _entry(path: str, content: bytes | None) -> dict[str, Any]:
    size = 0 if content is None else len(content)
    written = MODIFIED + zlib.crc32(content or b"")
    return {"path": path, "is_dir": content is None, "file_size": size, "modification_time": written}


def get_status(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is at a path."""
    path = checked(call.fields["path"])
    return _entry(path, None) if path in workspace.dbfs.folders else _entry(path, _content(workspace, path))


def list_files(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is directly in a folder; a file lists itself."""
    path = checked(call.fields["path"])
    if path not in workspace.dbfs.folders:
        return {"files": [_entry(path, _content(workspace, path))]}
    found = [_entry(each, None) for each in workspace.dbfs.folders if each != "/" and posixpath.dirname(each) == path]
    found += [_entry(each, body) for each, body in workspace.storage.objects.items() if posixpath.dirname(each) == path]
    found.sort(key=lambda entry: str(entry["path"]))
    return {"files": found} if found else {}


def read(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Part of a file: a megabyte at most."""
    path, offset = checked(call.fields["path"]), call.fields.get("offset", 0)
    length = call.fields.get("length", workspace.limits.dbfs_read)
    if length > workspace.limits.dbfs_read:
        raise Refusal("MAX_READ_SIZE_EXCEEDED", "The read length exceeds the maximum")
    part = _content(workspace, path)[offset : offset + length]
    return {"bytes_read": len(part), "data": base64.b64encode(part).decode()}


def create(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """Opens a file to write."""
    path = _free(workspace, call)
    handle = workspace.new_id()
    workspace.dbfs.open[handle] = (path, bytearray())
    return {"handle": handle}


def add_block(workspace: "Databricks", call: Call) -> None:
    """Adds to an open file: a megabyte at most."""
    _, content = _open(workspace, call)
    content += _decoded(workspace, call.fields.get("data", ""))


def close(workspace: "Databricks", call: Call) -> None:
    """Ends an open file."""
    path, content = _open(workspace, call)
    del workspace.dbfs.open[call.fields["handle"]]
    workspace.storage.objects[path] = bytes(content)


def put(workspace: "Databricks", call: Call) -> None:
    """Writes a small file at once."""
    path = _free(workspace, call)
    workspace.storage.objects[path] = _decoded(workspace, call.fields.get("contents", ""))


def mkdirs(workspace: "Databricks", call: Call) -> None:
    """A folder and all above it."""
    path = checked(call.fields["path"])
    if path in workspace.storage.objects:
        raise Refusal("RESOURCE_ALREADY_EXISTS", f"A file is at {path}.")
    workspace.dbfs.make(path)


def delete(workspace: "Databricks", call: Call) -> None:
    """Deletes a file, or a folder with all in it; nothing when it is not there."""
    path = checked(call.fields["path"])
    below = [each for each in workspace.storage.objects if each.startswith(path.rstrip("/") + "/")]
    if below and not call.fields.get("recursive"):
        raise Refusal("IO_ERROR", f"{path} is not empty")
    for each in [path, *below]:
        workspace.storage.objects.pop(each, None)
    workspace.dbfs.folders -= {each for each in workspace.dbfs.folders if each == path or each.startswith(path + "/")}


def fetch(workspace: "Databricks", call: Call) -> Reply:
    """A whole file, as MLflow's client reads it (`GET /dbfs/PATH`)."""
    content = _content(workspace, checked("/" + call.fields["path"]))
    return Reply(200, content, {"Content-Type": "application/octet-stream"})


def store(workspace: "Databricks", call: Call) -> None:
    """A whole file, as MLflow's client writes it (`POST /dbfs/PATH`)."""
    path = checked("/" + call.fields["path"])
    workspace.dbfs.make(posixpath.dirname(path))
    workspace.storage.objects[path] = call.request.body


def _free(workspace: "Databricks", call: Call) -> str:
    path = checked(call.fields["path"])
    if path in workspace.dbfs.folders or (
        path in workspace.storage.objects and not call.fields.get("overwrite", False)
    ):
        raise Refusal("RESOURCE_ALREADY_EXISTS", f"A file or directory already exists at the input path {path}.")
    workspace.dbfs.make(posixpath.dirname(path))
    return path


def _open(workspace: "Databricks", call: Call) -> tuple[str, bytearray]:
    found = workspace.dbfs.open.get(call.fields["handle"])
    if found is None:
        raise absent(f"No stream with handle {call.fields['handle']}")
    return found


def _decoded(workspace: "Databricks", data: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise Refusal("INVALID_PARAMETER_VALUE", "Not base64", violation=True) from None
    if len(content) > workspace.limits.dbfs_block:
        raise Refusal("MAX_BLOCK_SIZE_EXCEEDED", "The block exceeds the maximum of 1 MB")
    return content


BASE = "/api/2.0/dbfs"
PATH = message("path", path=text)
ROUTES = (
    Route("GET", f"{BASE}/get-status", get_status, PATH, rate="dbfs"),
    Route("GET", f"{BASE}/list", list_files, PATH, rate="dbfs"),
    Route("GET", f"{BASE}/read", read, message("path", path=text, offset=integer, length=integer), rate="dbfs"),
    Route("POST", f"{BASE}/create", create, message("path", path=text, overwrite=flag), rate="dbfs"),
    Route("POST", f"{BASE}/add-block", add_block, message("handle", handle=integer, data=text), rate="dbfs"),
    Route("POST", f"{BASE}/close", close, message("handle", handle=integer), rate="dbfs"),
    Route("POST", f"{BASE}/put", put, message("path", path=text, contents=text, overwrite=flag), rate="dbfs"),
    Route("POST", f"{BASE}/mkdirs", mkdirs, PATH, rate="dbfs"),
    Route("POST", f"{BASE}/delete", delete, message("path", path=text, recursive=flag), rate="dbfs"),
    Route("GET", "/dbfs/{path:path}", fetch, message(path=text), rate="dbfs"),
    Route("POST", "/dbfs/{path:path}", store, message(path=text), rate="dbfs", reads="raw"),
)
