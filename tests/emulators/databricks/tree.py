"""The workspace's tree: folders, notebooks, files, Git folders and experiments, each with a path and a number."""

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulators.databricks.errors import Refusal, absent, invalid
from emulators.databricks.fields import flag, integer, message, text
from emulators.databricks.rights import check_folder
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

FOLDERS = {"DIRECTORY", "REPO"}
PREFIX = "/Workspace"


@dataclass(frozen=True)
class Revision:
    """What a notebook or a file held from a time on (milliseconds)."""

    at: int
    content: bytes


@dataclass
class Node:
    """One object of the tree. `kind` is what the API calls `object_type`."""

    object_id: int
    path: str
    kind: str
    at: int
    language: str = ""
    revisions: list[Revision] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """What it holds now."""
        return self.revisions[-1].content


def plain(path: str) -> str:
    """A path without `/Workspace` before it. Raises Refusal when it is not absolute."""
    if not path.startswith("/"):
        raise invalid(f"Path ({path}) doesn't start with '/'")
    if path == PREFIX or path.startswith(PREFIX + "/"):
        path = path.removeprefix(PREFIX) or "/"
    return path.rstrip("/") or "/"


class Tree:
    """All objects by path."""

    def __init__(self, workspace: "Databricks") -> None:
        self._workspace = workspace
        self._nodes: dict[str, Node] = {}

    def begin(self) -> None:
        """The folders that every workspace has."""
        for path in ("/", "/Users", "/Shared", "/Repos", self._workspace.home):
            self.add(path, "DIRECTORY")

    def add(self, path: str, kind: str, **fields: Any) -> Node:
        """A new object."""
        node = Node(self._workspace.new_id(), path, kind, self._workspace.milliseconds(), **fields)
        self._nodes[path] = node
        return node

    def get(self, path: str) -> Node | None:
        """What is at a path."""
        return self._nodes.get(path)

    def by_id(self, object_id: str) -> Node | None:
        """The object of a number."""
        return next((node for node in self._nodes.values() if str(node.object_id) == object_id), None)

    def need(self, path: str) -> Node:
        """What is at a path. Raises Refusal."""
        node = self._nodes.get(plain(path))
        if node is None:
            raise absent(f"Path ({path}) doesn't exist.")
        return node

    def need_parent(self, path: str) -> None:
        """Raises Refusal when a path's folder is not there."""
        parent = posixpath.dirname(path)
        node = self._nodes.get(parent)
        if node is None or node.kind not in FOLDERS:
            raise absent(f"Parent directory {parent} does not exist.")

    def in_repo(self, path: str) -> bool:
        """Whether a path is in a Git folder."""
        return any(node.kind == "REPO" and path.startswith(each + "/") for each, node in self._nodes.items())

    def make_folders(self, path: str) -> None:
        """A folder and all above it. Raises Refusal."""
        path = plain(path)
        node = self._nodes.get(path)
        if node is not None:
            if node.kind not in FOLDERS:
                raise Refusal("RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists and is no directory.")
            return
        parent = posixpath.dirname(path)
        if parent in {"/Users", "/Repos"}:
            raise Refusal("DIRECTORY_PROTECTED", f"Folder {path} is protected")
        self.make_folders(parent)
        self.add(path, "DIRECTORY")

    def children(self, path: str) -> list[Node]:
        """What is directly in a folder, by path."""
        return sorted(
            (node for each, node in self._nodes.items() if each != "/" and posixpath.dirname(each) == path),
            key=lambda node: node.path,
        )

    def remove(self, path: str) -> list[Node]:
        """Takes an object away with all below it."""
        gone = [each for each in self._nodes if each == path or each.startswith(path.rstrip("/") + "/")]
        return [self._nodes.pop(each) for each in gone]

    def move(self, node: Node, path: str) -> None:
        """Gives an object another path."""
        self._nodes.pop(node.path, None)
        node.path = path
        self._nodes[path] = node


def describe(node: Node) -> dict[str, Any]:
    """An object as `get-status` and `list` tell it."""
    told: dict[str, Any] = {
        "object_type": node.kind,
        "path": node.path,
        "object_id": node.object_id,
        "resource_id": str(node.object_id),
    }
    if node.kind == "NOTEBOOK":
        told["language"] = node.language
    if node.kind in {"NOTEBOOK", "FILE"}:
        told |= {"created_at": node.at, "modified_at": node.revisions[-1].at}
    if node.kind == "FILE":
        told["size"] = len(node.content)
    return told


def mkdirs(workspace: "Databricks", call: Call) -> None:
    """A folder and its parents; nothing when it is there."""
    path = plain(call.fields["path"])
    if workspace.tree.get(path) is None and posixpath.dirname(path) not in {"/Users", "/Repos"}:
        check_folder(workspace, call.user, path)
    workspace.tree.make_folders(path)


def get_status(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is at a path; one that was asked for with `/Workspace` before it is told so."""
    told = describe(workspace.tree.need(call.fields["path"]))
    return told | ({"path": PREFIX + told["path"]} if call.fields["path"].startswith(PREFIX + "/") else {})


def list_objects(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """What is directly in a folder; an object that is no folder is told itself."""
    node = workspace.tree.need(call.fields["path"])
    found = workspace.tree.children(node.path) if node.kind in FOLDERS else [node]
    after = call.fields.get("notebooks_modified_after", 0)
    if after:
        found = [each for each in found if each.kind != "NOTEBOOK" or each.revisions[-1].at >= after]
    return {"objects": [describe(each) for each in found]} if found else {}


def delete(workspace: "Databricks", call: Call) -> None:
    """Deletes an object; a folder with something in it only with `recursive`."""
    node = workspace.tree.need(call.fields["path"])
    if node.path in {"/", "/Users", "/Shared", "/Repos"} or node.path == workspace.home:
        raise Refusal("DIRECTORY_PROTECTED", f"Folder {node.path} is protected")
    if workspace.tree.children(node.path) and not call.fields.get("recursive"):
        raise Refusal("DIRECTORY_NOT_EMPTY", f"Folder ({node.path}) is not empty")
    for gone in workspace.tree.remove(node.path):
        experiment = workspace.tracking.experiments.get(str(gone.object_id))
        if experiment is not None:
            workspace.tracking.delete(experiment, workspace.milliseconds())


ROUTES = (
    Route("POST", "/api/2.0/workspace/mkdirs", mkdirs, message("path", path=text), rate="workspace"),
    Route("GET", "/api/2.0/workspace/get-status", get_status, message("path", path=text), rate="workspace"),
    Route(
        "GET",
        "/api/2.0/workspace/list",
        list_objects,
        message("path", path=text, notebooks_modified_after=integer),
        rate="workspace",
    ),
    Route("POST", "/api/2.0/workspace/delete", delete, message("path", path=text, recursive=flag), rate="workspace"),
)
