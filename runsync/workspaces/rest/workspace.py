"""An MLflow tracking server as a source. Its target half is in `rest.target`."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from runsync.contract.editor import Editor
from runsync.contract.entities import EntitySource
from runsync.contract.source import Histories, Source, Unread, pass_over
from runsync.contract.target import Target
from runsync.contract.workbench import Workbench
from runsync.errors import RequestRefused
from runsync.kinds.kind import E, Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.limits import UNLIMITED, Limits
from runsync.model.artifact_names import as_sent, restored
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, Batch, Contents, LoggedModel, ModelVersion, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject
from runsync.workspaces.address import Address
from runsync.workspaces.http import OPTIONAL, Client, Patience
from runsync.workspaces.rest import models, wire
from runsync.workspaces.rest.artifacts import Artifacts, ArtifactStore
from runsync.workspaces.rest.experiment_list import ExperimentList
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.leftovers import left_behind
from runsync.workspaces.rest.logged_models import LoggedModelSource
from runsync.workspaces.rest.metrics import MetricReader
from runsync.workspaces.rest.model_inputs import ModelInputs
from runsync.workspaces.rest.model_versions import ModelVersionSource
from runsync.workspaces.rest.registered_models import ModelAliasSource, RegisteredModelSource
from runsync.workspaces.rest.search import MakeSearch, RunSearch, quotable
from runsync.workspaces.rest.server import API, FILES, Server, meet
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for

BATCH = 200

_THIS_MACHINE = {"127.0.0.1": "localhost", "::1": "localhost"}
_PORTS = {"http": 80, "https": 443}


class Models(NamedTuple):
    """What a server has of models."""

    store: ArtifactStore
    logged: LoggedModelSource
    registered: RegisteredModelSource
    versions: ModelVersionSource


class RestWorkspace:
    """One MLflow tracking server, or one workspace of it: see `open_server`."""

    def __init__(
        self,
        client: Client,
        server: Server,
        artifacts: Artifacts,
        place: Place,
        habits: Habits | None = None,
        search: MakeSearch = RunSearch,
    ) -> None:
        self.client = client
        self.server = server
        self.artifact_store = artifacts
        self.place = place
        self.habits = habits or Habits()
        self.search = search(client, self.habits, self.habits.dialect or server.dialect)
        self._metrics = MetricReader(client, self.habits.history_page, self.habits.has_bulk_history)
        self._experiments = ExperimentList(client, self.habits)
        self._model_inputs = ModelInputs(client, self.every_experiment, self.habits.is_mlflow)
        self.models: Models | None = None
        """Where there may be any that are carried."""
        self.kinds: Mapping[str, EntitySource[Any]] = {}
        """The sources of the kinds that it has, by name."""
        if self.habits.is_mlflow and isinstance(artifacts, ArtifactStore):
            self.models = Models(
                artifacts,
                LoggedModelSource(client, artifacts, self._metrics),
                RegisteredModelSource(client),
                ModelVersionSource(client),
            )
            of_3 = {LOGGED_MODELS.name: self.models.logged} if server.has_logged_models else {}
            self.kinds = {
                **of_3,
                REGISTERED_MODELS.name: self.models.registered,
                MODEL_VERSIONS.name: self.models.versions,
                MODEL_ALIASES.name: ModelAliasSource(self.models.registered),
            }

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self.client.requests + self.artifact_store.requests

    @property
    def doubts(self) -> list[str]:
        """See `Source`: a server tells what it cannot reach."""
        return []

    @property
    def notes(self) -> list[str]:
        """What its user should hear of how it was reached."""
        return [*self.artifact_store.notes, *self.search.notes, *self._experiments.notes, *self._metrics.notes]

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        parts = urlsplit(self.place.address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
        return _THIS_MACHINE.get(host, host), str(port), parts.path, parts.query

    def target(self, options: ImportOptions) -> Target:
        """See `rest.target`."""
        from runsync.workspaces.rest.target import RestTarget

        return RestTarget(self, options)

    def editor(self) -> Editor:
        """See `rest.editor`."""
        from runsync.workspaces.rest.editor import RestEditor

        return RestEditor(self.client)

    def examine(self) -> Iterator[Finding]:
        """See `rest.examine`."""
        from runsync.workspaces.rest.examine import examine

        return examine(self)

    def close(self) -> None:
        """Drops the connections; what still waits raises Interrupted."""
        self.client.close()
        self.artifact_store.close()

    def experiments(self, selection: Selection) -> list[Experiment]:
        """All experiments the selection means, deleted ones too, oldest first."""
        chosen = selection.choose(self._experiments.all())
        if selection.names_runs:
            chosen = selection.having_runs(chosen, self.search.meant(chosen, selection))
        return sorted(chosen, key=lambda e: (e.creation_time or 0, e.experiment_id))

    def existing(self, restore_deleted: bool) -> list[Experiment]:
        """The experiments that stand in the way of new ones of their names."""
        return self.experiments(Selection())

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs, oldest first. Each run comes once, though others are made, deleted or purged meanwhile."""
        if odd := self._unreadable_among(experiments, selection):
            yield Batch((), unreadable=odd)
        waiting: list[Run] = []
        told: set[str] = set()
        for run in self.search.once(experiments, selection):
            waiting.append(run)
            if len(waiting) == BATCH:
                yield Batch(tuple(waiting), unreadable=self.search.unreadable(told))
                waiting = []
        unreadable = self.search.unreadable(told)
        if waiting or unreadable:
            yield Batch(tuple(waiting), unreadable=unreadable)

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """See `Source` and `RunSearch`."""
        for one in self._unreadable_among(experiments, selection):
            unread(one)
        yield from self.search.in_order(experiments, selection, tuple(order) or NEWEST_FIRST, limit)
        for one in self.search.unreadable(set()):
            unread(one)

    def unlike(self, other: Source, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """All runs: nothing is known before they are read."""
        return self.batches(experiments, selection)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """The runs of these ids as they are now."""
        return Batch(tuple(self.search.meant(experiments, Selection(runs=tuple(run_ids)))) if run_ids else ())

    def histories(self, batch: Batch, pool: Executor) -> AbstractContextManager[Histories]:
        """See `MetricReader`."""
        return self._metrics.open(batch, pool)

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """See `ModelInputs`."""
        return self._model_inputs.complete(batch, pool)

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """See `ArtifactStore.list`."""
        return restored(run.tags, self.artifact_store.list(run))

    def seen_artifacts(self, run: Run, contents: Contents | None) -> None:
        """See `Source`: each folder takes a request."""

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """See `ArtifactStore.read`."""
        file.check()
        return self.artifact_store.read(run, as_sent(run.tags, file))

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """See `ArtifactStore.locate`."""
        return None if file.fault else self.artifact_store.locate(run, as_sent(run.tags, file))

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """See `Source`; none where the server has no model registry."""
        try:
            of_run = f"run_id='{quotable(run.run_id)}'"
            answer = self.client.get(f"{API}/model-versions/search", care=OPTIONAL, filter=of_run)
            return tuple(wire.sound(answer, "model_versions", wire.model_version)[0])
        except RequestRefused:
            return ()

    def unreadable_experiments(self) -> tuple[Unreadable, ...]:
        """See `Source`: as far as they were met."""
        return self._experiments.unreadable

    def _unreadable_among(self, experiments: Sequence[Experiment], selection: Selection) -> tuple[Unreadable, ...]:
        """Experiments that cannot be read, where none is named and no run; and what is broken in those that are."""
        if selection.runs:
            return ()
        asked = {e.experiment_id for e in experiments}
        return tuple(one for one in self.unreadable_experiments() if not selection.experiments or one.id in asked)

    def known_counts(self, experiments: Sequence[Experiment]) -> None:
        """See `Source`: a server must be asked for all runs to count them."""

    def logged_model(self, run: Run, model_id: str) -> LoggedModel:
        """See `rest.models`."""
        return models.logged_model(self.client, model_id)

    def read_model_file(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """See `rest.models`."""
        file.check()
        return models.read_model_file(self.client, model, file)

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """See `rest.leftovers`."""
        ids = [e.experiment_id for e in experiments]
        return left_behind(self.client, ids, self.habits.is_mlflow, self.server.store == FILES, bool(self.kinds))

    @property
    def is_all(self) -> bool:
        """What a server does not list it does not have, or does not show to us."""
        return True

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        """Models, of MLflow's own servers."""
        found: EntitySource[E] | None = self.kinds.get(kind.name)
        return found

    @property
    def kept(self) -> Mapping[str, Any]:
        """Only a snapshot keeps what was asked for."""
        return {}

    @property
    def workbench(self) -> Workbench | None:
        """MLflow itself runs no notebooks."""
        return None

    def search_everywhere(self, filter_string: str) -> Iterator[Run]:
        """The runs of a filter in all experiments."""
        for ids in self.every_experiment():
            yield from self.search.every(ids, filter_string)

    def every_experiment(self) -> Iterator[Sequence[str]]:
        """The ids of all experiments, as many at a time as one search may name."""
        return self.search.chunks([e.experiment_id for e in self._experiments.all()])


def open_server(
    address: Address, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
    """The open-source server at an address. Raises WorkspaceUnreachable, AccessDenied, WorkspaceError."""
    connections = workers + 4
    client = Client(address.url, address.credentials, connections, patience, limits)
    server = meet(client, address)
    artifacts = ArtifactStore(client, server, S3Artifacts(options_for(address), connections, limits, patience))
    if server.workspace and not address.workspace:
        address = dataclasses.replace(address, workspace=server.workspace)
    return RestWorkspace(client, server, artifacts, Place("MLflow server", address.printable, server.version))
