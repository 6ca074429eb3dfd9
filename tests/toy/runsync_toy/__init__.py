"""A backend of another package: workspaces that are folders of JSON files. docs/adding-a-backend.md explains it."""

from pathlib import Path

from runsync.contract.backend import Backend, Opening
from runsync.errors import WorkspaceUnreachable
from runsync_toy.folder import Folder
from runsync_toy.workspace import ToyWorkspace

SCHEME = "toy://"


def is_toy(where: str, config: str | None) -> bool:
    return where.startswith(SCHEME)


def open_toy(where: str, opening: Opening) -> ToyWorkspace:
    place = Path(where.removeprefix(SCHEME))
    if opening.role == "source" and not place.is_dir():
        raise WorkspaceUnreachable(f"there is no folder {place}: make it, or check the address")
    return ToyWorkspace(Folder(place))


BACKEND = Backend(("toy://FOLDER",), is_toy, open_toy)
