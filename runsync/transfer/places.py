"""From what a user typed to an open workspace or bundle."""

from collections.abc import Iterator
from contextlib import contextmanager

from runsync.bundle.bundle import open_bundle
from runsync.bundle.snapshot import Snapshot, open_snapshot
from runsync.errors import WrongUsage
from runsync.model.redact import without_credentials
from runsync.workspaces.address import is_url, resolve
from runsync.workspaces.http import Patience
from runsync.workspaces.rest import RestWorkspace

WORKERS = 8


def open_workspace(
    where: str, *, config: str | None = None, workers: int = WORKERS, patience: Patience | None = None
) -> RestWorkspace:
    """The workspace at an address or of a name in `runsync.toml`.

    Raises WrongUsage when it is neither, WorkspaceUnreachable, AccessDenied.
    """
    address = resolve(where, config)
    if address is None:
        named = without_credentials(where)
        raise WrongUsage(f"“{named}” is no workspace: write http(s)://host:port, or a name that stands in runsync.toml")
    return RestWorkspace(address, workers, patience)


@contextmanager
def open_source(where: str, *, config: str | None, workers: int) -> Iterator[RestWorkspace | Snapshot]:
    """A workspace, or the newest snapshot of a bundle. A name in `runsync.toml` goes before a folder of that name."""
    found: RestWorkspace | Snapshot
    if is_url(where) or resolve(where, config) is not None:
        found = open_workspace(where, config=config, workers=workers)
    else:
        found = open_snapshot(open_bundle(where))
    try:
        yield found
    finally:
        found.close()
