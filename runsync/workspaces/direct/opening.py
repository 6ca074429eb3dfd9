"""From the address of a store to an open workspace."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from runsync.contract.backend import NO_INIT, Init, Role
from runsync.errors import WrongUsage
from runsync.limits import UNLIMITED, Limits
from runsync.patience import Patience
from runsync.workspaces import local_artifacts
from runsync.workspaces.address import StoreAddress
from runsync.workspaces.direct.artifact_places import EXPERIMENT, SERVED, Roots
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.recorded import beside
from runsync.workspaces.direct.store import DirectStore
from runsync.workspaces.direct.workspace import DirectWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for
from runsync.workspaces.sql.address import SQLITE, DatabaseAddress, parse
from runsync.workspaces.sql.no_tables import NoTables

DESTINATION = "mlartifacts"
"""Where an MLflow server keeps what it proxies, in the folder where it was started, unless it is told otherwise."""


def open_direct(
    address: StoreAddress,
    connections: int,
    limits: Limits,
    role: Role,
    init: Init = NO_INIT,
    patience: Patience | None = None,
) -> DirectWorkspace:
    """A file store or database. Raises WrongUsage, WorkspaceUnreachable, AccessDenied."""
    given = _root(address.artifacts, role)
    s3 = S3Artifacts(options_for(address), connections, limits, patience)
    if address.folder is not None:
        from runsync.workspaces.files import open_store as open_files

        files = open_files(address.folder, create=role == "target")
        others = partial(files.has_roots_besides, SERVED)
        roots = Roots(_location(files), given, moved=files.artifact_folder, has_others=others)
        return DirectWorkspace(files, DirectArtifacts(roots, s3))
    parsed = parse(address.url)
    if patience is not None and patience.is_asked and parsed.kind != SQLITE:
        from runsync.workspaces.sql.reach import reach

        reach(parsed, patience)
    database = _open_database(address.url, parsed, role, init)
    roots = Roots(_location(database), given, has_others=partial(database.has_roots_besides, SERVED))
    if parsed.kind == SQLITE:
        home = Path(parsed.database).absolute().parent
        roots = replace(roots, moved=partial(beside, home))
        if role == "target" or (home / DESTINATION).is_dir():
            roots = replace(roots, served=str(home / DESTINATION))
    return DirectWorkspace(database, DirectArtifacts(roots, s3))


def plan_init(address: StoreAddress, with_artifacts: bool, dry_run: bool) -> Init:
    """What --init comes to at a target, before anything is opened: nothing where it has tables, or is a file store.

    Raises WrongUsage where tables cannot be made, with what to do first; BucketNotFound, WorkspaceUnreachable,
    AccessDenied.
    """
    if address.folder is not None:
        return NO_INIT
    from runsync.workspaces.sql.initialise import planned

    try:
        mlflow = planned(address.url, has_root=bool(address.artifacts) or not with_artifacts)
    except NoTables as error:
        raise error.to_be_written() from None
    if mlflow is not None and with_artifacts and address.artifacts.startswith("s3://"):
        S3Artifacts(options_for(address), 1, UNLIMITED).require_bucket(address.artifacts)
    return NO_INIT if mlflow is None else Init(mlflow.version, makes=not dry_run)


def _open_database(url: str, parsed: DatabaseAddress, role: Role, init: Init) -> DirectStore:
    from runsync.workspaces.sql.store import open_store

    if init.makes:
        from runsync.workspaces.sql.initialise import initialise

        initialise(url)
    elif init.mlflow:
        from runsync.workspaces.sql.planned import PlannedStore

        return PlannedStore(parsed, init.mlflow)
    try:
        return open_store(url)
    except NoTables as error:
        raise error.to_be_written() if role == "target" else error from None


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
