"""The files of model versions at the source, wherever they hang: for targets that keep files with each version."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.run import ArtifactFile
from runsync.model.selection import RUNS, Selection


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """`files` are below the root of the version; `read` gives the bytes of one."""

    files: tuple[ArtifactFile, ...]
    read: Callable[[ArtifactFile], Iterator[bytes]]


class FilesOfVersions:
    """`source` gives the source of the whole transfer, `others` by its name a version that is carried too."""

    def __init__(self, source: Callable[[], Source], others: Callable[[str], ModelVersion | None]) -> None:
        self._source = source
        self._others = others
        self._experiments: Sequence[Experiment] | None = None

    def of(self, item: ModelVersion, side: EntitySource[ModelVersion]) -> VersionFiles:
        """Those of a version. Raises RequestRefused where they are not to be had."""
        met = [item.name]
        while item.home.kind == MODEL_VERSIONS.name:
            other = self._others(item.home.id)
            if other is None or other.name in met:
                raise RequestRefused(f"its files are those of version {item.home.id}, which is not carried with it")
            met.append(other.name)
            item = other
        found = {RUNS: self._of_run, LOGGED_MODELS.name: self._of_logged}.get(item.home.kind, _none)(item.home.id)
        if found is None:
            item = side.complete(item)
            found = VersionFiles(item.artifacts or (), partial(side.read_file, item))
        if not (files := _below(found, item.home.path)).files:
            raise RequestRefused(f"its files are not in the source, and nobody could load it from {item.source}")
        return files

    def _of_run(self, run_id: str) -> VersionFiles | None:
        source = self._source()
        if self._experiments is None:
            self._experiments = source.experiments(Selection())
        for run in source.batch([run_id], self._experiments).runs:
            return VersionFiles(source.artifacts(run), partial(source.read_artifact, run))
        return None

    def _of_logged(self, model_id: str) -> VersionFiles | None:
        models = self._source().entities(LOGGED_MODELS)
        if models is None:
            return None
        scope = Scope(is_narrow=True, is_of_runs=True)
        scope.name(LOGGED_MODELS.name, model_id)
        for found in models.list(scope):
            whole = models.complete(found)
            return VersionFiles(whole.artifacts or (), partial(models.read_file, whole))
        return None


def _none(id: str) -> None:
    """Files that hang off nothing that is carried."""


def _below(found: VersionFiles, folder: str) -> VersionFiles:
    if not folder:
        return found
    start = f"{folder}/"
    files = (file for file in found.files if file.path.startswith(start))
    below = tuple(replace(file, path=file.path.removeprefix(start)) for file in files)
    return VersionFiles(below, lambda file: found.read(replace(file, path=start + file.path)))
