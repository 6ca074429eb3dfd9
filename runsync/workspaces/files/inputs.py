"""Datasets and logged models that a run read or wrote.

<experiment>/datasets/<md5 of name and digest>/meta.yaml      the dataset
<run>/inputs/<md5 of its id and the run's>/meta.yaml          its use, with tags; or that of a logged model
<run>/outputs/<model id>/meta.yaml                            a logged model that the run wrote
"""

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from runsync.model.run import DatasetInput, ModelLink, Problem, Run
from runsync.workspaces.files.layout import (
    DATASETS,
    INPUTS,
    META,
    OUTPUTS,
    Broken,
    entries_of,
    is_plain_file,
    is_plain_folder,
    printable,
    why,
)
from runsync.workspaces.files.meta import dump, read_meta, text
from runsync.workspaces.files.strays import is_stray

_FIELDS = ("name", "digest", "source_type", "source", "schema", "profile")
_MOST_KEPT = 8 * 2**20
"""Characters of datasets that are kept at hand."""
LARGEST = 20 * 2**20
"""Bytes of a dataset's meta.yaml: MLflow takes a profile of 16 MiB and a schema of one."""


class Datasets:
    """The datasets of one experiment; many runs read the same, so they are kept at hand."""

    def __init__(self, experiment: str) -> None:
        self._folder = f"{experiment}/{DATASETS}"
        self._kept: dict[str, Mapping[str, str]] = {}
        self._size = 0

    def get(self, dataset_id: str) -> Mapping[str, str]:
        """Fields of a dataset. Raises Broken where it is not there or damaged, OSError."""
        if dataset_id not in self._kept:
            fields = self._read(dataset_id)
            self._size += 1000 + sum(len(text) for text in fields.values())
            if self._size > _MOST_KEPT:
                self._kept, self._size = {}, 0
                return fields
            self._kept[dataset_id] = fields
        return self._kept[dataset_id]

    def _read(self, dataset_id: str) -> Mapping[str, str]:
        if "/" in dataset_id or dataset_id.startswith("."):
            raise Broken(f"it read a dataset of the odd id {dataset_id!a}")
        try:
            for folder in (self._folder, f"{self._folder}/{dataset_id}"):
                if Path(folder).is_symlink():
                    raise Broken("it lies behind a link, and links are not followed")
            meta = read_meta(f"{self._folder}/{dataset_id}/{META}", LARGEST)
        except FileNotFoundError:
            raise Broken(f"dataset {dataset_id}, which it read, is not there") from None
        except Broken as error:
            raise Broken(f"dataset {dataset_id}, which it read: {error}") from error
        return {name: text(meta, name) for name in _FIELDS}


def dataset_and_model_inputs(
    run: str, datasets: Datasets, problems: list[Problem]
) -> tuple[tuple[DatasetInput, ...], tuple[ModelLink, ...]]:
    """What a run read; what cannot be told of it goes to the problems. Raises Broken, OSError."""
    read: list[DatasetInput] = []
    models: list[ModelLink] = []
    for name, meta in _links(f"{run}/{INPUTS}", "input", problems):
        try:
            if meta.get("source_type") == "DATASET":
                fields = datasets.get(text(meta, "source_id"))
                read.append(DatasetInput(**fields, tags=_tags(meta)))
            elif meta.get("source_type") == "MODEL":
                models.append(ModelLink(text(meta, "source_id")))
            else:
                raise Broken(f"it has an input of an unknown kind: {ascii(meta.get('source_type'))[:40]}")
        except FileNotFoundError:
            raise
        except (Broken, OSError) as error:
            problems.append(Problem("input", printable(name), why(error)))
    return tuple(sorted(read, key=lambda d: (d.name, d.digest))), tuple(sorted(models, key=lambda m: m.model_id))


def model_outputs(run: str, problems: list[Problem]) -> tuple[ModelLink, ...]:
    """The logged models that a run wrote; likewise."""
    links = []
    for name, meta in _links(f"{run}/{OUTPUTS}", "output", problems):
        step = meta.get("step", 0)
        try:
            if not isinstance(step, int):
                raise Broken("its step is no number")
            links.append(ModelLink(text(meta, "source_id"), step))
        except Broken as error:
            problems.append(Problem("output", printable(name), str(error)))
    return tuple(sorted(links, key=lambda m: (m.model_id, m.step)))


def files_of_inputs(run: Run) -> dict[str, dict[str, Any]]:
    """The meta.yaml files that tell what a run read and wrote, by folder below the run's."""
    files = {}
    for read in run.dataset_inputs:
        dataset_id = id_of_dataset(read)
        files[f"{INPUTS}/{_md5(dataset_id, run.run_id)}"] = _link("DATASET", "RUN", dataset_id) | {
            "tags": dict(read.tags)
        }
    for model in run.model_inputs:
        files[f"{INPUTS}/{_md5(model.model_id, run.run_id)}"] = _link("MODEL", "RUN", model.model_id)
    for model in run.model_outputs:
        files[f"{OUTPUTS}/{model.model_id}"] = _link("RUN_OUTPUT", "MODEL_OUTPUT", model.model_id) | {
            "step": model.step
        }
    return files


def put_dataset_input(experiment: str, read: DatasetInput) -> None:
    """Writes a dataset that a run read into the folder of its experiment. Raises Broken, OSError."""
    put_dataset(experiment, id_of_dataset(read), partial(_dumped, read))


def put_dataset(experiment: str, dataset_id: str, content: Callable[[], bytes]) -> None:
    """Writes the meta.yaml of a dataset where it is not there yet. Raises Broken, OSError."""
    folder = Path(experiment, DATASETS, dataset_id)
    if is_plain_file(f"{folder}/{META}"):
        return
    for place in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir()
        if not is_plain_folder(str(place)):
            raise Broken("the datasets of its experiment lie behind a link, and links are not followed")
    staged = folder / f".{uuid.uuid4().hex}"
    staged.write_bytes(content())
    staged.replace(folder / META)


def datasets_of(run: str) -> list[str]:
    """The ids of the datasets that the run in a folder read. Raises Broken, OSError."""
    links = _links(f"{run}/{INPUTS}", "input", [])
    return [text(meta, "source_id") for _, meta in links if meta.get("source_type") == "DATASET"]


def id_of_dataset(read: DatasetInput) -> str:
    """The id that FileStore gives a dataset."""
    return _md5(read.name, read.digest)


def file_of_dataset(read: DatasetInput) -> dict[str, Any]:
    """The meta.yaml of a dataset; MLflow writes null for a schema or profile that there is not."""
    fields = {name: getattr(read, name) for name in _FIELDS}
    return fields | {name: fields[name] or None for name in ("schema", "profile")}


def _dumped(read: DatasetInput) -> bytes:
    return dump(file_of_dataset(read))


def _link(source: str, destination: str, source_id: str) -> dict[str, Any]:
    # FileStore writes the source's id as that of the destination, too, and reads a model's id from there.
    return {
        "source_type": source,
        "source_id": source_id,
        "destination_type": destination,
        "destination_id": source_id,
        "tags": {},
    }


def _links(folder: str, kind: str, problems: list[Problem]) -> list[tuple[str, dict[str, Any]]]:
    """Name and meta.yaml of each; those that cannot be read go to the problems."""
    found = []
    for entry in entries_of(folder):
        try:
            if entry.is_symlink() and not is_stray(entry.name):
                raise Broken("it is a link, and links are not followed")
            if entry.is_dir(follow_symlinks=False) and not is_stray(entry.name):
                found.append((entry.name, read_meta(f"{entry.path}/{META}")))
        except FileNotFoundError:
            continue  # its folder is made first: it is being written, or never was
        except (Broken, OSError) as error:
            problems.append(Problem(kind, printable(entry.name), why(error)))
    return found


def _tags(meta: Mapping[str, Any]) -> dict[str, str]:
    tags = meta.get("tags") or {}
    if not isinstance(tags, dict):
        raise Broken("tags of a dataset that it read are no mapping")
    return {str(key): text(tags, key) for key in tags}


def _md5(*parts: str) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()
