"""From what a user typed to an open workspace or bundle."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runsync import config
from runsync.bundle import locks
from runsync.bundle.address import Access, is_bundle, locate, name_of
from runsync.bundle.bundle import open_store
from runsync.bundle.snapshot import Snapshot
from runsync.contract.backend import NO_INIT, Init, Opening, Role
from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.contract.workspace import Workspace
from runsync.errors import WrongUsage
from runsync.kinds import left_behind
from runsync.limits import UNLIMITED, Limits
from runsync.model.redact import without_credentials
from runsync.names import require_utf8
from runsync.threads import WORKERS
from runsync.workspaces import registry
from runsync.workspaces.address import folder_of
from runsync.workspaces.direct.backend import open_folder
from runsync.workspaces.http import Patience


def open_workspace(
    where: str,
    *,
    config: str | None = None,
    workers: int = WORKERS,
    patience: Patience | None = None,
    limits: Limits = UNLIMITED,
    artifacts: str = "",
    role: Role = "source",
    init: Init = NO_INIT,
) -> Workspace:
    """The workspace at an address (of a server, a database, a file store) or of a name in `runsync.toml`.

    `artifacts` is where the artifact root of a database or file store really is, when it cannot be reached as it is
    recorded. As a target a file store is made where there is none, and with `init` the tables of an empty database.

    Raises WrongUsage when it is no workspace, WorkspaceUnreachable, AccessDenied.
    """
    require_utf8()
    opening = Opening(config, workers, patience, limits, artifacts, role, init)
    backend = registry.find(where, config)
    return backend.open(where, opening) if backend is not None else open_folder(_typed_folder(where), opening)


def _typed_folder(where: str) -> Path:
    """What looks like a path, and is no bundle, is meant as a file store."""
    folder = folder_of(where)
    if folder is not None and not is_bundle(str(folder)):
        if folder.is_file():
            raise WrongUsage(f"{folder} is a file: a database is named as sqlite:///{folder}")
        return folder
    if "://" not in where and Path(where).is_file():
        raise WrongUsage(f"{where} is a file: a database is named as sqlite:///{where}")
    named = without_credentials(where)
    why = "is a bundle, and no workspace" if folder is not None or is_bundle(where) else "is no workspace"
    raise WrongUsage(f"“{named}” {why}: write {', '.join(registry.forms())}, or a name that stands in runsync.toml")


def is_workspace(where: str, config: str | None) -> bool:
    """Whether an address means a workspace: a name in `runsync.toml` goes before a folder of that name."""
    return registry.find(where, config) is not None


def open_with(where: str, access: Access, workers: int) -> Workspace:
    """`open_workspace` with what goes with every verb."""
    return open_workspace(
        where,
        config=access.config,
        workers=workers,
        patience=access.patience,
        limits=access.limits,
        artifacts=access.artifacts,
    )


def open_target(where: str, access: Access, workers: int, init: Init) -> Workspace:
    """Likewise, to be written to."""
    return open_workspace(
        where,
        config=access.config,
        workers=workers,
        patience=access.patience,
        limits=access.limits,
        artifacts=access.artifacts,
        role="target",
        init=init,
    )


def init_of(where: str, access: Access, *, with_artifacts: bool, dry_run: bool) -> Init:
    """What --init comes to at a target; see `contract.backend.Backend`."""
    backend = registry.find(where, access.config)
    if backend is None or backend.plan_init is None:
        return NO_INIT
    return backend.plan_init(where, Opening(access.config, artifacts=access.artifacts), with_artifacts, dry_run)


def accepted(given: Iterable[str], source: str, target: str, access: Access) -> frozenset[str]:
    """The kinds that may stay behind: those that are `given`, and those that `runsync.toml` names for the two places.

    Raises WrongUsage for a name that there is not.
    """
    named = config.accepted(name_of(source, access), name_of(target, access), access.config)
    told = (left_behind.parse([name], f"{where} accept") for name, where in named)
    return left_behind.parse(given).union(*told)


@contextmanager
def open_source(
    where: str, verb: str, *, access: Access, workers: int, retry_lock: float = 0.0
) -> Iterator[Workspace | Snapshot]:
    """A workspace, or a snapshot of a bundle (the newest one, or the one named after `@`), held against prune.

    `retry_lock` is how many seconds to wait for a bundle that is being pruned.
    """
    if is_workspace(where, access.config):
        workspace = open_with(where, access, workers)
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
    workspace = open_with(where, access, workers)
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
