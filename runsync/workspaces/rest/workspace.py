"""A workspace behind MLflow's REST API as a source; what it is beside one is given to it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Any

from runsync.contract.editor import Editor
from runsync.contract.entities import EntitySource
from runsync.contract.model_registry import ModelRegistry
from runsync.contract.source import Histories, Unread, pass_over
from runsync.contract.target import Target
from runsync.contract.workbench import Workbench
from runsync.contract.workspace import Workspace
from runsync.errors import RequestRefused
from runsync.kinds import push_traces
from runsync.kinds.kind import E, Kind
from runsync.kinds.traces import TRACES
from runsync.model.artifact_names import as_sent, restored
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.finding import Finding
from runsync.model.identity import ORIGIN_EXPERIMENT
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, Batch, ModelVersion, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject
from runsync.workspaces.documents import sources
from runsync.workspaces.http import OPTIONAL
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.document_stores import stores
from runsync.workspaces.rest.experiment_list import ExperimentList
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.leftovers import left_behind
from runsync.workspaces.rest.metrics import MetricReader
from runsync.workspaces.rest.model_inputs import ModelInputs
from runsync.workspaces.rest.model_sources import Models
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.roles import Roles
from runsync.workspaces.rest.search import RunSearch, quotable
from runsync.workspaces.rest.server import API, FILES
from runsync.workspaces.rest.traces import TraceSource

BATCH = 200
Kinds = Mapping[str, EntitySource[Any]]
"""The source of each kind, by name."""


class RestWorkspace(Workspace):
    """One MLflow tracking server, or one workspace of it, or what a cloud has in its place.

    `habits` and `search` are how it differs from MLflow's own server as a source, `roles` what it is beside one.
    `kinds` says which kinds it has, given what is read of its models as on MLflow's own server.
    """

    def __init__(
        self,
        reached: Reached,
        roles: Roles,
        search: RunSearch,
        habits: Habits,
        kinds: Callable[[Models], Kinds] = attrgetter("sources"),
    ) -> None:
        self._reached = reached
        self._roles = roles
        self.client = reached.client
        self.server = reached.server
        self.artifact_store = reached.artifacts
        self.search = search
        self.habits = habits
        self._metrics = MetricReader(self.client, habits.history_page, habits.has_bulk_history)
        self._experiments = ExperimentList(self.client, habits)
        self._model_inputs = ModelInputs(self.client, self.every_experiment, habits.is_mlflow)
        self.models = Models.of(reached, habits, self._metrics)
        self.traces = TraceSource(self.client, self._runs_of) if habits.is_mlflow else None
        of_traces: Kinds = {TRACES.name: self.traces} if self.traces is not None else {}
        has_documents = habits.is_mlflow and self.server.store != FILES
        self.documents = stores(self.client) if has_documents else {}
        """What it has of the kinds that are documents."""
        self._kinds: Kinds = {**kinds(self.models), **of_traces, **sources(self.documents)}

    @property
    def place(self) -> Place:
        """See `Source`."""
        return self._reached.place

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self._reached.requests

    @property
    def notes(self) -> list[str]:
        """What its user should hear of how it was reached."""
        of_runs = [*self.search.notes, *self._experiments.notes, *self._metrics.notes]
        return [*self._reached.notes, *self.artifact_store.notes, *of_runs]

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        return self._reached.whereabouts

    def target(self, options: ImportOptions) -> Target:
        """See `Roles`."""
        return self._roles.target(self, options)

    def editor(self) -> Editor:
        """See `Roles`."""
        return self._roles.editor(self)

    def registry(self) -> ModelRegistry | None:
        """See `Roles`."""
        return self._roles.registry(self)

    @property
    def workbench(self) -> Workbench | None:
        """See `Roles`."""
        return self._roles.workbench

    def examine(self) -> Iterator[Finding]:
        """See `Roles`."""
        return self._roles.examine(self)

    def close(self) -> None:
        """Drops the connections; what still waits raises Interrupted."""
        self._reached.close()

    def experiments(self, selection: Selection) -> list[Experiment]:
        """All experiments the selection means, deleted ones too, oldest first. Where names of deleted ones are free
        again, active ones come after them."""
        named = tuple(map(self.habits.experiment_name, selection.experiments))
        selection = dataclasses.replace(selection, experiments=named)
        chosen = selection.choose(self._experiments.all())
        if selection.names_runs:
            chosen = selection.having_runs(chosen, self.search.meant(chosen, selection))
        return sorted(chosen, key=self._age)

    def _age(self, experiment: Experiment) -> tuple[bool, int, str]:
        comes_after = experiment.lifecycle_stage == ACTIVE and not self.habits.deleted_keep_names
        return comes_after, experiment.creation_time or 0, experiment.experiment_id

    def existing(self, restore_deleted: bool) -> list[Experiment]:
        """The experiments that stand in the way of new ones of their names: others' deleted ones do not where their
        names are free again, unless they are wanted back."""
        every = self.experiments(Selection())
        if self.habits.deleted_keep_names or restore_deleted:
            return every
        return [e for e in every if e.lifecycle_stage == ACTIVE or ORIGIN_EXPERIMENT in e.tags]

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs, oldest first. Each run comes once, though others are made, deleted or purged meanwhile."""
        if odd := self._unreadable_among(experiments, selection):
            yield Batch((), unreadable=odd)
        waiting: list[Run] = []
        told: set[str] = set()
        for run in self.search.once(experiments, selection):
            waiting.append(run)
            if len(waiting) == BATCH:
                self.models.met.note(waiting)
                yield Batch(tuple(waiting), unreadable=self.search.unreadable(told))
                waiting = []
        unreadable = self.search.unreadable(told)
        self.models.met.note(waiting)
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

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """See `rest.leftovers`."""
        ids = [e.experiment_id for e in experiments]
        return left_behind(self.client, ids, self.habits.is_mlflow, self.server.store == FILES)

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        """See `Source`."""
        found: EntitySource[E] | None = self._kinds.get(kind.name)
        return found

    def orders(self, kind: Kind[Any], order: Sequence[Order]) -> bool:
        """See `Source`."""
        return kind is TRACES and bool(push_traces.orders(order))

    def search_everywhere(self, filter_string: str) -> Iterator[Run]:
        """The runs of a filter in all experiments."""
        for ids in self.every_experiment():
            yield from self.search.every(ids, filter_string)

    def _runs_of(self, experiment_ids: Sequence[str]) -> Iterator[str]:
        for ids in self.search.chunks(list(experiment_ids)):
            yield from (run.run_id for run in self.search.every(ids, ""))

    def every_experiment(self) -> Iterator[Sequence[str]]:
        """The ids of all experiments, as many at a time as one search may name."""
        return self.search.chunks([e.experiment_id for e in self._experiments.all()])
