"""A bundle as a target: a new snapshot, written part by part.

Order of writes: artifact files, the metrics part, the runs part that names them, at last the manifest. So a runs part
that is there vouches for all it names, and an export that was killed is taken up from the runs parts it left.
"""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Counts, Manifest, PartFile, RunsPart
from runsync.bundle.store import Entry, Incoming
from runsync.bundle.stored import StoredRun, read_runs
from runsync.errors import ITEM_ERRORS, BundleDamaged
from runsync.model.experiment import DELETED, Experiment
from runsync.model.identity import fingerprint
from runsync.model.progress import Progress
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
    StoredObject,
)
from runsync.model.run import RUNNING, ArtifactFile, Batch, Contents, Problem, Run
from runsync.model.selection import Selection
from runsync.version import VERSION

if TYPE_CHECKING:
    from runsync.model.protocol import Histories

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
    ) -> None:
        self.bundle = bundle
        self._held = lock
        self._skip_unchanged = skip_unchanged
        self.snapshot_id = ""
        self.place = Place("bundle", bundle.address, str(layout.VERSION))
        self._store = bundle.store
        self._with_artifacts = with_artifacts
        self._thorough = thorough
        self._not_before = datetime.fromtimestamp(0, UTC)
        self._blobs: dict[str, int] = {}
        self._broken: set[str] = set()
        self._known: dict[str, _Known] = {}
        self._known_experiments: dict[str, Experiment] = {}
        self._parts: dict[str, RunsPart] = {}
        self._taken: dict[str, tuple[str, int]] = {}
        self._latest: Manifest | None = None
        self._counts = Counts()
        self._problems: list[dict[str, str]] = []
        self._failed: list[dict[str, str]] = []
        self._notes: list[str] = []
        self._lock = threading.Lock()

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Looks through what the bundle holds already."""
        self._source = source.place
        self._selection = selection
        self._experiments = list(experiments)
        self._started = datetime.now(UTC)
        self._blobs = {entry.name: entry.size for entry in self._store.list(layout.BLOBS)}
        self._learn_all()
        return self.prepare()

    def prepare(self) -> list[Outcome]:
        """Nothing is written before the first part."""
        return [Outcome("experiment", e.experiment_id, e.name, self._experiment_action(e)) for e in self._experiments]

    def cannot_keep(self) -> list[NotCarried]:
        """A bundle keeps all that it is given."""
        return []

    def notes(self) -> list[str]:
        """Whether there was nothing to write."""
        return self._notes

    def plan(self, batch: Batch) -> list[Step]:
        """A run that is stored with the same fingerprint is not read again, unless it is still running."""
        return [Step(run.run_id, self._action(run)) for run in batch.runs]

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """Reads what is new and stores it, in one part or several."""
        action = {step.run_id: step.action for step in steps}
        wanted = [run for run in batch.runs if action[run.run_id] != UNCHANGED]
        outcomes = [self._take_over(run) for run in batch.runs if action[run.run_id] == UNCHANGED]
        progress.advance(runs=len(outcomes))
        if not wanted:
            return outcomes
        todo = source.complete(replace(batch, runs=tuple(wanted)), pool)
        futures = [pool.submit(self._fetch_artifacts, run, source, pool, progress) for run in todo.runs]
        with source.histories(todo, pool) as histories:
            group: list[tuple[Run, Contents]] = []
            waiting_bytes = 0
            for run, future in zip(todo.runs, futures, strict=True):
                contents = self._contents(future.result())
                group.append((run, contents))
                waiting_bytes += sum(file.size for file in contents.artifacts or ())
                if waiting_bytes >= COMMIT_BYTES:
                    outcomes += self._commit(group, histories, action, progress)
                    group, waiting_bytes = [], 0
            outcomes += self._commit(group, histories, action, progress)
        return outcomes

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Writes the manifest: from now on the snapshot exists."""
        documents = (e.to_document() for e in self._experiments)
        path, size = parts.write_documents(self._store, "experiment", layout.EXPERIMENTS, documents, self._broken)
        self._counts.experiments = len(self._experiments)
        self._counts.experiments_deleted = sum(e.lifecycle_stage == DELETED for e in self._experiments)
        now = max(datetime.now(UTC), self._not_before)
        manifest = Manifest(
            id=layout.new_snapshot_id(now),
            started_at=_iso(self._started),
            created_at=_iso(now),
            tool_version=VERSION,
            source=self._source,
            selection=self._selection.to_document(),
            with_artifacts=self._with_artifacts,
            experiments=PartFile(path, size, len(self._experiments)),
            parts=tuple(self._final_parts()),
            counts=self._counts,
            problems=tuple(self._problems),
            failed=tuple(self._failed),
            not_carried=tuple(not_carried),
        )
        if self._skip_unchanged and self._latest is not None and self._latest.has_same_contents(manifest):
            self._notes.append("Nothing has changed since the newest snapshot: none was made.")
            return []
        if self._held is not None:
            self._held.confirm()
        self.bundle.add(manifest)
        self.snapshot_id = manifest.id
        return []

    def close(self) -> None:
        """Removes temporary files."""
        self._store.clear_temporary()

    def _learn_all(self) -> None:
        """From the newest snapshot, then from what a later, unfinished export left."""
        there = {entry.name: entry for entry in self._store.list(layout.PARTS)}
        since = 0.0
        ids = self.bundle.snapshot_ids()
        if ids:
            latest = self.bundle.manifest(ids[-1])
            since = datetime.fromisoformat(latest.started_at).timestamp()
            # Also when the clock was put back, the newest snapshot is the last by name.
            self._not_before = datetime.fromisoformat(latest.created_at) + timedelta(milliseconds=1)
            self._latest = latest
            self._learn_experiments(latest.experiments.path)
            for part in latest.parts:
                if all(f.path in there and there[f.path].size == f.bytes for f in (part.runs, *part.metrics)):
                    self._learn(part.runs.path, part.runs.bytes, part)
                else:
                    self._broken.update(f.path for f in (part.runs, *part.metrics))
        for entry in sorted(there.values(), key=_age):
            if entry.name.endswith(layout.RUNS) and entry.modified >= since - 3600 and entry.name not in self._parts:
                self._learn(entry.name, entry.size, None)

    def _learn(self, name: str, size: int, part: RunsPart | None) -> None:
        """What runs a part holds; `part` is what the newest snapshot says of it."""
        try:
            stored = list(read_runs(self._store, name))
        except BundleDamaged:
            self._broken.add(name)  # read again from the source, and replaced
            return
        if part is None:
            hashes = {s.metrics_part for s in stored if s.metrics_part}
            metrics = [self._metrics_file(layout.part(part_hash, layout.METRICS)) for part_hash in sorted(hashes)]
            if None in metrics:
                return
            part = RunsPart(PartFile(name, size, len(stored)), tuple(file for file in metrics if file is not None))
        self._parts[name] = replace(part, superseded=())
        superseded = set(part.superseded)
        for line, s in enumerate(stored, 1):
            if line not in superseded:
                listed = s.contents.artifacts or ()
                lost = any(self._blobs.get(layout.blob(f.sha256 or "")) != f.size for f in listed)
                place = (name, line)
                self._known[s.run.run_id] = _Known(s, place, is_whole=not lost and not s.contents.problems)

    def _learn_experiments(self, name: str) -> None:
        try:
            known = [Experiment.from_document(d) for d in parts.read_documents(self._store, "experiment", name)]
        except BundleDamaged:
            self._broken.add(name)
            return
        self._known_experiments = {e.experiment_id: e for e in known}

    def _metrics_file(self, path: str) -> PartFile | None:
        size = self._store.size(path)
        if size is None:
            return None
        try:
            with parts.open_metrics(self._store, path) as file:
                return PartFile(path, size, file.metadata.num_rows)
        except BundleDamaged:
            return None

    def _action(self, run: Run) -> str:
        known = self._known.get(run.run_id)
        if known is None:
            return CREATE
        same = known.fingerprint == fingerprint(run) and known.experiment_id == run.experiment_id
        fit = known.is_whole and (known.has_artifacts or not self._with_artifacts)
        if same and fit and run.status != RUNNING and not self._thorough:
            return UNCHANGED
        return UPDATE

    def _experiment_action(self, experiment: Experiment) -> str:
        known = self._known_experiments.get(experiment.experiment_id)
        if known is None:
            return CREATE
        return UNCHANGED if known == experiment else UPDATE

    def _take_over(self, run: Run) -> Outcome:
        self._keep_known(run.run_id)
        return Outcome("run", run.run_id, run.name, UNCHANGED, run.run_id)

    def _keep_known(self, run_id: str) -> None:
        known = self._known[run_id]
        with self._lock:
            self._taken[run_id] = known.place
            self._counts.add(known.counts)

    def _fetch_artifacts(self, run: Run, source: Source, pool: Executor, progress: Progress) -> "_Fetching":
        """Lists a run's files and has each fetched; waits for none of them."""
        if not self._with_artifacts:
            return _Fetching([], None)
        try:
            files = source.artifacts(run)
        except ITEM_ERRORS as error:
            return _Fetching([], Problem("artifact list", "", str(error)))
        return _Fetching([(file, pool.submit(self._fetch, run, file, source, progress)) for file in files], None)

    def _fetch(self, run: Run, file: ArtifactFile, source: Source, progress: Progress) -> str | Problem:
        """Stores one file and gives its hash, or why it could not be had."""
        try:
            place = source.locate_artifact(run, file)
            if place is not None and (sha256 := self._copy(place, run, file, source)):
                progress.advance(bytes=file.size)
                return sha256
            return self._stream(run, file, source, progress)
        except ITEM_ERRORS as error:
            return Problem("artifact", file.path, str(error))

    def _copy(self, place: StoredObject, run: Run, file: ArtifactFile, source: Source) -> str:
        """Has S3 copy a file; "" where it cannot. Where it keeps no hash of the file, that is read once for it."""
        located = self._store.locate("", 0, None)
        if located is None or located.endpoint != place.endpoint:
            return ""
        sha256 = place.sha256 or _hash(source.read_artifact(run, file))
        name = layout.blob(sha256)
        is_there = self._blobs.get(name) == file.size
        return sha256 if is_there or self._store.copy_in(place, name) else ""

    def _stream(self, run: Run, file: ArtifactFile, source: Source, progress: Progress) -> str:
        incoming = self._store.incoming()
        try:
            for chunk in source.read_artifact(run, file):
                incoming.write(chunk)
                progress.advance(bytes=len(chunk))
            sha256 = incoming.sha256()
            name = layout.blob(sha256)
            if self._blobs.get(name) != incoming.size:
                incoming.keep(name)
            return sha256
        finally:
            incoming.discard()

    def _contents(self, fetching: "_Fetching") -> Contents:
        """Waits for a run's files."""
        files: list[ArtifactFile] = []
        problems = [fetching.problem] if fetching.problem else []
        for file, future in fetching.files:
            result = future.result()
            if isinstance(result, Problem):
                problems.append(result)
            else:
                files.append(replace(file, sha256=result))
        return Contents(0, tuple(files) if self._with_artifacts else None, tuple(problems))

    def _commit(
        self,
        group: "Sequence[tuple[Run, Contents]]",
        histories: "Histories",
        action: dict[str, str],
        progress: Progress,
    ) -> list[Outcome]:
        """Writes one metrics part, then the runs part that names it."""
        if not group:
            return []
        outcomes: list[Outcome] = []
        rows: list[tuple[Run, Contents, int]] = []
        incoming = self._store.incoming()
        try:
            writer = parts.MetricsWriter(incoming)
            for run, contents in group:
                first = writer.rows
                try:
                    points = writer.add(run.run_id, histories.of(run.run_id))
                except ITEM_ERRORS as error:
                    outcomes.append(self._fail(run, str(error)))
                    continue
                rows.append((run, replace(contents, metric_points=points), first))
                progress.advance(points=points)
            writer.close()
            stored = [
                StoredRun(run, contents, fingerprint(run), incoming.sha256() if contents.metric_points else "", first)
                for run, contents, first in rows
            ]
            outcomes += [self._take_over(s.run) for s in stored if self._is_known(s)]
            stored = [s for s in stored if not self._is_known(s)]
            metrics = self._keep_metrics(incoming, writer.rows if any(s.metrics_part for s in stored) else 0)
        finally:
            incoming.discard()
        self._keep_runs(stored, metrics)
        progress.advance(runs=len(group))
        return outcomes + [_outcome(s, action[s.run.run_id]) for s in stored]

    def _is_known(self, stored: StoredRun) -> bool:
        """Whether a run that had to be read again (it is still running) turns out to be as it was."""
        known = self._known.get(stored.run.run_id)
        return known is not None and known.is_whole and known.digest == _digest(stored)

    def _keep_metrics(self, incoming: Incoming, rows: int) -> tuple[PartFile, ...]:
        if not rows:
            return ()
        path = layout.part(incoming.sha256(), layout.METRICS)
        incoming.keep(path)
        return (PartFile(path, incoming.size, rows),)

    def _keep_runs(self, stored: Sequence[StoredRun], metrics: tuple[PartFile, ...]) -> None:
        if not stored:
            return
        documents = (s.to_document() for s in stored)
        path, size = parts.write_documents(self._store, "run", layout.RUNS, documents, self._broken)
        with self._lock:
            self._parts[path] = RunsPart(PartFile(path, size, len(stored)), metrics)
            for line, s in enumerate(stored, 1):
                self._taken[s.run.run_id] = (path, line)
                self._counts.add(s.counts())
                self._problems += [{"run_id": s.run.run_id, **asdict(p)} for p in s.contents.problems]

    def _fail(self, run: Run, error: str) -> Outcome:
        """A run that could not be read: its older version stays, where there is one."""
        if run.run_id in self._known:
            self._keep_known(run.run_id)
        with self._lock:
            self._failed.append({"kind": "run", "id": run.run_id, "name": run.name, "error": error})
        return Outcome("run", run.run_id, run.name, FAILED, error=error)

    def _final_parts(self) -> Iterator[RunsPart]:
        """The parts that hold a run of this snapshot, each with the lines of it that are not."""
        lines: dict[str, set[int]] = defaultdict(set)
        for name, line in self._taken.values():
            lines[name].add(line)
        for name, part in self._parts.items():
            if name in lines:
                others = tuple(line for line in range(1, part.runs.count + 1) if line not in lines[name])
                yield replace(part, superseded=others)


class _Known:
    """What is kept in memory of a run that the bundle holds."""

    __slots__ = ("counts", "digest", "experiment_id", "fingerprint", "has_artifacts", "is_whole", "place")

    def __init__(self, stored: StoredRun, place: tuple[str, int], is_whole: bool) -> None:
        self.counts = stored.counts()
        self.digest = _digest(stored)
        self.experiment_id = stored.run.experiment_id
        self.fingerprint = stored.fingerprint
        self.has_artifacts = stored.contents.artifacts is not None
        self.is_whole = is_whole
        self.place = place


@dataclass(frozen=True, slots=True)
class _Fetching:
    """The files of a run on their way."""

    files: list[tuple[ArtifactFile, Future[str | Problem]]]
    problem: Problem | None


def _digest(stored: StoredRun) -> bytes:
    """Of all that a run document says, but for where its points stand. Points are only ever added to a run."""
    document = replace(stored, metrics_part="", first_row=0).to_document()
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()


def _hash(chunks: Iterator[bytes]) -> str:
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()


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


def _age(entry: Entry) -> float:
    return entry.modified


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
