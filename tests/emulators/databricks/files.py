"""The Files API: files and folders in Unity Catalog volumes, below `/Volumes/CATALOG/SCHEMA/VOLUME`."""

import posixpath
import re
from typing import TYPE_CHECKING, Any

from emulators.databricks import unity_storage
from emulators.databricks.errors import Refusal
from emulators.databricks.fields import anything, flag, integer, message, text
from emulators.databricks.routing import Call, Route
from emulators.server import Reply

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

INTERNAL = "/WorkspaceInternal/"
MODELS = "Models/"
PAGE = 1000


class Volumes:
    """The volumes that there are, and the folders in them (files are in the storage)."""

    def __init__(self) -> None:
        self.folders: set[str] = set()

    def add(self, path: str) -> str:
        """A new volume, `/Volumes/CATALOG/SCHEMA/VOLUME`."""
        assert re.fullmatch(r"/Volumes(/[^/]+){3}", path), path
        self.folders.add(path)
        return path

    def need(self, path: str) -> str:
        """The path, when it is in a volume. Raises Refusal."""
        path = "/" + path.strip("/")
        if path.startswith(INTERNAL):
            raise Refusal("NOT_IMPLEMENTED", "Files below /WorkspaceInternal are not served by the Files API here")
        if not path.startswith("/Volumes/") or any(part in {"", ".", ".."} for part in path[1:].split("/")):
            raise Refusal("INVALID_PARAMETER_VALUE", f"Invalid path: unsupported first path component: {path}")
        if "/".join(path.split("/")[:5]) not in self.folders:
            raise Refusal("NOT_FOUND", f"Volume of '{path}' does not exist.", status=404)
        return path

    def make(self, path: str) -> None:
        """A folder and all above it."""
        while path not in self.folders:
            self.folders.add(path)
            path = posixpath.dirname(path)


def _file(workspace: "Databricks", call: Call) -> tuple[str, bytes]:
    path = workspace.volumes.need(call.fields["path"])
    content = workspace.storage.objects.get(path)
    if content is None:
        raise Refusal("NOT_FOUND", f"The file {path} being accessed is not found.", status=404)
    return path, content


def _headers(content: bytes) -> dict[str, str]:
    return {
        "Content-Length": str(len(content)),
        "Content-Type": "application/octet-stream",
        "Last-Modified": "Thu, 09 Oct 2025 08:53:20 GMT",
    }


def download(workspace: "Databricks", call: Call) -> Reply:
    """The bytes of a file, or a range of them."""
    _, content = _file(workspace, call)
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", call.request.headers.get("range", ""))
    if match is None:
        return Reply(200, content, _headers(content))
    begin, end = int(match[1]), min(int(match[2] or len(content) - 1), len(content) - 1)
    part = content[begin : end + 1]
    return Reply(206, part, _headers(part) | {"Content-Range": f"bytes {begin}-{end}/{len(content)}"})


def upload(workspace: "Databricks", call: Call) -> Reply:
    """Writes a file, and the folders above it."""
    path = workspace.volumes.need(call.fields["path"])
    if path in workspace.volumes.folders:
        raise Refusal("ALREADY_EXISTS", "A directory is there already.", status=409)
    if path in workspace.storage.objects and not call.fields.get("overwrite", False):
        raise Refusal("ALREADY_EXISTS", "The file being created already exists.", status=409)
    workspace.volumes.make(posixpath.dirname(path))
    workspace.storage.objects[path] = call.request.body
    return Reply(204)


def delete(workspace: "Databricks", call: Call) -> Reply:
    """Deletes a file."""
    path, _ = _file(workspace, call)
    del workspace.storage.objects[path]
    return Reply(204)


def _folder(workspace: "Databricks", call: Call) -> str:
    path = workspace.volumes.need(call.fields["path"])
    if path not in workspace.volumes.folders:
        raise Refusal("NOT_FOUND", f"The directory {path} being accessed is not found.", status=404)
    return path


def has_folder(workspace: "Databricks", call: Call) -> Reply:
    """Tells whether a folder is there."""
    _folder(workspace, call)
    return Reply(200)


def make_folder(workspace: "Databricks", call: Call) -> Reply:
    """A folder and all above it."""
    workspace.volumes.make(workspace.volumes.need(call.fields["path"]))
    return Reply(204)


def delete_folder(workspace: "Databricks", call: Call) -> Reply:
    """Deletes an empty folder."""
    path = _folder(workspace, call)
    if _contents(workspace, path):
        raise Refusal("INVALID_PARAMETER_VALUE", "The directory is not empty.")
    workspace.volumes.folders.discard(path)
    return Reply(204)


def _contents(workspace: "Databricks", path: str) -> list[dict[str, Any]]:
    folders = [
        {"path": each, "name": posixpath.basename(each), "is_directory": True, "last_modified": 1_760_000_000_000}
        for each in workspace.volumes.folders
        if posixpath.dirname(each) == path
    ]
    files = [
        {
            "path": each,
            "name": posixpath.basename(each),
            "is_directory": False,
            "file_size": len(content),
            "last_modified": 1_760_000_000_000,
        }
        for each, content in workspace.storage.objects.items()
        if posixpath.dirname(each) == path
    ]
    return sorted(folders + files, key=lambda entry: str(entry["path"]))


def list_folder(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is directly in a folder, in pages."""
    if call.fields["path"].startswith(MODELS):
        return {"contents": unity_storage.contents(workspace, "/" + call.fields["path"].strip("/"))}
    path = _folder(workspace, call)
    size = min(call.fields.get("page_size") or PAGE, PAGE)
    page, token = workspace.pages.cut(_contents(workspace, path), size, ("volume", path), call.fields.get("page_token"))
    answer: dict[str, Any] = {"contents": page} if page else {}
    return answer | ({"next_page_token": token} if token else {})


def no_urls(workspace: "Databricks", call: Call) -> None:
    """Presigned URLs of the Files API are off in this workspace: clients fall back to the plain calls."""
    raise Refusal("PERMISSION_DENIED", "Presigned URLs API is not enabled")


def address(method: str) -> Any:
    """What signs addresses of files of model versions; of others in this workspace it does not."""

    def sign(workspace: "Databricks", call: Call) -> dict[str, Any]:
        if not call.fields["path"].startswith("/" + MODELS):
            raise Refusal("PERMISSION_DENIED", "Presigned URLs API is not enabled")
        return unity_storage.address(workspace, call.fields["path"], method)

    return sign


FILE, FOLDER = "/api/2.0/fs/files/{path:path}", "/api/2.0/fs/directories/{path:path}"
ONE = message(path=text)
ROUTES = (
    Route("GET", FILE, download, ONE, rate="files"),
    Route("HEAD", FILE, download, ONE, rate="files"),
    Route("PUT", FILE, upload, message(path=text, overwrite=flag), rate="files", reads="raw"),
    Route("DELETE", FILE, delete, ONE, rate="files"),
    Route(
        "POST",
        FILE,
        no_urls,
        message(path=text, action=text, upload_type=text, overwrite=flag, session_token=text),
        rate="files",
        reads="raw",
    ),
    Route("GET", FOLDER, list_folder, message(path=text, page_size=integer, page_token=text), rate="files"),
    Route("HEAD", FOLDER, has_folder, ONE, rate="files"),
    Route("PUT", FOLDER, make_folder, ONE, rate="files", reads="raw"),
    Route("DELETE", FOLDER, delete_folder, ONE, rate="files"),
    Route(
        "POST",
        "/api/2.0/fs/create-download-url",
        address("GET"),
        message(path=text, expire_time=anything),
        rate="files",
        reads="either",
    ),
    Route("POST", "/api/2.0/fs/create-upload-url", address("PUT"), ONE, rate="files", reads="either"),
    Route(
        "POST",
        "/api/2.0/fs/create-upload-part-urls",
        no_urls,
        message(path=text, session_token=text, start_part_number=integer, count=integer, expire_time=anything),
        rate="files",
    ),
)
