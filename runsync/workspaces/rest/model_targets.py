"""What one import or sync needs to bring models into a server, and the links between them and runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runsync.contract.entities import EntityTarget
from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.kinds.kind import Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.import_options import ImportOptions
from runsync.model.selection import RUNS
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.http import OPTIONAL
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.links import Links
from runsync.workspaces.rest.logged_model_target import LoggedModelTarget
from runsync.workspaces.rest.model_files import ModelFiles
from runsync.workspaces.rest.model_links import ModelLinks
from runsync.workspaces.rest.model_places import ModelPlaces
from runsync.workspaces.rest.model_version_target import ModelVersionTarget
from runsync.workspaces.rest.registered_model_target import ModelAliasTarget, RegisteredModelTarget
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.server import API
from runsync.workspaces.rest.version_files import VersionFiles
from runsync.workspaces.rest.workspace import Models, RestWorkspace


class ModelTargets:
    """The target of each kind of model. `links` are those to logged models; None where the server has none."""

    def __init__(
        self,
        workspace: RestWorkspace,
        models: Models,
        options: ImportOptions,
        experiments: ExperimentMap,
        runs: Links,
        writer: RunWriter,
        source: Callable[[], Source],
    ) -> None:
        self._lacking: set[str] = set()
        """Source ids of runs that lack files in the target."""
        self._options = options
        self._runs = runs
        client, files = workspace.client, ModelFiles(models.store, options.verify_artifacts)
        self._logged = None
        if LOGGED_MODELS.name in workspace.kinds and _has_logged_models(workspace):
            every = workspace.every_experiment
            self._logged = LoggedModelTarget(client, models.logged, files, experiments, runs.find, every, options)
        self.links = ModelLinks(client, writer, self._logged) if self._logged is not None else None
        registered = RegisteredModelTarget(client, models.registered)
        root = models.logged.root
        places = ModelPlaces(client, runs, self._find_model, lambda id: root(id).artifact_uri, self._lacks)
        beside_runs = VersionFiles(client, files, runs, source)
        versions = ModelVersionTarget(client, models.versions, places, beside_runs, registered)
        self._targets: Mapping[str, EntityTarget[Any]] = {
            **({LOGGED_MODELS.name: self._logged} if self._logged is not None else {}),
            REGISTERED_MODELS.name: registered,
            MODEL_VERSIONS.name: versions,
            MODEL_ALIASES.name: ModelAliasTarget(client, models.registered, versions.why_not_whole),
        }

    def of(self, kind: Kind[Any]) -> EntityTarget[Any] | None:
        """The target of a kind; None where the server has no place for it."""
        return self._targets.get(kind.name)

    def note(self, copies: Iterable[Copy]) -> None:
        """Runs were put, with or without all their files."""
        for copy in copies:
            if copy.error or any(problem.kind.startswith("artifact") for problem in copy.problems):
                self._lacking.add(copy.run.run_id)

    def _find_model(self, model_id: str) -> str | None:
        return self._logged.find(model_id) if self._logged is not None else None

    def _lacks(self, kind: str, id: str) -> str:
        """Why the files of a run or a logged model, by its id in the source, are not all there; "" where they are."""
        if not self._options.artifacts:
            return "its files were not carried (--no-artifacts)"
        if kind == RUNS:
            if self._runs.find(id) is None:
                return "its run is not in the target"
            return "its run lacks files in the target" if id in self._lacking else ""
        is_whole = self._logged is not None and self._logged.is_whole(id)
        return "" if is_whole else "its logged model is not in the target with all its files"


def _has_logged_models(workspace: RestWorkspace) -> bool:
    """Whether the server has such a thing, where its version does not tell."""
    if workspace.server.version:
        return True
    try:
        body = {"experiment_ids": ["0"], "max_results": 1}
        workspace.client.post(f"{API}/logged-models/search", body, care=OPTIONAL)
    except RequestRefused as error:
        return not is_unknown(error)
    return True
