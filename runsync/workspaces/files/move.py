"""A run that gets another experiment: its folder is moved, with the artifacts that lie in it.

Datasets belong to an experiment, so those that the run read are copied first. Then the folder is renamed, and at last
its meta.yaml says where it is. Until then neither MLflow nor we take it for a run; whoever brings it again goes on.
"""

import contextlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from runsync.model.run import Run
from runsync.workspaces.files.draft import replace_file
from runsync.workspaces.files.inputs import LARGEST, datasets_of, put_dataset
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    DATASETS,
    META,
    TRASH,
    find_run,
    is_plain_file,
    local_path,
    read_bytes,
)
from runsync.workspaces.files.meta import dump, read_meta, text

_STAGED = ".runsync-move"


def move_here(root: str, experiment: str, run: Run, is_new: bool) -> Run:
    """Moves the folder of a run that is there into that of its experiment, where it lies in another one.

    Gives the run with the artifact root that it has then. Raises Broken, OSError.
    """
    folder = f"{experiment}/{run.run_id}"
    if not is_plain_file(f"{folder}/{META}"):
        old = None if is_new else find_run(root, run.run_id)
        if old is None:
            return run
        _copy_datasets(old, experiment)
        with contextlib.suppress(FileNotFoundError):  # another import moves it in this moment
            Path(old).rename(folder)
    meta = read_meta(f"{folder}/{META}")
    before = text(meta, "experiment_id")
    if before == run.experiment_id:
        return run
    uri = _moved_root(root, text(meta, "artifact_uri"), before, run)
    moved: dict[str, Any] = meta | {"experiment_id": run.experiment_id, "artifact_uri": uri}
    replace_file(Path(folder, META), dump(moved), Path(folder, _STAGED))
    return replace(run, artifact_uri=uri)


def _copy_datasets(folder: str, experiment: str) -> None:
    old = Path(folder).parent
    for dataset_id in datasets_of(folder):
        meta = f"{old}/{DATASETS}/{dataset_id}/{META}"
        if is_plain_file(meta):
            put_dataset(experiment, dataset_id, partial(read_bytes, meta, LARGEST))


def _moved_root(root: str, uri: str, before: str, run: Run) -> str:
    """The artifact root of a run whose artifacts lay in its folder; others stay where they are."""
    tail = f"/{before}/{run.run_id}/{ARTIFACTS}"
    path = local_path(uri)
    if path is None or not path.endswith(tail) or not uri.endswith(tail):
        return uri
    above = os.path.realpath(path.removesuffix(tail))
    if above not in (root, f"{root}/{TRASH}"):
        return uri
    return f"{uri.removesuffix(tail)}/{run.experiment_id}/{run.run_id}/{ARTIFACTS}"
