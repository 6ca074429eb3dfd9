"""What one import or sync needs to bring models into a server, and the links between them and runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runsync.contract.entities import EntityTarget
from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.growing import note
from runsync.kinds.ids import Ids
from runsync.kinds.kind import Kind, Resolve
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.model.import_options import ImportOptions
from runsync.model.selection import RUNS
from runsync.workspaces.arrival.copy import Copy, address_of
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.model_deletions import Holdings, ModelDeletions
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.http import OPTIONAL
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.links import Links
from runsync.workspaces.rest.logged_model_target import LoggedModelTarget
from runsync.workspaces.rest.model_files import ModelFiles
from runsync.workspaces.rest.model_holders import Holders
from runsync.workspaces.rest.model_holdings import ServerHoldings
from runsync.workspaces.rest.model_links import ModelLinks
from runsync.workspaces.rest.model_places import ModelPlaces
from runsync.workspaces.rest.model_sources import Registered
from runsync.workspaces.rest.model_version_target import ModelVersionTarget, Places
from runsync.workspaces.rest.registered_model_target import ModelAliasTarget, RegisteredModelTarget
from runsync.workspaces.rest.runs import RunWriter
from runsync.workspaces.rest.server import API
from runsync.workspaces.rest.text_places import TextPlaces
from runsync.workspaces.rest.version_files import VersionFiles
from runsync.workspaces.rest.workspace import RestWorkspace


class ModelTargets:
    """The target of each kind of model. `ids` get to know those of logged models. `links` are those to logged models;
    None where the server has none. `beside` adds what the server has in other registries."""

    def __init__(
        self,
        workspace: RestWorkspace,
        options: ImportOptions,
        experiments: ExperimentMap,
        runs: Links,
        ids: Ids,
        writer: RunWriter,
        source: Callable[[], Source],
        beside: Callable[[Holdings], Holdings] = lambda own: own,
    ) -> None:
        self._lacking: set[str] = set()
        """Source ids of runs that lack files in the target."""
        self._options = options
        self._runs = runs
        models, client = workspace.models, workspace.client
        files = self._files = ModelFiles(models.store, options)
        follows = not options.deletions.replays
        marks = Marks(lambda: address_of(source().place), is_tagged=True, follows=follows)
        self._logged = None
        if LOGGED_MODELS.name in models.sources and _has_logged_models(workspace):
            every = workspace.every_experiment
            self._logged = LoggedModelTarget(client, models.logged, files, experiments, ids, every, options, marks)
            ids.add({LOGGED_MODELS.name: self._logged.find})
        self.links = ModelLinks(client, writer, self._logged) if self._logged is not None else None
        root = models.logged.root
        places = ModelPlaces(client, runs, ids, lambda id: root(id).artifact_uri, self._lacks)
        beside_runs = VersionFiles(client, files, runs, Holders(client, options.naming), source)

        def registry(there: Registered, places: Places, resolve: Resolve) -> Mapping[str, EntityTarget[Any]]:
            sort = there.sort
            named = RegisteredModelTarget(client, there.models, marks=marks, sort=sort, resolve=resolve)
            versions = ModelVersionTarget(
                client, there.versions, places, beside_runs, named, options.naming, marks, sort, resolve
            )
            aliases = ModelAliasTarget(client, there.models, versions.why_not_whole, marks=marks, sort=sort)
            return {sort.models.name: named, sort.versions.name: versions, sort.aliases.name: aliases}

        targets: Mapping[str, EntityTarget[Any] | None] = {
            LOGGED_MODELS.name: self._logged,
            **registry(models.registered, places, lambda kind, id: id),
            **registry(models.prompts, TextPlaces(), ids),
        }
        self._targets = {name: target for name, target in targets.items() if name in models.sources}
        every_experiment = workspace.every_experiment if self._logged is not None else None
        own = ServerHoldings(client, models, every_experiment, workspace.habits.undeletable)
        self.deletions = ModelDeletions(options, beside(own))

    def of(self, kind: Kind[Any]) -> EntityTarget[Any] | None:
        """The target of a kind; None where the server has no place for it."""
        return self._targets.get(kind.name)

    def note(self, copies: Iterable[Copy]) -> None:
        """Runs were put, with or without all their files."""
        for copy in copies:
            if copy.error or any(problem.kind.startswith("artifact") for problem in copy.problems):
                self._lacking.add(copy.run.run_id)

    def notes(self) -> list[str]:
        """Deletions that were followed, and files that were still growing."""
        return [*self.deletions.notes(), *note(self._files.growing)]

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
