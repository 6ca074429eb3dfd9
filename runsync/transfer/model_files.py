"""Where the files of a model are: those of a logged model, and those of a version, which may lie in a run, in a logged
model, in another version, or hang off nothing else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import NothingSelected, RequestRefused
from runsync.growing import Files, RunFiles
from runsync.kinds.kind import E, Kind
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_versions import MODEL_VERSIONS, READY, Home, ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.redact import without_credentials
from runsync.model.run import ArtifactFile, Run
from runsync.model.selection import RUNS, Selection
from runsync.transfer.registry import SCHEME, Registry, registry_of

_LOGGED = re.compile(rf"{SCHEME}(m-[^/@]+)")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """`files` are below the root of the model. `home` is where they lie, `id` tells that from every other.

    `settled_at` is when they changed last, in epoch milliseconds; None while they may still change. `run` is what they
    hang off, or what logged them, where that is there. Where `status` is not READY there may be less than there should.
    """

    files: Files
    home: Home
    id: str
    settled_at: int | None = None
    run: Run | None = None
    logged: LoggedModel | None = None
    status: str = READY


@dataclass(frozen=True, slots=True)
class _Below:
    """The files below a folder of others."""

    files: Files
    folder: str

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`."""
        start = f"{self.folder}/"
        below = (file for file in self.files.list() if file.path.startswith(start))
        return tuple(replace(file, path=file.path.removeprefix(start)) for file in below)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        return self.files.read(replace(file, path=f"{self.folder}/{file.path}"))


@dataclass(frozen=True, slots=True)
class _OfEntity:
    """The files of a logged model, or of a version that has its own."""

    kind: Kind[Any]
    side: EntitySource[Any]
    item: Any

    def list(self) -> tuple[ArtifactFile, ...]:
        """See `Files`; what could not be read at an export is among them, with its fault."""
        whole = self.side.complete(self.item)
        if unlisted := [problem.reason for problem in whole.problems if not problem.name]:
            raise RequestRefused(f"the files of {self.kind.noun} {self.item.name} are not known: {unlisted[0]}")
        if whole.artifacts is None:
            raise RequestRefused(f"the files of {self.kind.noun} {self.item.name} are not here: {self._why()}")
        lost = (ArtifactFile(p.name, 0, fault=f"not readable at export: {p.reason}") for p in whole.problems)
        return (*whole.artifacts, *lost)

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """See `Files`."""
        return self.side.read_file(self.item, file)

    def _why(self) -> str:
        source = getattr(self.item, "source", "")
        return f"they lie at {without_credentials(source)}" if source else "they were not asked for at export"


def find_model(source: Source, text: str) -> tuple[str, ModelFiles]:
    """NAME/VERSION of what NAME, NAME/VERSION or NAME@ALIAS means, or the id of `models:/m-…`, and its files. Raises
    NothingSelected, WrongUsage."""
    if logged := _LOGGED.fullmatch(text):
        return logged[1], files_of_logged(source, logged[1])
    registry = registry_of(source)
    version = registry.version(text)
    found = files_of_version(source, registry, version)
    return version.name, found if version.status == READY else replace(found, status=version.status)


def files_of_version(source: Source, registry: Registry, version: ModelVersion) -> ModelFiles:
    """Those of a version. Raises NothingSelected where what they hang off is not there, or versions go in a circle."""
    met = [version.name]
    while version.home.kind == MODEL_VERSIONS.name:
        version = registry.version(version.home.id)
        if version.name in met:
            raise NothingSelected(f"model versions go in a circle: {' → '.join((*met, version.name))}")
        met.append(version.name)
    home, side = version.home, _side(source, MODEL_VERSIONS)
    try:
        if home.kind == RUNS:
            return _below(_of_run(source, version, home), home)
        if home.kind == LOGGED_MODELS.name:
            return _below(files_of_logged(source, home.id), home)
    except NothingSelected:  # its run or logged model is purged: a registry may have the files nevertheless
        if not side.complete(version).artifacts:
            raise
    settled = version.created_at if version.status == READY else None
    return ModelFiles(_OfEntity(MODEL_VERSIONS, side, version), Home(), version.name, settled)


def files_of_logged(source: Source, model_id: str) -> ModelFiles:
    """Those of a logged model. Raises NothingSelected."""
    found, files = logged_with_files(source, model_id)
    settled = found.created_at if found.status == READY else None
    run = _run(source, found.source_run_id) if found.source_run_id else None
    return ModelFiles(files, Home(LOGGED_MODELS.name, model_id), model_id, settled, run, found, found.status)


def logged_with_files(source: Source, model_id: str) -> tuple[LoggedModel, Files]:
    """The logged model of an id, and its files. Raises NothingSelected."""
    found = logged_model(source, model_id)
    if found is None:
        raise NothingSelected(f"there is no logged model {model_id}")
    return found, _OfEntity(LOGGED_MODELS, _side(source, LOGGED_MODELS), found)


def logged_model(source: Source, model_id: str) -> LoggedModel | None:
    """The logged model of an id, without its files; None where it is not there."""
    return logged_models(source, {model_id}).get(model_id)


def logged_models(source: Source, model_ids: set[str]) -> dict[str, LoggedModel]:
    """Those of some ids that are there."""
    side = source.entities(LOGGED_MODELS)
    scope = Scope(is_narrow=True)
    for model_id in model_ids:
        scope.name(LOGGED_MODELS.name, model_id)
    found = side.list(scope) if side is not None and model_ids else ()
    return {model.model_id: model for model in found if model.model_id in model_ids}


def _below(found: ModelFiles, home: Home) -> ModelFiles:
    if not home.path:
        return found
    return replace(found, files=_Below(found.files, home.path), home=home, id=f"{found.id}/{home.path}")


def _of_run(source: Source, version: ModelVersion, home: Home) -> ModelFiles:
    run = _run(source, home.id)
    if run is None:
        raise NothingSelected(
            f"the files of model version {version.name} are those of run {home.id}, which is not here"
        )
    return ModelFiles(RunFiles(source, run), home, run.run_id, run.end_time, run)


def _run(source: Source, run_id: str) -> Run | None:
    return next(iter(source.batch([run_id], source.experiments(Selection())).runs), None)


def _side(source: Source, kind: Kind[E]) -> EntitySource[E]:
    side = source.entities(kind)
    if side is None:
        raise NothingSelected(f"{kind.name.replace('-', ' ')} are not read from {source.place.address}")
    return side
