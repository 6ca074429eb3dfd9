"""A bundle as a target: a new snapshot, written part by part.

Order of writes: artifact files, the metrics part, the runs part that names them, at last the manifest. So a runs part
that is there vouches for all it names, and an export that was killed is taken up from the runs parts it left.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from runsync.bundle import dates, layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.history import History
from runsync.bundle.known import Known, KnownRun, learn
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Counts, Manifest, PartFile, RunsPart
from runsync.bundle.objects import KnownObjects, learn_objects
from runsync.bundle.objects_writer import ObjectsWriter
from runsync.bundle.publish import Pending, publish, vanished
from runsync.bundle.store import Incoming
from runsync.bundle.stored import StoredRun
from runsync.bundle.suspects import Reusable, noted
from runsync.errors import ITEM_ERRORS, BundleDamaged, may_pass
from runsync.growing import Growing, note
from runsync.model import threads, times
from runsync.model.experiment import DELETED, Experiment
from runsync.model.hashing import sha256_of
from runsync.model.identity import fingerprint
from runsync.model.lost_points import readable_points
from runsync.model.progress import Progress, Silent
from runsync.model.protocol import (
    CREATE,
    FAILED,
    UNCHANGED,
    UPDATE,
    NotCarried,
    Outcome,
    Place,
    Source,
    Step,
)
from runsync.model.run import RUNNING, ArtifactFile, Batch, Contents, Problem, Run
from runsync.model.selection import Selection
from runsync.version import VERSION

if TYPE_CHECKING:
    from runsync.model.protocol import Histories

RUNS_A_PART = 200
"""Changed runs of several batches are gathered until there are as many."""
COMMIT_BYTES = 256 << 20
"""A part is ended after that many bytes of artifacts: no more than that is fetched again after a kill."""


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
        notebooks: tuple[str, ...] = (),
        verify_stored: bool = False,
    ) -> None:
        self.bundle = bundle
        self._notebooks = notebooks
        self._may_pass: set[str] = set()
        """Runs of which another try may bring what this one did not."""
        self._workers = workers
        self._held = lock
        self._skip_unchanged = skip_unchanged
        self.snapshot_id = ""
        self.place = Place("bundle", bundle.address, str(layout.VERSION))
        self._store = bundle.store
        self._with_artifacts = with_artifacts
        self._thorough = thorough
        self._verify_stored = verify_stored
        self._stored = Reusable(bundle.store, {}, frozenset())
        self._known = Known()
        self._history = History()
        self.objects = ObjectsWriter(bundle, KnownObjects(), self._stored)
        self._not_copied: set[str] = set()
        """Buckets that copies were refused from: their files are not read once more for a hash."""
        self._taken: dict[str, tuple[str, int]] = {}
        self._held_back: list[Run] = []
        self._progress: Progress = Silent()
        self._broken: dict[str, tuple[Problem, ...]] = {}
        """Pieces of runs that the source cannot read, by run id."""
        self._unfit: dict[str, str] = {}
        """Why experiments cannot be kept, by id."""
        self._counts = Counts()
        self._problems: list[dict[str, str]] = []
        self._failed: list[dict[str, str]] = []
        self._lost: list[str] = []
        """Runs among them."""
        self._notes: list[str] = []
        self._growing: list[str] = []
        self.warnings: list[str] = []
        self._lock = threading.Lock()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Looks through what the bundle holds already."""
        self._source = source
        self._selection = selection
        self._unfit = {e.experiment_id: error for e in experiments if (error := _unfit(e))}
        for e in experiments:
            if e.experiment_id in self._unfit:
                self._note_failed("experiment", e.experiment_id, e.name, self._unfit[e.experiment_id])
        self._experiments = [e for e in experiments if e.experiment_id not in self._unfit]
        self._started = times.utc_now()
        sizes = {e.name: e.size for folder in (layout.BLOBS, layout.PARTS) for e in self._store.list(folder)}
        self._stored = Reusable(self._store, sizes, noted(self._store), self._verify_stored, self._workers)
        self._known = learn(self.bundle, self._stored, self._thorough)
        self.warnings += [*self._known.unreadable, *self._known.missing]
        objects = learn_objects(self.bundle, source.place, source.objects.kinds if source.objects else ())
        self.objects = ObjectsWriter(self.bundle, objects, self._stored, self._thorough)
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
        return [*self._notes, *note(self._growing)]

    def plan(self, batch: Batch) -> list[Step]:
        """A run that is stored with the same fingerprint is not read again, unless it is still running."""
        self._broken.update(batch.broken)
        return [Step(run.run_id, self._action(run)) for run in batch.runs]

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Reads what is new and stores it, in one part or several.

        The few of a batch that have changed wait for those of other batches, so that they make one part together.
        """
        for unreadable in batch.unreadable:
            self._note_failed(unreadable.kind, unreadable.id, unreadable.place, unreadable.reason)
        unchanged = {step.run_id for step in steps if step.action == UNCHANGED}
        runs = [run for run in batch.runs if run.experiment_id not in self._unfit]
        wanted = [run for run in runs if run.run_id not in unchanged]
        outcomes = [self._take_over(run) for run in runs if run.run_id in unchanged]
        lost = [run for run in batch.runs if run.experiment_id in self._unfit]
        outcomes += [
            self._fail(run, f"its experiment cannot be kept: {self._unfit[run.experiment_id]}") for run in lost
        ]
        progress.advance(runs=len(outcomes))
        if unchanged:
            wanted = self._with_held_back(wanted, progress)
        return outcomes + self._store_runs(wanted, source, pool, progress)

    def _with_held_back(self, runs: Sequence[Run], progress: Progress) -> list[Run]:
        """Holds runs back; gives all that are, once they are enough for a part."""
        with self._lock:
            self._progress = progress
            self._held_back += runs
            if len(self._held_back) < RUNS_A_PART:
                return []
            enough, self._held_back = self._held_back, []
            return enough

    def _store_held_back(self) -> list[Outcome]:
        with threads.pool(self._workers, "runsync-request") as pool:
            return self._store_runs(self._held_back, self._source, pool, self._progress)

    def _store_runs(self, runs: Sequence[Run], source: Source, pool: Executor, progress: Progress) -> list[Outcome]:
        if not runs:
            return []
        outcomes: list[Outcome] = []
        todo = source.complete(Batch(tuple(runs)), pool)
        self._broken.update({id: (*self._broken.get(id, ()), *pieces) for id, pieces in todo.broken.items()})
        futures = [pool.submit(self._fetch_artifacts, run, source, pool, progress) for run in todo.runs]
        with source.histories(todo, pool) as histories:
            group: list[tuple[Run, Contents]] = []
            waiting_bytes = 0
            for run, future in zip(todo.runs, futures, strict=True):
                contents = self._contents(future.result(), self._broken.get(run.run_id, ()))
                group.append((run, contents))
                waiting_bytes += sum(file.size for file in contents.artifacts or ())
                if waiting_bytes >= COMMIT_BYTES:
                    outcomes += self._commit(group, histories, progress)
                    group, waiting_bytes = [], 0
            outcomes += self._commit(group, histories, progress)
        return [replace(one, retry=True) if one.source_id in self._may_pass else one for one in outcomes]

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Stores what was held back, then writes the manifest: from now on the snapshot exists."""
        outcomes = self._store_held_back()
        self._keep_older()
        manifest = self._manifest(not_carried)
        if self._skip_unchanged and self._is_unchanged(manifest):
            self._notes.append("Nothing has changed since the newest snapshot: none was made.")
            return outcomes
        if self._held is not None:
            self._held.confirm()
        self.bundle.require(part.kind for part in manifest.objects)
        if self._history.is_complete:
            lost = (position.id for position in self._history.unrecorded)
            self.warnings += [
                f"the record of snapshot {snapshot_id} was lost: it is written again" for snapshot_id in lost
            ]
        self.bundle.record_all(self._history)
        needed = {**self._stored.sizes, **{file.path: file.bytes for file in manifest.files()}}
        publish(self.bundle, [Pending.of(manifest)], lambda entries: vanished(needed, entries))
        self.snapshot_id = manifest.id
        self.warnings += dates.warnings(self.bundle, self._history.ids, manifest.id)
        return outcomes

    def _is_unchanged(self, manifest: Manifest) -> bool:
        """Whether the newest snapshot holds the same. One that cannot be read is no reason to make none."""
        latest = self._known.latest
        return latest is not None and not self._known.unreadable and latest.has_same_contents(manifest)

    def close(self) -> None:
        """Removes temporary files."""
        self._store.clear_temporary()

    def _manifest(self, not_carried: Sequence[NotCarried]) -> Manifest:
        documents = (e.to_document() for e in self._experiments)
        path, size = parts.write_documents(self._store, "experiment", layout.EXPERIMENTS, documents, self._known.broken)
        self._stored.arrived(path, size)
        self._counts.experiments = len(self._experiments)
        self._counts.experiments_deleted = sum(e.lifecycle_stage == DELETED for e in self._experiments)
        now = times.utc_now()
        snapshot_id, order = self._place(now)
        return Manifest(
            id=snapshot_id,
            started_at=_iso(self._started),
            created_at=_iso(now),
            tool_version=VERSION,
            source=self._source.place,
            selection=self._selection.to_document(),
            with_artifacts=self._with_artifacts,
            experiments=PartFile(path, size, len(self._experiments)),
            parts=tuple(self._final_parts()),
            counts=self._counts,
            problems=tuple(self._problems),
            failed=(*self._failed, *self.objects.failed),
            not_carried=tuple(not_carried),
            objects=tuple(self.objects.finish()),
            notebook_formats=self._notebooks,
            order=order,
        )

    def _place(self, now: datetime) -> tuple[str, int]:
        """An id that is not taken, with the time of this export, and the order that puts it after all others."""
        self._history = self.bundle.history()
        taken = set(self._history.ids)
        snapshot_id = layout.new_snapshot_id(now)
        while snapshot_id in taken:
            snapshot_id = layout.new_snapshot_id(now)
        return snapshot_id, self._history.order_after(snapshot_id)

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

    def _take_over(self, run: Run, known: KnownRun | None = None) -> Outcome:
        """Lets a stored version of a run stand for it; that which `plan` found, where none is given."""
        known = known or self._known.same(run, self._with_artifacts)
        assert known is not None, run.run_id
        self._keep_known(run.run_id, known)
        return Outcome("run", run.run_id, run.name, UNCHANGED, run.run_id, problems=known.problems)

    def _keep_known(self, run_id: str, known: KnownRun) -> None:
        with self._lock:
            self._taken[run_id] = known.place
            self._counts.add(known.counts)
            self._problems += [{"run_id": run_id, **asdict(p)} for p in known.problems]

    def _fetch_artifacts(self, run: Run, source: Source, pool: Executor, progress: Progress) -> "_Fetching":
        """Lists a run's files and has each fetched; waits for none of them."""
        if not self._with_artifacts:
            return _Fetching([], None)
        try:
            files = source.artifacts(run)
        except ITEM_ERRORS as error:
            return _Fetching([], self._problem(run, "artifact list", "", error))
        return _Fetching([pool.submit(self._fetch, run, file, source, progress) for file in files], None)

    def _fetch(self, run: Run, file: ArtifactFile, source: Source, progress: Progress) -> "_Fetched | Problem":
        """Stores one file, or gives why it could not be had."""
        if file.fault:
            return Problem("artifact", file.path, file.fault)
        try:
            if sha256 := self._copy(run, file, source):
                progress.advance(bytes=file.size)
                return _Fetched(replace(file, sha256=sha256))
            growing = Growing(source, run, file)
            sha256 = growing.carry(lambda: self._stream(growing.chunks(), progress))
            return _Fetched(replace(growing.file, sha256=sha256), growing.is_cut)
        except ITEM_ERRORS as error:
            return self._problem(run, "artifact", file.path, error)

    def _problem(self, run: Run, kind: str, name: str, error: Exception) -> Problem:
        """A piece that could not be had."""
        if may_pass(error):
            self._may_pass.add(run.run_id)
        return Problem(kind, name, str(error))

    def _copy(self, run: Run, file: ArtifactFile, source: Source) -> str:
        """Has S3 copy a file; "" where it cannot. Where it keeps no hash of the file, that is read once for it."""
        here = self._store.locate("", 0, None)
        place = source.locate_artifact(run, file) if here is not None else None
        if here is None or place is None or place.endpoint != here.endpoint:
            return ""
        if place.sha256 is None and place.bucket in self._not_copied:
            return ""
        sha256 = place.sha256 or sha256_of(source.read_artifact(run, file))
        name = layout.blob(sha256)
        self._stored.verify([name])
        if self._stored.size(name) == file.size:
            return sha256
        if self._store.copy_in(place, name):
            self._stored.arrived(name, file.size)
            return sha256
        self._not_copied.add(place.bucket)
        return ""

    def _stream(self, chunks: Iterator[bytes], progress: Progress) -> str:
        incoming = self._store.incoming()
        try:
            for chunk in chunks:
                incoming.write(chunk)
                progress.advance(bytes=len(chunk))
            sha256 = incoming.sha256()
            self._stored.keep(incoming, layout.blob(sha256))
            return sha256
        finally:
            incoming.discard()

    def _contents(self, fetching: "_Fetching", broken: Sequence[Problem]) -> Contents:
        """Waits for a run's files; `broken` is what else of it the source cannot read."""
        files: list[_Fetched] = []
        problems = [*broken, *([fetching.problem] if fetching.problem else [])]
        for future in fetching.files:
            result = future.result()
            if isinstance(result, Problem):
                problems.append(result)
            else:
                files.append(result)
        growing = tuple(each.file.path for each in files if each.is_growing)
        with self._lock:
            self._growing += growing
        listed = tuple(each.file for each in files) if self._with_artifacts else None
        return Contents(0, listed, tuple(problems), growing)

    def _commit(
        self,
        group: "Sequence[tuple[Run, Contents]]",
        histories: "Histories",
        progress: Progress,
    ) -> list[Outcome]:
        """Writes one metrics part, then the runs part that names it."""
        if not group:
            return []
        outcomes: list[Outcome] = []
        rows: list[tuple[Run, Contents, int]] = []
        incoming = self._store.incoming()
        try:
            with parts.MetricsWriter(incoming) as writer:
                for run, contents in group:
                    first = writer.rows
                    lost: list[Problem] = []
                    try:
                        points = writer.add(run.run_id, readable_points(histories.of(run.run_id), lost.append))
                    except ITEM_ERRORS as error:
                        if may_pass(error):
                            self._may_pass.add(run.run_id)
                        outcomes.append(self._fail(run, str(error)))
                        continue
                    problems = (*contents.problems, *lost)
                    rows.append((run, replace(contents, metric_points=points, problems=problems), first))
                    progress.advance(points=points)
                writer.close()
            stored = list(self._as_stored(rows, incoming.sha256(), outcomes))
            known = {s.run.run_id: self._known.equal(s) for s in stored}
            outcomes += [self._take_over(s.run, version) for s in stored if (version := known[s.run.run_id])]
            stored = [s for s in stored if not known[s.run.run_id]]
            metrics = self._keep_metrics(incoming, writer.rows if any(s.metrics_part for s in stored) else 0)
        finally:
            incoming.discard()
        stored = self._keep_runs(stored, metrics, outcomes)
        progress.advance(runs=len(group))
        return outcomes + [_outcome(s, UPDATE if s.run.run_id in self._known.runs else CREATE) for s in stored]

    def _as_stored(
        self, rows: Sequence[tuple[Run, Contents, int]], metrics: str, outcomes: list[Outcome]
    ) -> Iterator[StoredRun]:
        for run, contents, first in rows:
            try:
                yield StoredRun(run, contents, fingerprint(run), metrics if contents.metric_points else "", first)
            except ITEM_ERRORS as error:
                outcomes.append(self._fail(run, str(error)))

    def _fit(self, stored: Sequence[StoredRun], outcomes: list[Outcome]) -> list[StoredRun]:
        """The runs of which there can be a document; the others are among the outcomes, as failed."""
        fit = []
        for s in stored:
            try:
                parts.line_of("run", s.to_document(), "its document")
                fit.append(s)
            except BundleDamaged as error:
                outcomes.append(self._fail(s.run, str(error)))
        return fit

    def _keep_metrics(self, incoming: Incoming, rows: int) -> tuple[PartFile, ...]:
        if not rows:
            return ()
        path = layout.part(incoming.sha256(), layout.METRICS)
        self._stored.keep(incoming, path)
        return (PartFile(path, incoming.size, rows),)

    def _keep_runs(
        self, stored: list[StoredRun], metrics: tuple[PartFile, ...], outcomes: list[Outcome]
    ) -> list[StoredRun]:
        """Writes a runs part; gives the runs that are in it."""
        if not stored:
            return []
        if any(s.contents.growing for s in stored):
            with self._lock:
                self.bundle.require([layout.GROWING])
        try:
            documents = (s.to_document() for s in stored)
            path, size = parts.write_documents(self._store, "run", layout.RUNS, documents, self._known.broken)
        except BundleDamaged:
            fit = self._fit(stored, outcomes)
            if len(fit) == len(stored):
                raise
            return self._keep_runs(fit, metrics, outcomes)
        self._stored.arrived(path, size)
        with self._lock:
            self._known.parts[path] = RunsPart(PartFile(path, size, len(stored)), metrics)
            for line, s in enumerate(stored, 1):
                self._taken[s.run.run_id] = (path, line)
                self._counts.add(s.counts())
                self._problems += [{"run_id": s.run.run_id, **asdict(p)} for p in s.contents.problems]
        return stored

    def _fail(self, run: Run, error: str) -> Outcome:
        self._note_failed("run", run.run_id, run.name, error)
        return Outcome("run", run.run_id, run.name, FAILED, error=error)

    def _note_failed(self, kind: str, id: str, name: str, error: str) -> None:
        """What could not be read."""
        with self._lock:
            self._lost += [id] if kind == "run" else []
            self._failed.append({"kind": kind, "id": _unicode(id), "name": _unicode(name), "error": _unicode(error)})

    def _keep_older(self) -> None:
        """Of a run that could not be read the older version stays, where there is one and it was met nowhere else."""
        for run_id in dict.fromkeys(self._lost):
            if run_id not in self._taken and (older := self._known.older(run_id)) is not None:
                self._keep_known(run_id, older)

    def _final_parts(self) -> Iterator[RunsPart]:
        """The parts that hold a run of this snapshot, each with the lines of it that are not."""
        lines: dict[str, set[int]] = defaultdict(set)
        for name, line in self._taken.values():
            lines[name].add(line)
        for name, part in self._known.parts.items():
            if name in lines:
                others = tuple(line for line in range(1, part.runs.count + 1) if line not in lines[name])
                yield replace(part, superseded=others)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A file that is stored, as far as it went when it was listed where it is still growing."""

    file: ArtifactFile
    is_growing: bool = False


@dataclass(frozen=True, slots=True)
class _Fetching:
    """The files of a run on their way."""

    files: list[Future[_Fetched | Problem]]
    problem: Problem | None


def _outcome(stored: StoredRun, action: str) -> Outcome:
    artifacts = stored.contents.artifacts or ()
    return Outcome(
        "run",
        stored.run.run_id,
        stored.run.name,
        action,
        stored.run.run_id,
        points=stored.contents.metric_points,
        artifacts=len(artifacts),
        bytes=sum(file.size for file in artifacts),
        problems=stored.contents.problems,
    )


def _unfit(experiment: Experiment) -> str:
    """Why there can be no document of an experiment; "" when there can."""
    try:
        parts.line_of("experiment", experiment.to_document(), "its document")
    except BundleDamaged as error:
        return str(error)
    return ""


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
