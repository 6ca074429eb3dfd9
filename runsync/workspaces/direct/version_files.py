"""Where the versions of registered models lie in a store, and whether anything is there."""

import hashlib

from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel
from runsync.kinds.model_versions import Home, ModelVersion, home_of
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.run import Run
from runsync.model.selection import RUNS
from runsync.workspaces import local_artifacts
from runsync.workspaces.direct.artifacts import SERVED, DirectArtifacts
from runsync.workspaces.direct.logged_models import as_run
from runsync.workspaces.direct.model_ids import Found
from runsync.workspaces.direct.models import ModelStore, Recorded


class VersionFiles:
    """Of one target."""

    def __init__(self, store: ModelStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts

    def own_place(self, item: ModelVersion) -> str:
        """The root that files of its own get, beside the experiments. A name may hold what no folder is called."""
        name = hashlib.sha256(item.model.encode()).hexdigest()[:32]
        return f"{self._artifacts.new_location(REGISTERED_MODELS.name).rstrip('/')}/{name}/{item.version}/artifacts"

    def owner(self, item: ModelVersion) -> Run:
        """What has them in the same way."""
        return Run(str(item.version), "", artifact_uri=self.own_place(item))

    def has_any(self, version: Recorded[ModelVersion]) -> bool:
        """Whether anything is where a version lies. What lies elsewhere than this store keeps artifacts is not looked
        at. Raises RequestRefused."""
        item, location = version.item, version.location
        home = item.home if item.home.kind in (RUNS, LOGGED_MODELS.name) else home_of(location, item.run_id)
        if home.kind == LOGGED_MODELS.name and (place := self._store.model_places([home.id]).get(home.id)):
            owner = as_run(LoggedModel(place.model_id, ""), place.location)
        elif home.kind == RUNS and (run := self._store.run_places([home.id]).get(home.id)):
            owner = Run(run.run_id, run.experiment_id, artifact_uri=run.artifact_uri)
        elif location.startswith(SERVED) or local_artifacts.folder_of(location) is not None:
            return bool(self._artifacts.list_root(self._artifacts.own_place(location)))
        else:
            return True
        prefix = f"{home.path}/" if home.path else ""
        return any(file.path.startswith(prefix) for file in self._artifacts.list(owner))


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
