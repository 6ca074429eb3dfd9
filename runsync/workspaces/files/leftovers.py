"""What a file store holds beside experiments and runs; registered and logged models as far as runs point at them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds import left_behind as kinds
from runsync.kinds.category import Category
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.not_carried import NotCarried
from runsync.model.run import ModelVersion
from runsync.workspaces.direct.recorded import is_reached_otherwise
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    META,
    MODELS,
    TRACES,
    Broken,
    Folder,
    entries_of,
    experiment_folders,
    find_experiment,
    is_plain_folder,
    local_path,
    why,
)
from runsync.workspaces.files.meta import read_meta, text
from runsync.workspaces.files.strays import is_stray

WHY = "this version carries experiments and runs"
_SHOWN = 20


def left_behind(root: str, experiment_ids: Sequence[str]) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any."""
    folders = [folder for e in experiment_ids if (folder := find_experiment(root, e)) is not None]
    places = (
        (REGISTERED_MODELS.category, [f"{root}/{MODELS}"], _SHOWN),
        (LOGGED_MODELS.category, [f"{folder.path}/{MODELS}" for folder in folders], _SHOWN),
        (kinds.TRACES, [f"{folder.path}/{TRACES}" for folder in folders], 0),
    )
    left = [found for place in places if (found := _counted(*place)) is not None]
    if any(found.kind == LOGGED_MODELS.name for found in left):
        why = "a file store tells them with the logged models, not with the history"
        left.append(kinds.METRIC_LINKS.left(None, why))
    return left


def versions_by_run(root: str) -> dict[str, tuple[ModelVersion, ...]]:
    """The versions of registered models by the run they were made of; what cannot be read is passed over."""
    found: dict[str, list[ModelVersion]] = {}
    with suppress(OSError):
        for run_id, version in _versions(root):
            found.setdefault(run_id, []).append(version)
    return {run_id: tuple(sorted(of, key=lambda v: (v.name, v.version))) for run_id, of in found.items()}


def _versions(root: str) -> Iterator[tuple[str, ModelVersion]]:
    for model in entries_of(f"{root}/{MODELS}"):
        if is_stray(model.name) or not model.is_dir(follow_symlinks=False):
            continue
        for entry in entries_of(model.path):
            if entry.name.startswith("version-") and entry.is_dir(follow_symlinks=False):
                yield from _version(entry.path)


def model_folder(root: str, model_id: str) -> tuple[str, str]:
    """See `DirectStore.model_folder`. In a store that was moved, the root is where the model's files lie now."""
    for folder in _all_of(root, model_id):
        path = f"{folder.path}/{MODELS}/{model_id}"
        try:
            meta = read_meta(f"{path}/{META}")
            return text(meta, "name"), _where(text(meta, "artifact_location"), Path(path, ARTIFACTS))
        except (Broken, OSError) as error:
            raise RequestRefused(f"logged model {model_id} cannot be read: {why(error)}") from error
    raise RequestRefused(f"there is no logged model {model_id}", 404, ABSENT)


def _all_of(root: str, model_id: str) -> Iterator[Folder]:
    if "/" in model_id or model_id.startswith("."):
        return
    for folder in experiment_folders(root):
        if is_plain_folder(f"{folder.path}/{MODELS}/{model_id}"):
            yield folder


def _counted(kind: Category, folders: Sequence[str], shown: int) -> NotCarried | None:
    """How many there are in these folders; not counted where one cannot be looked into."""
    try:
        names = sorted(
            entry.name
            for folder in folders
            for entry in entries_of(folder)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and not is_stray(entry.name)
        )
    except OSError:
        return kind.left(None, WHY)
    if any(Path(folder).is_symlink() for folder in folders):
        return kind.left(None, f"{WHY}, and links are not followed")
    return kind.left(len(names), WHY, tuple(names[:shown])) if names else None


def _where(recorded: str, own: Path) -> str:
    path = local_path(recorded)
    is_right = is_reached_otherwise(recorded) or (path is not None and Path(path).is_dir())
    return own.as_uri() if not recorded or (not is_right and is_plain_folder(str(own))) else recorded


def _version(folder: str) -> Iterator[tuple[str, ModelVersion]]:
    with suppress(Broken, OSError):
        meta = read_meta(f"{folder}/{META}")
        if run_id := text(meta, "run_id"):
            yield run_id, ModelVersion(text(meta, "name"), text(meta, "version"), text(meta, "current_stage"))
