"""What a file store holds beside experiments and runs; registered and logged models as far as runs point at them."""

from collections.abc import Iterator, Mapping, Sequence

from runsync.errors import RequestRefused
from runsync.model.protocol import NotCarried
from runsync.model.run import ModelVersion
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
)
from runsync.workspaces.files.meta import read_meta, text

WHY = "this version carries experiments and runs"
_SHOWN = 20


def left_behind(root: str, experiment_ids: Sequence[str], unreadable: Mapping[str, str]) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any, and for each experiment that cannot be read (by folder)."""
    folders = [folder for e in experiment_ids if (folder := find_experiment(root, e)) is not None]
    registered = _names(f"{root}/{MODELS}")
    logged = [name for folder in folders for name in _names(f"{folder.path}/{MODELS}")]
    traces = [name for folder in folders for name in _names(f"{folder.path}/{TRACES}")]
    left = [
        NotCarried(what, len(names), WHY, tuple(names[:_SHOWN]) if is_named else ())
        for what, names, is_named in (
            ("registered models", registered, True),
            ("logged models", logged, True),
            ("traces", traces, False),
        )
        if names
    ]
    if logged:
        why = "a file store tells them with the logged models, not with the history"
        left.append(NotCarried("links from metric points to logged models", None, why))
    left += [
        NotCarried("experiments that cannot be read", 1, reason, (folder,))
        for folder, reason in sorted(unreadable.items())
    ]
    return left


def versions_by_run(root: str) -> dict[str, tuple[ModelVersion, ...]]:
    """The versions of registered models by the run they were made of; broken ones are passed over."""
    found: dict[str, list[ModelVersion]] = {}
    for model in entries_of(f"{root}/{MODELS}"):
        if not model.is_dir(follow_symlinks=False):
            continue
        for entry in entries_of(model.path):
            if entry.name.startswith("version-") and entry.is_dir(follow_symlinks=False):
                run_id, version = _version(entry.path)
                if run_id:
                    found.setdefault(run_id, []).append(version)
    return {run_id: tuple(sorted(of, key=lambda v: (v.name, v.version))) for run_id, of in found.items()}


def model_folder(root: str, model_id: str) -> tuple[str, str]:
    """See `DirectStore.model_folder`. In a store that was moved, the root is where the model's files lie now."""
    for folder in _all_of(root, model_id):
        path = f"{folder.path}/{MODELS}/{model_id}"
        try:
            meta = read_meta(f"{path}/{META}")
            return text(meta, "name"), text(meta, "artifact_location") or f"{path}/{ARTIFACTS}"
        except (Broken, OSError) as error:
            raise RequestRefused(f"logged model {model_id} cannot be read: {error}") from error
    raise RequestRefused(f"there is no logged model {model_id}", 404, "RESOURCE_DOES_NOT_EXIST")


def _all_of(root: str, model_id: str) -> Iterator[Folder]:
    if "/" in model_id or model_id.startswith("."):
        return
    for folder in experiment_folders(root):
        if is_plain_folder(f"{folder.path}/{MODELS}/{model_id}"):
            yield folder


def _names(folder: str) -> list[str]:
    return sorted(e.name for e in entries_of(folder) if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))


def _version(folder: str) -> tuple[str, ModelVersion]:
    try:
        meta = read_meta(f"{folder}/{META}")
        version = ModelVersion(text(meta, "name"), text(meta, "version"), text(meta, "current_stage"))
        return text(meta, "run_id"), version
    except (Broken, OSError):
        return "", ModelVersion("", "")
