"""From what a user typed to an open workspace or bundle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runsync.bundle import locks
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import open_store
from runsync.bundle.snapshot import Snapshot
from runsync.errors import WrongUsage
from runsync.model.limits import UNLIMITED, Limits
from runsync.model.protocol import Editor, Source, Workspace
from runsync.model.redact import without_credentials
from runsync.workspaces.address import is_url, resolve
from runsync.workspaces.databricks import address as databricks
from runsync.workspaces.http import Patience
from runsync.workspaces.rest.workspace import open_server

WORKERS = 8


def open_workspace(
    where: str,
    *,
    config: str | None = None,
    workers: int = WORKERS,
    patience: Patience | None = None,
    limits: Limits = UNLIMITED,
) -> Workspace:
    """The workspace at an address or of a name in `runsync.toml`.

    Raises WrongUsage when it is neither, WorkspaceUnreachable, AccessDenied.
    """
    if databricks.is_databricks(where, config):
        from runsync.workspaces.databricks.workspace import open_databricks

        return open_databricks(databricks.resolve(where, config), workers, patience, limits)
    address = resolve(where, config)
    if address is None:
        named = without_credentials(where)
        raise WrongUsage(
            f"“{named}” is no workspace: write http(s)://host:port, databricks://PROFILE, or a name that stands in "
            "runsync.toml"
        )
    return open_server(address, workers, patience, limits)


def is_workspace(where: str, config: str | None) -> bool:
    """Whether an address means a workspace: a name in `runsync.toml` goes before a folder of that name."""
    return is_url(where) or databricks.is_databricks(where, config) or resolve(where, config) is not None


@contextmanager
def open_source(
    where: str, verb: str, *, access: Access, workers: int, retry_lock: float = 0.0
) -> Iterator[Workspace | Snapshot]:
    """A workspace, or a snapshot of a bundle (the newest one, or the one named after `@`), held against prune.

    `retry_lock` is how many seconds to wait for a bundle that is being pruned.
    """
    if is_workspace(where, access.config):
        workspace = open_workspace(where, config=access.config, workers=workers, limits=access.limits)
        try:
            yield workspace
        finally:
            workspace.close()
    else:
        with open_held(where, verb, access, retry_lock) as snapshot:
            yield snapshot


@contextmanager
def open_editor(where: str, *, access: Access, workers: int) -> Iterator[tuple[Source, Editor]]:
    """A workspace to read from and to change. Raises WrongUsage for a bundle: those are never changed."""
    if not is_workspace(where, access.config):
        named = without_credentials(where)
        raise WrongUsage(
            f"“{named}” is no workspace, and only a workspace can be changed (a bundle never is): name the server, as "
            "http(s)://host:port or as in runsync.toml, and export it again"
        )
    workspace = open_workspace(where, config=access.config, workers=workers, limits=access.limits)
    try:
        yield workspace, workspace.editor()
    finally:
        workspace.close()


@contextmanager
def open_held(where: str | Path, verb: str, access: Access, retry_lock: float = 0.0) -> Iterator[Snapshot]:
    """A snapshot of a bundle, held against prune. Raises BundleNotFound, BundleDamaged, BundleLocked."""
    place = locate(where, access)
    bundle = open_store(place.store)
    with locks.reading(bundle.store, verb, retry_lock):
        yield Snapshot(bundle, bundle.manifest(bundle.find(place.snapshot)))
