"""Links of runs to logged models that have other ids here: of models that came back from a server."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from runsync.model.run import ModelLink, Run
from runsync.workspaces.files.draft import replace_file
from runsync.workspaces.files.inputs import files_of_inputs
from runsync.workspaces.files.layout import (
    INPUTS,
    META,
    OUTPUTS,
    Broken,
    entries_of,
    experiment_folders,
    is_plain_file,
    is_plain_folder,
    run_folders,
)
from runsync.workspaces.files.meta import dump, read_meta
from runsync.workspaces.files.showing import locked, told

_STAGED = ".runsync-link"


def move_links(root: str, model_ids: Mapping[str, str]) -> None:
    """See `ModelStore.move_links`."""
    with told(root), locked(root):
        for experiment in experiment_folders(root):
            for run in run_folders(experiment.path):
                if is_plain_folder(run.path):
                    _move(run.path, run.name, model_ids)


def _move(folder: str, run_id: str, model_ids: Mapping[str, str]) -> None:
    there = {f"{kind}/{entry.name}" for kind in (INPUTS, OUTPUTS) for entry in entries_of(f"{folder}/{kind}")}
    for old, new in model_ids.items() if there else ():
        for before, after in zip(_names(run_id, old), _names(run_id, new), strict=True):
            if before in there and is_plain_folder(f"{folder}/{before}"):
                _rename(Path(folder, before), Path(folder, after), new)


def _rename(before: Path, after: Path, model_id: str) -> None:
    """The new link is whole before the old one goes. One that cannot be read stays, and is told with its run."""
    try:
        meta = read_meta(str(before / META)) | {"source_id": model_id, "destination_id": model_id}
    except (Broken, FileNotFoundError):
        return
    if not is_plain_file(str(after / META)):
        after.mkdir(exist_ok=True)
        replace_file(after / META, dump(meta), after / _STAGED)
    shutil.rmtree(before)


def _names(run_id: str, model_id: str) -> Iterator[str]:
    """The folders of a link to a model, as one that the run read and as one that it wrote."""
    link = (ModelLink(model_id),)
    for run in (Run(run_id, "", model_inputs=link), Run(run_id, "", model_outputs=link)):
        yield from files_of_inputs(run)
