"""From the address of a store to an open workspace."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from runsync.errors import WrongUsage
from runsync.model.limits import Limits
from runsync.workspaces import local_artifacts
from runsync.workspaces.address import StoreAddress
from runsync.workspaces.direct.artifacts import EXPERIMENT, SERVED, DirectArtifacts, Roots
from runsync.workspaces.direct.recorded import beside
from runsync.workspaces.direct.store import DirectStore
from runsync.workspaces.direct.workspace import DirectWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for
from runsync.workspaces.sql.address import SQLITE, DatabaseAddress, parse

Role = Literal["source", "target"]
DESTINATION = "mlartifacts"
"""Where an MLflow server keeps what it proxies, in the folder where it was started, unless it is told otherwise."""


def open_direct(
    address: StoreAddress,
    connections: int,
    limits: Limits,
    role: Role,
    init: bool = False,
    with_artifacts: bool = True,
) -> DirectWorkspace:
    """A file store or database; with `init` mlflow makes the tables of an empty one, once it is known where artifacts
    are to go (if there are to be any).

    Raises WrongUsage, WorkspaceUnreachable, AccessDenied.
    """
    given = _root(address.artifacts, role)
    s3 = S3Artifacts(options_for(address), connections, limits)
    if address.folder is not None:
        from runsync.workspaces.files import open_store as open_files

        files = open_files(address.folder, create=role == "target")
        roots = Roots(_location(files), given, moved=files.artifact_folder)
        return DirectWorkspace(files, DirectArtifacts(roots, s3))
    from runsync.workspaces.sql.store import open_store as open_database

    parsed = parse(address.url)
    if init:
        _initialise(address.url, parsed, has_root=bool(given) or not with_artifacts)
    database = open_database(address.url)
    roots = Roots(_location(database), given)
    if parsed.kind == SQLITE:
        home = Path(parsed.database).absolute().parent
        roots = replace(roots, moved=partial(beside, home))
        if role == "target" or (home / DESTINATION).is_dir():
            roots = replace(roots, served=str(home / DESTINATION))
    return DirectWorkspace(database, DirectArtifacts(roots, s3))


def _initialise(url: str, parsed: DatabaseAddress, has_root: bool) -> None:
    from runsync.workspaces.sql.initialise import initialise, is_empty

    if not has_root and parsed.kind != SQLITE and is_empty(parsed):
        raise WrongUsage(
            f"{parsed.printable} is empty, and does not tell where artifacts are to go: say with --artifacts where its "
            "server will keep them (a folder or s3://bucket/prefix), or leave them out with --no-artifacts"
        )
    initialise(url)


def _location(store: DirectStore) -> str:
    """Where nothing tells, what MLflow servers of today record."""
    return store.default_artifact_root(EXPERIMENT) or f"{SERVED}/{EXPERIMENT}"


def _root(given: str, role: Role) -> str:
    """What was typed for the place of artifacts. Raises WrongUsage."""
    if not given or given.startswith("s3://"):
        return given
    if "://" in given and not given.startswith("file:"):
        raise WrongUsage(f"artifacts are reached in a folder or at s3://bucket/prefix, not at {given}")
    folder = local_artifacts.folder_of(given) if given.startswith("file:") else Path(given).expanduser().absolute()
    if folder is None:
        raise WrongUsage(f"{given} is no folder of this machine")
    if role == "source" and not folder.is_dir():
        raise WrongUsage(f"there is no folder {folder}: --artifacts names the one that holds the artifacts")
    return str(folder)
