"""Where the versions of registered models lie in a store, and whether anything is there."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor

from runsync.errors import RequestRefused
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_versions import Home, ModelVersion, home_of
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.run import Run
from runsync.model.selection import RUNS
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifact_places import SERVED
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.logged_models import as_run
from runsync.workspaces.direct.model_ids import Found
from runsync.workspaces.direct.models import ModelPlace, ModelStore, Recorded, RunPlace

OF_OTHERS = ("runs:/", "models:/")
"""How the places of versions begin that lie where a run or a logged model does. Where that is not there, nothing is."""


class VersionFiles:
    """Of one target."""

    def __init__(self, store: ModelStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts

    def own_place(self, item: ModelVersion) -> str:
        """The root that files of its own get: where the store says, else beside the experiments. A name may hold what
        no folder is called."""
        if place := self._store.own_place(item):
            return place
        name = hashlib.sha256(item.model.encode()).hexdigest()[:32]
        return f"{self._artifacts.places.new(REGISTERED_MODELS.name).rstrip('/')}/{name}/{item.version}/artifacts"

    def owner(self, item: ModelVersion) -> Run:
        """What has them in the same way."""
        return Run(str(item.version), "", artifact_uri=self.own_place(item))

    def has_any(self, versions: Sequence[Recorded[ModelVersion]], pool: Executor) -> list[bool | RequestRefused]:
        """Whether anything is where versions lie, or why that cannot be looked at. What lies elsewhere than this store
        keeps artifacts is taken for being there."""
        homes = [_underlying(version) for version in versions]
        models = self._store.model_places({home.id for home in homes if home.kind == LOGGED_MODELS.name})
        runs = self._store.run_places({home.id for home in homes if home.kind == RUNS})

        def look(version: Recorded[ModelVersion], home: Home) -> bool | RequestRefused:
            try:
                return self._has_any(version.location, home, models.get(home.id), runs.get(home.id))
            except RequestRefused as error:
                return error

        return list(pool.map(look, versions, homes))

    def _has_any(self, location: str, home: Home, model: ModelPlace | None, run: RunPlace | None) -> bool:
        if model is not None:
            owner = as_run(LoggedModel(model.model_id, model.experiment_id), model.location)
        elif run is not None:
            owner = Run(run.run_id, run.experiment_id, artifact_uri=run.artifact_uri)
        elif location.startswith(SERVED) or local_artifacts.folder_of(location) is not None:
            return bool(self._artifacts.list_root(self._artifacts.places.own(location)))
        else:
            return not location.startswith(OF_OTHERS)
        prefix = f"{home.path}/" if home.path else ""
        return any(file.path.startswith(prefix) for file in self._artifacts.list(owner))


def _underlying(version: Recorded[ModelVersion]) -> Home:
    """The run or logged model that it lies in, also where it was made of another version."""
    item = version.item
    return item.home if item.home.kind in (RUNS, LOGGED_MODELS.name) else home_of(version.location, item.run_id)


def placed(item: ModelVersion, found: Found) -> tuple[str, str] | None:
    """What its registry is to be told of where it lies, and what that means (`storage_location`), as MLflow itself
    writes both. None where the run or the logged model that it lies in is not there."""
    home = item.home
    if home.kind == LOGGED_MODELS.name:
        model = found.models.get(home.id)
        if model is None:
            return None
        root = _below(model.location, home)
        return (_below(f"models:/{model.model_id}", home) if item.source.startswith("models:/") else root, root)
    if home.kind == RUNS:
        run = found.runs.get(home.id)
        if run is None:
            return None
        is_of_run = item.source.startswith("runs:/")
        source = _below(f"runs:/{run.run_id}" if is_of_run else run.artifact_uri, home)
        return source, source
    return item.source, item.source


def _below(root: str, home: Home) -> str:
    return f"{root.rstrip('/')}/{home.path}" if home.path else root
