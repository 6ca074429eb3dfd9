"""The models of a run: artifacts with an MLmodel file, and the logged models of MLflow 3."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, NothingSelected, RequestRefused
from runsync.growing import Files
from runsync.model.model_file import ModelFile, parse_model_file
from runsync.model.printable import printable
from runsync.model.run import ArtifactFile, Run
from runsync.model.wording import many
from runsync.transfer.model_files import logged_with_files

MODEL_FILE = "MLmodel"
HISTORY = "mlflow.log-model.history"
LONGEST_TEXT = 4 << 20
"""Bytes of an MLmodel, requirements.txt and the like that are read."""


@dataclass(frozen=True, slots=True)
class RunModel:
    """A model of a run. `path` is what `--model` takes, `uri` what MLflow loads it by, `folder` where its files lie."""

    path: str
    uri: str
    file: ModelFile
    files: tuple[ArtifactFile, ...] = ()
    folder: str = ""
    logged: Files | None = None


@dataclass(slots=True)
class Found:
    """The models of a run, and those that are told of but cannot be had (name and why)."""

    models: list[RunModel] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    def choose(self, path: str | None, run: Run, option: str = "--model") -> RunModel:
        """The model of a path, or the only one. Raises NothingSelected, with the models there are, and with the option
        that names one."""
        fits = [m for m in self.models if path is None or path in (m.path, m.uri, m.uri.rpartition("/")[2])]
        if len(fits) == 1:
            return fits[0]
        names = ", ".join(f"“{m.path}”" + (f" ({m.uri})" if m.logged else "") for m in self.models)
        if self.models:
            which = many(len(fits), "model") if path is None or fits else f"no model “{path}”"
            raise NothingSelected(printable(f"run {run.run_id} has {which}: name one with {option} ({names})"))
        why = "".join(f"; “{name}”: {reason}" for name, reason in self.missing)
        raise NothingSelected(printable(f"run {run.run_id} has no model that can be read{why}"))


def models_of(source: Source, run: Run, files: Sequence[ArtifactFile]) -> Found:
    """The models of a run, whose artifacts are `files`. What cannot be read is among the missing."""
    found = Found()
    for file in files:
        folder, _, name = file.path.rpartition("/")
        if name == MODEL_FILE:
            where = f"runs:/{run.run_id}/{folder}" if folder else f"runs:/{run.run_id}/"
            _take(found, source, run, folder or ".", where, _below(files, folder), folder=folder)
    logged_ids = {link.model_id for link in run.model_outputs}
    for model_id in sorted(logged_ids):
        try:
            logged, own = logged_with_files(source, model_id)
            there = own.list()
        except (*ITEM_ERRORS, NothingSelected) as error:
            found.missing.append((model_id, str(error)))
        else:
            _take(found, source, run, logged.name or model_id, f"models:/{model_id}", there, logged=own)
    found.models.sort(key=lambda model: model.path)
    if not logged_ids:
        told = {model.path for model in found.models} | {path for path, _ in found.missing}
        gone = (path for path in _history(run) if path not in told)
        found.missing += [(path, "it was logged, but its files are not there") for path in gone]
    return found


def read_text(source: Source, run: Run, file: ArtifactFile, logged: Files | None = None) -> str:
    """A small text file of a run, or of a logged model with these files. Raises RequestRefused, BundleDamaged."""
    if logged is not None:
        return text_of(file, logged.read)
    return text_of(file, partial(source.read_artifact, run))


def text_of(file: ArtifactFile, read: Callable[[ArtifactFile], Iterator[bytes]]) -> str:
    """What `read` gives of a small text file. Raises RequestRefused, BundleDamaged."""
    if file.size > LONGEST_TEXT:
        raise RequestRefused(f"“{file.path}” has {file.size} bytes, too many for such a file")
    content = b"".join(_at_most(read(file), file.path))
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise RequestRefused(f"“{file.path}” is not UTF-8 text") from None


def _take(
    found: Found, source: Source, run: Run, path: str, uri: str, files: tuple[ArtifactFile, ...], **more: Any
) -> None:
    wanted = f"{more['folder']}/{MODEL_FILE}" if more.get("folder") else MODEL_FILE
    try:
        (file,) = (file for file in files if file.path == wanted)
        text = read_text(source, run, file, more.get("logged"))
        found.models.append(RunModel(path, uri, parse_model_file(text), files, **more))
    except ITEM_ERRORS as error:
        found.missing.append((path, str(error)))
    except ValueError as error:
        found.missing.append((path, f"its MLmodel file cannot be read: {error}"))


def _below(files: Sequence[ArtifactFile], folder: str) -> tuple[ArtifactFile, ...]:
    return tuple(file for file in files if not folder or file.path.startswith(folder + "/"))


def _at_most(chunks: Iterator[bytes], path: str) -> Iterator[bytes]:
    left = LONGEST_TEXT
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise RequestRefused(f"“{path}” is too long for such a file")
        yield chunk


def _history(run: Run) -> list[str]:
    """Paths in the tag that MLflow 2 sets with every model; none where it cannot be read."""
    try:
        return [entry["artifact_path"] for entry in json.loads(run.tags.get(HISTORY, "[]"))]
    except (ValueError, TypeError, KeyError):
        return []
