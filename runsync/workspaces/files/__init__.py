"""An `mlruns` folder, as MLflow's FileStore keeps it, as a workspace: `open_store` and `is_file_store`."""

from pathlib import Path
from typing import TYPE_CHECKING

from runsync.workspaces.files.layout import is_file_store

if TYPE_CHECKING:
    from runsync.workspaces.files.store import FileStore

__all__ = ["is_file_store", "open_store"]


def open_store(path: Path, create: bool) -> "FileStore":
    """The file store in a folder; with `create` an empty one is made where there is none.

    Raises WorkspaceUnreachable where there is no such folder or it is no file store, AccessDenied where it may not
    be read or made.
    """
    from runsync.workspaces.files.store import FileStore

    return FileStore(path, create)
