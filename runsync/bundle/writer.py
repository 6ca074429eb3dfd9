"""A bundle as a target: a new snapshot, written part by part.

Order of writes: artifact files, the metrics part, the runs part that names them, at last the manifest. So a runs part
that is there vouches for all it names, and an export that was killed is taken up from the runs parts it left.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import Any

from runsync import threads
from runsync.bundle import dates, layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.draft import Draft
from runsync.bundle.entities import KnownEntities, StoredEntities, learn_entities
from runsync.bundle.entity_writer import EntityWriter
from runsync.bundle.files_writer import FilesWriter
from runsync.bundle.history import History
from runsync.bundle.known import Known, learn
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest, PartFile
from runsync.bundle.publish import Pending, publish, vanished
from runsync.bundle.runs_writer import RunsWriter
from runsync.bundle.suspects import Reusable, noted
from runsync.contract.entities import EntityTarget
from runsync.contract.foresight import Foresight
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged
from runsync.growing import note
from runsync.kinds import KINDS
from runsync.kinds.kind import E, Kind
from runsync.model import times
from runsync.model.experiment import DELETED, Experiment
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome, Step
from runsync.model.place import Place
from runsync.model.progress import Progress, Silent
from runsync.model.run import RUNNING, Batch, Problem, Run
from runsync.model.selection import Selection
from runsync.version import VERSION

RUNS_A_PART = 200
"""Changed runs of several batches are gathered until there are as many."""


class SnapshotWriter:
    """One export into a bundle. What an earlier snapshot (or a killed export) holds unchanged is taken over."""

    def __init__(
        self,
        bundle: Bundle,
        with_artifacts: bool = True,
        thorough: bool = False,
        skip_unchanged: bool = False,
        lock: Lock | None = None,
        workers: int = 8,
        asked: Mapping[str, Any] | None = None,
        verify_stored: bool = False,
    ) -> None:
        self.bundle = bundle
        self.place = Place("bundle", bundle.address, str(layout.VERSION))
        self.snapshot_id = ""
        self.warnings: list[str] = []
        self._with_artifacts = with_artifacts
        self._thorough = thorough
        self._skip_unchanged = skip_unchanged
        self._held = lock
        self._workers = workers
        self._asked = asked or {}
        self._verify_stored = verify_stored
        self._learn(Reusable(bundle.store, {}, frozenset()), Known(), KnownEntities())
        self._broken: dict[str, tuple[Problem, ...]] = {}
        """Pieces of runs that the source cannot read, by run id."""
        self._unfit: dict[str, str] = {}
        """Why experiments cannot be kept, by id."""
        self._held_back: list[Run] = []
        self._progress: Progress = Silent()
        self._notes: list[str] = []
        self._foresight = Foresight()
        self._foreseen_runs = 0
        self._lock = threading.Lock()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Looks through what the bundle holds already."""
        self._source = source
        self._selection = selection
        self._started = times.utc_now()
        store = self.bundle.store
        sizes = {e.name: e.size for folder in (layout.BLOBS, layout.PARTS) for e in store.list(folder)}
        stored = Reusable(store, sizes, noted(store), self._verify_stored, self._workers)
        known = learn(self.bundle, stored, self._thorough)
        kinds = [kind for kind in KINDS if source.entities(kind) is not None]
        self._learn(stored, known, learn_entities(self.bundle, source.place, kinds))
        self.warnings += [*known.unreadable, *known.missing]
        self._unfit = {e.experiment_id: error for e in experiments if (error := _unfit(e))}
        for e in experiments:
            if e.experiment_id in self._unfit:
                self._draft.note_failed("experiment", e.experiment_id, e.name, self._unfit[e.experiment_id])
        self._experiments = [e for e in experiments if e.experiment_id not in self._unfit]
        return self.prepare()

    def prepare(self) -> list[Outcome]:
        """Nothing is written before the first part."""
        good = [Outcome("experiment", e.experiment_id, e.name, self._experiment_action(e)) for e in self._experiments]
        return good + [Outcome("experiment", id, id, FAILED, error=error) for id, error in self._unfit.items()]

    def cannot_keep(self) -> list[NotCarried]:
        """A bundle keeps all that it is given."""
        return []

    def notes(self) -> list[str]:
        """Whether there was nothing to write, and which files were still growing."""
        return [*self._notes, *note(self._files.growing), *self._foresight.notes]

    def entities(self, kind: Kind[E]) -> EntityTarget[E]:
        """A bundle has room for every kind."""
        return self._entities[kind.name]

    def plan(self, batch: Batch) -> list[Step]:
        """A run that is stored with the same fingerprint is not read again, unless it is still running."""
        self._broken.update(batch.broken)
        return [Step(run.run_id, self._action(run)) for run in batch.runs]

    def foresee_experiments(self) -> list[Outcome]:
        """See `Target`."""
        return self.prepare()

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """What cannot be kept, and files that cannot be read."""
        self._foreseen_runs += len(batch.runs)
        return [self._foreseen(run, step, source, batch) for run, step in zip(batch.runs, steps, strict=True)]

    def foresee_end(self) -> bool:
        """See `Target`: a snapshot is made, unless it would equal the newest one and none is wanted then."""
        return not self._skip_unchanged or not self._seems_unchanged()

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Reads what is new and stores it, in one part or several.

        The few of a batch that have changed wait for those of other batches, so that they make one part together.
        """
        for unreadable in batch.unreadable:
            self._draft.note_failed(unreadable.kind, unreadable.id, unreadable.place, unreadable.reason)
        unchanged = {step.run_id for step in steps if step.action == UNCHANGED}
        runs = [run for run in batch.runs if run.experiment_id not in self._unfit]
        wanted = [run for run in runs if run.run_id not in unchanged]
        outcomes = [self._take_over(run) for run in runs if run.run_id in unchanged]
        for run in batch.runs:
            if error := self._why_unfit(run):
                outcomes.append(self._draft.fail(run, error))
        progress.advance(runs=len(outcomes))
        if unchanged:
            wanted = self._with_held_back(wanted, progress)
        return outcomes + self._runs.write(wanted, self._broken, source, pool, progress)

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Stores what was held back, then writes the manifest: from now on the snapshot exists."""
        outcomes = self.store_held_back()
        self._draft.keep_older()
        history = self.bundle.history()
        manifest = self._manifest(not_carried, history)
        if self._skip_unchanged and self._is_unchanged(manifest):
            self._notes.append("Nothing has changed since the newest snapshot: none was made.")
            return outcomes
        if self._held is not None:
            self._held.confirm()
        self.bundle.require(part.kind for part in manifest.objects)
        if history.is_complete:
            lost = (position.id for position in history.unrecorded)
            self.warnings += [f"the record of snapshot {id} was lost: it is written again" for id in lost]
        self.bundle.record_all(history)
        needed = {**self._stored.sizes, **{file.path: file.bytes for file in manifest.files()}}
        publish(self.bundle, [Pending.of(manifest)], lambda entries: vanished(needed, entries))
        self.snapshot_id = manifest.id
        self.warnings += dates.warnings(self.bundle, history.ids, manifest.id)
        return outcomes

    def store_held_back(self) -> list[Outcome]:
        """Stores the runs that were too few for a part."""
        with threads.pool(self._workers, "runsync-request") as pool:
            return self._runs.write(self._held_back, self._broken, self._source, pool, self._progress)

    def close(self) -> None:
        """Removes temporary files."""
        for each in self._entities.values():
            each.close()
        self.bundle.store.clear_temporary()

    def _learn(self, stored: Reusable, known: Known, entities: KnownEntities) -> None:
        self._stored, self._known = stored, known
        self._draft = Draft(known)
        self._files = FilesWriter(self.bundle.store, stored, self._with_artifacts)
        self._runs = RunsWriter(self.bundle, stored, known, self._draft, self._files)
        self._entities = {
            kind.name: EntityWriter(
                kind,
                self.bundle,
                entities.of_kinds.get(kind.name, StoredEntities(self.bundle.store, kind)),
                stored,
                self._with_artifacts,
                self._thorough,
            )
            for kind in KINDS
        }

    def _foreseen(self, run: Run, step: Step, source: Source, batch: Batch) -> Step:
        if error := self._why_unfit(run):
            return replace(step, action=FAILED, error=error)
        problems: list[Problem] = []
        if self._with_artifacts and step.action != UNCHANGED:
            self._foresight.files(source, run, batch.contents.get(run.run_id), problems.append)
        return replace(step, problems=(*step.problems, *problems))

    def _why_unfit(self, run: Run) -> str:
        error = self._unfit.get(run.experiment_id)
        return f"its experiment cannot be kept: {error}" if error else ""

    def _with_held_back(self, runs: Sequence[Run], progress: Progress) -> list[Run]:
        """Holds runs back; gives all that are, once they are enough for a part."""
        with self._lock:
            self._progress = progress
            self._held_back += runs
            if len(self._held_back) < RUNS_A_PART:
                return []
            enough, self._held_back = self._held_back, []
            return enough

    def _is_unchanged(self, manifest: Manifest) -> bool:
        """Whether the newest snapshot holds the same. One that cannot be read is no reason to make none."""
        latest = self._known.latest
        return latest is not None and not self._known.unreadable and latest.has_same_contents(manifest)

    def _seems_unchanged(self) -> bool:
        """The same, by their counts, where all that was planned is unchanged."""
        latest = self._known.latest
        if latest is None or self._known.unreadable:
            return False
        selection, kept = self._selection.to_document(), (len(self._experiments), self._foreseen_runs)
        before = (latest.source.address, latest.selection, latest.with_artifacts)
        is_same = before == (self._source.place.address, selection, self._with_artifacts)
        return is_same and (latest.counts.experiments, latest.counts.runs) == kept

    def _manifest(self, not_carried: Sequence[NotCarried], history: History) -> Manifest:
        documents = (e.to_document() for e in self._experiments)
        store, broken = self.bundle.store, self._known.broken
        path, size = parts.write_documents(store, "experiment", layout.EXPERIMENTS, documents, broken)
        self._stored.arrived(path, size)
        counts = self._draft.counts
        counts.experiments = len(self._experiments)
        counts.experiments_deleted = sum(e.lifecycle_stage == DELETED for e in self._experiments)
        now = times.utc_now()
        snapshot_id = _free_id(history, now)
        return Manifest(
            id=snapshot_id,
            started_at=_iso(self._started),
            created_at=_iso(now),
            tool_version=VERSION,
            source=self._source.place,
            selection=self._selection.to_document(),
            with_artifacts=self._with_artifacts,
            experiments=PartFile(path, size, len(self._experiments)),
            parts=tuple(self._draft.parts()),
            counts=counts,
            problems=tuple(self._draft.problems),
            failed=(*self._draft.failed, *(failed for each in self._entities.values() for failed in each.failed)),
            not_carried=tuple(not_carried),
            objects=tuple(part for each in self._entities.values() for part in each.parts()),
            asked={each.kept_option: value for each in KINDS if (value := self._asked.get(each.kept_option))},
            order=history.order_after(snapshot_id),
        )

    def _action(self, run: Run) -> str:
        if run.run_id not in self._known.runs:
            return CREATE
        if run.status == RUNNING or self._thorough or run.run_id in self._broken:
            return UPDATE
        try:
            return UNCHANGED if self._known.same(run, self._with_artifacts) else UPDATE
        except ITEM_ERRORS:
            return UPDATE  # told when it is stored

    def _experiment_action(self, experiment: Experiment) -> str:
        known = self._known.experiments.get(experiment.experiment_id)
        if known is None:
            return CREATE
        return UNCHANGED if known == experiment else UPDATE

    def _take_over(self, run: Run) -> Outcome:
        """Lets the stored version that `plan` found stand for a run."""
        known = self._known.same(run, self._with_artifacts)
        assert known is not None, run.run_id
        self._draft.take_over(run.run_id, known)
        return Outcome("run", run.run_id, run.name, UNCHANGED, run.run_id, problems=known.problems)


def _free_id(history: History, now: datetime) -> str:
    """An id with the time of this export that is not taken."""
    taken = set(history.ids)
    snapshot_id = layout.new_snapshot_id(now)
    while snapshot_id in taken:
        snapshot_id = layout.new_snapshot_id(now)
    return snapshot_id


def _unfit(experiment: Experiment) -> str:
    """Why there can be no document of an experiment; "" when there can."""
    try:
        parts.line_of("experiment", experiment.to_document(), "its document")
    except BundleDamaged as error:
        return str(error)
    return ""


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
