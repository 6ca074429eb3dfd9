"""A store that is reached without a server, as a workspace. Its target half is in `direct.target`."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from itertools import groupby, islice
from typing import Any

from runsync.contract.editor import Editor
from runsync.contract.entities import EntitySource
from runsync.contract.model_registry import ModelRegistry
from runsync.contract.source import Histories, Source, Unread, pass_over
from runsync.contract.target import Target
from runsync.contract.workbench import Workbench
from runsync.kinds.kind import E, Kind
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.model.artifact_names import as_sent, restored
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.filter.evaluate import Facts, chooser
from runsync.model.filter.parse import parse
from runsync.model.filter.push import narrowed, state
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.ordering import ordered
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, Batch, Contents, ModelVersion, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject
from runsync.workspaces import documents
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.store import DirectStore, Query


class DirectWorkspace:
    """One file store or database."""

    def __init__(self, store: DirectStore, artifacts: DirectArtifacts) -> None:
        self.store = store
        self.artifact_store = artifacts
        self._entities: Mapping[str, EntitySource[Any]] | None = None

    @property
    def place(self) -> Place:
        """See `Source`."""
        return self.store.place

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        return self.store.whereabouts

    @property
    def requests(self) -> int:
        """Sent to S3 so far."""
        return self.artifact_store.requests

    @property
    def notes(self) -> list[str]:
        """What was passed over, and what seems wrong with the artifact root."""
        return [*self.store.notes, *self.artifact_store.doubts]

    @property
    def doubts(self) -> list[str]:
        """See `Source`."""
        return self.artifact_store.doubts

    def target(self, options: ImportOptions) -> Target:
        """See `direct.target`."""
        from runsync.workspaces.direct.target import DirectTarget

        return DirectTarget(self, options)

    def editor(self) -> Editor:
        """See `direct.editor`."""
        from runsync.workspaces.direct.editor import DirectEditor

        self.store.check_writable()
        return DirectEditor(self.store)

    def registry(self) -> ModelRegistry | None:
        """See `direct.registry`."""
        from runsync.workspaces.direct.registry import DirectModelRegistry

        models = self.store.models
        if MODEL_ALIASES.name not in models.kinds:
            return None
        self.store.check_writable()
        return DirectModelRegistry(models, self.artifact_store)

    def examine(self) -> Iterator[Finding]:
        """See `direct.examine`."""
        from runsync.workspaces.direct.examine import examine

        return examine(self)

    def close(self) -> None:
        """See `Workspace`."""
        self.store.close()

    def experiments(self, selection: Selection) -> list[Experiment]:
        """All experiments the selection means, deleted ones too, oldest first."""
        chosen = selection.choose(self.store.experiments())
        if selection.names_runs:
            batches = self.batches(chosen, selection)
            chosen = selection.having_runs(chosen, (run for batch in batches for run in batch.runs))
        return chosen

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs, oldest first, and those among them that cannot be read."""
        for batch in self._read(experiments, selection):
            if batch.runs or batch.unreadable:
                yield batch

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """See `Source`. By start time they are streamed."""
        order = tuple(order) or NEWEST_FIRST
        by_time = order == NEWEST_FIRST and not selection.runs
        runs = _runs(self._read(experiments, selection, by_time), unread)
        yield from islice(_ties_by_id(runs) if by_time else ordered(runs, order, experiments), limit)

    def unlike(self, other: Source, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """All runs: nothing is known before they are read."""
        return self.batches(experiments, selection)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """See `Source`."""
        query = Query(_ids(experiments), tuple(run_ids))
        runs = [run for batch in self.store.batches(query) for run in batch.runs] if run_ids else []
        return Batch(tuple(runs))

    def histories(self, batch: Batch, pool: Executor) -> AbstractContextManager[Histories]:
        """See `DirectStore.histories`."""
        return self.store.histories([run.run_id for run in batch.runs])

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """A store tells all at once."""
        return batch

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """See `DirectArtifacts.list`."""
        return restored(run.tags, self.artifact_store.list(run))

    def seen_artifacts(self, run: Run, contents: Contents | None) -> tuple[ArtifactFile, ...] | None:
        """See `Source`: files on S3 take requests."""
        if not self.artifact_store.is_near(run):
            return None
        files, fault = self.artifacts(run), self.artifact_store.fault
        return tuple(dataclasses.replace(f, fault=f.fault or fault(run, as_sent(run.tags, f))) for f in files)

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """See `DirectArtifacts.read`."""
        file.check()
        return self.artifact_store.read(run, as_sent(run.tags, file))

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """See `DirectArtifacts.locate`."""
        return None if file.fault else self.artifact_store.locate(run, as_sent(run.tags, file))

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """See `Source`."""
        return self.store.model_versions(run.run_id)

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """See `Source`."""
        return self.store.unreadable_experiments()

    def known_counts(self, experiments: Sequence[Experiment]) -> Mapping[str, int]:
        """See `Source`."""
        counts = self.store.run_counts()
        return {id: counts.get(id, 0) for id in _ids(experiments)}

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """Traces and the like."""
        return self.store.left_behind(_ids(experiments))

    def lost(self, experiments: Sequence[Experiment], selection: Selection) -> Sequence[Unreadable]:
        """Only a snapshot lacks what an export could not read."""
        return ()

    @property
    def is_all(self) -> bool:
        """What a store does not have is not there."""
        return True

    def orders(self, kind: Kind[Any], order: Sequence[Order]) -> bool:
        """See `Source`."""
        return False

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        """Models, traces and documents, of the kinds that the store has room for. MLflow itself has no others."""
        from runsync.workspaces.direct.entities import sources

        if self._entities is None:
            of_store = sources(self.store, self.artifact_store)
            self._entities = {**of_store, **documents.sources(self.store.documents)}
        return self._entities.get(kind.name)

    @property
    def kept(self) -> Mapping[str, Any]:
        """Only a snapshot keeps what was asked for."""
        return {}

    @property
    def workbench(self) -> Workbench | None:
        """MLflow itself runs no notebooks."""
        return None

    def _read(
        self, experiments: Sequence[Experiment], selection: Selection, newest_first: bool = False
    ) -> Iterator[Batch]:
        is_meant = chooser(selection, Facts.of(experiments, has_model_version=self._has_version))
        view = selection.state
        if selection.filter:
            expression = parse(selection.filter)
            experiments = narrowed(expression, experiments)
            view = state(expression) if view == "all" else view
        run_ids = selection.runs or None
        query = Query(_ids(experiments), run_ids, view, selection.since, selection.until, newest_first)
        if run_ids is None and (unreadable := self._unreadable_among(query.experiment_ids)):
            yield Batch((), unreadable=unreadable)
        for batch in self.store.batches(query):
            meant = tuple(run for run in batch.runs if is_meant(run, ()))
            unreadable = tuple(u for u in batch.unreadable if run_ids is None or u.id in run_ids)
            yield dataclasses.replace(batch, runs=meant, unreadable=unreadable)

    def _unreadable_among(self, asked: Sequence[str]) -> tuple[Unreadable, ...]:
        """Those that cannot be read, where all are asked for; and what is broken in those that are."""
        unreadable = tuple(self.unreadable_experiments())
        known = {e.experiment_id for e in self.store.experiments()} if unreadable else set()
        if known <= set(asked):
            return unreadable
        return tuple(one for one in unreadable if one.id in asked and one.kind != "experiment")

    def _has_version(self, run_id: str) -> bool:
        return bool(self.store.model_versions(run_id))


def _runs(batches: Iterable[Batch], unread: Unread) -> Iterator[Run]:
    for batch in batches:
        for unreadable in (*batch.unreadable, *batch.pieces):
            unread(unreadable)
        yield from batch.runs


def _ties_by_id(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs that come newest first; of the same start time by id, as `model.ordering` has it."""
    for _, together in groupby(runs, key=lambda run: run.start_time):
        yield from sorted(together, key=lambda run: run.run_id)


def _ids(experiments: Sequence[Experiment]) -> tuple[str, ...]:
    return tuple(e.experiment_id for e in experiments)
