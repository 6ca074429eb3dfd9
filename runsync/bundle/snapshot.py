"""A snapshot as a source: reads back what an export wrote, holding one part in memory at a time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeGuard

from runsync.bundle import layout, parts
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, open_store
from runsync.bundle.entities import SnapshotEntities
from runsync.bundle.manifest import Manifest, is_of_files
from runsync.bundle.models import SnapshotModels
from runsync.bundle.stored import StoredRun, metrics_name, read_lines
from runsync.contract.source import Histories, Source, Unread, pass_over
from runsync.errors import BundleDamaged, NothingSelected
from runsync.kinds.kind import E, Kind
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.filter.evaluate import Facts, chooser
from runsync.model.not_carried import NotCarried
from runsync.model.ordering import ordered
from runsync.model.place import Place
from runsync.model.run import PART, ArtifactFile, Batch, Contents, ModelVersion, Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.stored_object import StoredObject
from runsync.model.wording import many

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

WHOLE = 1_000_000
"""A metrics part of at most that many points is read at once; a longer one by row groups."""


def undamaged(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches again, where a part that is missing would be taken for runs that are not there.

    Raises BundleDamaged at a part that is damaged.
    """
    for batch in batches:
        for one in batch.unreadable:
            if one.kind == PART:
                raise BundleDamaged(one.reason)
        yield batch


class Snapshot:
    """One snapshot of a bundle."""

    def __init__(self, bundle: Bundle, manifest: Manifest) -> None:
        self.bundle = bundle
        self.manifest = manifest
        self.place = Place("bundle", bundle.address, "1", {"snapshot": manifest.id, "source": manifest.source.address})
        self.requests = 0
        self.notes: list[str] = []
        self.doubts: list[str] = []
        self.workbench = None
        self._located: dict[str, _Location] = {}
        self._located_all = False
        self._damage = ""
        self._models = SnapshotModels(bundle, manifest)

    def close(self) -> None:
        """Nothing is held open."""

    def experiments(self, selection: Selection) -> list[Experiment]:
        """See `Source`."""
        documents = parts.read_documents(self.bundle.store, "experiment", self.manifest.experiments.path)
        chosen = selection.choose(Experiment.from_document(d) for d in documents)
        if not selection.names_runs:
            return chosen
        unread: list[Unreadable] = []
        try:
            return selection.having_runs(chosen, self._told(chosen, selection, unread.append))
        except NothingSelected as error:
            for lost in unread:
                raise BundleDamaged(f"{error}; it may have been in a part that is damaged: {lost.reason}") from None
            raise

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """One batch a part. Those that are damaged are told at the end, each with how many runs it holds, unless the
        others have all runs that are asked for by id."""
        is_meant = self._chooser(experiments, selection)
        damaged: list[Unreadable] = []
        for index in range(len(self.manifest.parts)):
            for batch in self._batch_of_part(index, is_meant):
                damaged += batch.unreadable
                if not batch.unreadable:
                    yield batch
        if damaged and self._has_met(selection):
            self._note(f"{one.reason}; none of them is asked for" for one in damaged)
        elif damaged:
            yield Batch((), unreadable=tuple(_perhaps_meant(one, selection) for one in damaged))

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """See `Source`."""
        yield from islice(ordered(self._told(experiments, selection, unread), order, experiments), limit)

    def unlike(self, other: Source, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """Without the lines that another snapshot of the same bundle holds too."""
        is_meant = self._chooser(experiments, selection)
        theirs = other.manifest.parts if self._is_sibling(other) else ()
        shared = {part.runs.path: set(part.superseded) for part in theirs}
        for index, part in enumerate(self.manifest.parts):
            apart = shared.get(part.runs.path)
            if apart is not None and apart <= set(part.superseded):
                continue
            yield from self._batch_of_part(index, is_meant, apart)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """See `Source`."""
        wanted = set(run_ids)
        self._locate(wanted)
        lines: dict[int, set[int]] = defaultdict(set)
        for place in (self._located[run_id] for run_id in wanted if run_id in self._located):
            lines[place.part].add(place.line)
        return _batch([s for index in sorted(lines) for s in self._runs_of_part(index, lines[index])])

    def histories(self, batch: Batch, pool: Executor) -> AbstractContextManager[Histories]:
        """See `Source`."""
        return self._open_histories({run.run_id for run in batch.runs})

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """A snapshot has nothing to add."""
        return batch

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """The files as they were listed at export; none where artifacts were not asked for. Those that could not be
        read then have that as their fault."""
        (contents,) = self.batch([run.run_id], ()).contents.values()
        lost = (problem for problem in contents.problems if problem.kind == "artifact")
        lacking = tuple(ArtifactFile(one.name, 0, fault=f"not readable at export: {one.reason}") for one in lost)
        return (*(contents.artifacts or ()), *lacking)

    def seen_artifacts(self, run: Run, contents: Contents | None) -> tuple[ArtifactFile, ...]:
        """See `Source`: all blobs are listed once."""
        files = self.artifacts(run) if contents is None else contents.artifacts or ()
        return tuple(replace(file, fault=file.fault or self._blob_fault(file)) for file in files)

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file. Raises BundleDamaged before the last of them when they are not those stored."""
        return parts.sound_chunks(self.bundle.store, layout.blob(file.sha256 or ""), f"artifact “{file.path}”")

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """Where the blob lies, when the bundle is on S3."""
        return self.bundle.store.locate(layout.blob(file.sha256 or ""), file.size, file.sha256)

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """See `Source`."""
        return self._models.versions_of(run.run_id)

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """None: what an export could not read is in the manifest."""
        return ()

    def known_counts(self, experiments: Sequence[Experiment]) -> Mapping[str, int]:
        """See `Source`."""
        batches = undamaged(self.batches(experiments, Selection()))
        return Counter(run.experiment_id for batch in batches for run in batch.runs)

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """What the export left behind already, and what it could not read."""
        manifest, meant = self.manifest, None
        if (self.manifest.problems or self.manifest.failed) and selection != Selection():
            meant = {run.run_id for batch in self.batches(experiments, selection) for run in batch.runs}
        homes = {e.experiment_id for e in experiments}
        if not artifacts:
            lost = [p for p in manifest.problems if is_of_files(p) and (meant is None or p["run_id"] in meant)]
            manifest = replace(manifest, problems=tuple(p for p in manifest.problems if not is_of_files(p)))
            files = many(len(lost), "file") if all(p["name"] for p in lost) else "some files"
            self._note([f"{files} could not be read at export; no artifacts were asked for"] if lost else [])
        return manifest.lacks(selection, meant, homes, has_all=self._has_met(selection))

    def lost(self, experiments: Sequence[Experiment], selection: Selection) -> list[Unreadable]:
        """Of what the export could not read, all that a selection may mean."""
        meant = None
        if selection != Selection():
            meant = {run.run_id for batch in self.batches(experiments, selection) for run in batch.runs}
        items = self.manifest.items_lost(selection, {e.experiment_id for e in experiments}, self._has_met(selection))
        pieces = [p for p in self.manifest.problems if meant is None or p["run_id"] in meant]
        return [
            *(Unreadable(f["id"], f["name"], f"at export: {f['error']}", f["kind"]) for f in items),
            *(Unreadable(p["run_id"], p["name"], f"at export: {p['reason']}", f"{p['kind']} of run") for p in pieces),
        ]

    def entities(self, kind: Kind[E]) -> SnapshotEntities[E]:
        """A bundle has room for every kind."""
        return SnapshotEntities(self.bundle, self.manifest, kind)

    def orders(self, kind: Kind[Any], order: Sequence[Order]) -> bool:
        """See `Source`."""
        return False

    @property
    def kept(self) -> Mapping[str, Any]:
        """See `Source`."""
        return self.manifest.asked

    @property
    def is_all(self) -> bool:
        """Whether it is a snapshot of everything, and the export could read every experiment."""
        has_all = Selection.from_document(self.manifest.selection) == Selection()
        return has_all and not any(failed["kind"] == "experiment" for failed in self.manifest.failed)

    @cached_property
    def _blob_sizes(self) -> Mapping[str, int]:
        return {entry.name: entry.size for entry in self.bundle.store.list(layout.BLOBS)}

    def _blob_fault(self, file: ArtifactFile) -> str:
        name = layout.blob(file.sha256 or "")
        size = self._blob_sizes.get(name)
        if size is None:
            return f"{self.bundle.address}/{name} is missing"
        return "" if size == file.size else f"{self.bundle.address}/{name} has {size} bytes, not {file.size}"

    def _chooser(self, experiments: Sequence[Experiment], selection: Selection) -> Callable[[StoredRun], bool]:
        facts = Facts.of(experiments, knows_artifacts=True, has_model_version=self._models.has_version)
        is_meant = chooser(selection, facts)
        return lambda s: s.run.experiment_id in facts.experiments and is_meant(s.run, s.contents.artifacts or ())

    def _has_met(self, selection: Selection) -> bool:
        """Whether runs are asked for by id, and all of them were met: then none is in what cannot be read."""
        return bool(selection.runs) and self._located.keys() >= set(selection.runs)

    def _note(self, notes: Iterable[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def _told(self, experiments: Sequence[Experiment], selection: Selection, unread: Unread) -> Iterator[Run]:
        for batch in self.batches(experiments, selection):
            for unreadable in batch.unreadable:
                unread(unreadable)
            yield from batch.runs

    def _batch_of_part(
        self, index: int, is_meant: Callable[[StoredRun], bool], apart: Set[int] | None = None
    ) -> Iterator[Batch]:
        try:
            stored = [s for s in self._runs_of_part(index, apart) if is_meant(s)]
        except BundleDamaged as error:
            yield Batch((), unreadable=(self._damaged(index, error),))
            return
        if stored:
            yield _batch(stored)

    def _damaged(self, index: int, error: BundleDamaged) -> Unreadable:
        """A part that cannot be read, and what the manifest tells of it."""
        part = self.manifest.parts[index]
        held = many(part.runs.count - len(part.superseded), "run")
        reason = f"{error}; it holds {held} of this snapshot (runsync check --repair reads what is broken again)"
        return Unreadable(part.runs.path, self.bundle.address, reason, PART)

    def _runs_of_part(self, index: int, apart: Set[int] | None = None) -> Iterator[StoredRun]:
        """The runs of a part; with `apart` only those of these lines. Raises BundleDamaged where one comes again."""
        part = self.manifest.parts[index]
        gone = frozenset(part.superseded)

        def is_wanted(line: int) -> bool:
            return line not in gone and (apart is None or line in apart)

        for line, s in read_lines(self.bundle.store, part.runs.path, is_wanted, part.runs.count):
            known = self._located.setdefault(s.run.run_id, _Location.of(s, index, line))
            if (known.part, known.line) != (index, line):
                raise BundleDamaged(
                    f"{self.bundle.address}: run {s.run.run_id} is twice in snapshot {self.manifest.id}"
                )
            yield s

    def _is_sibling(self, other: Source) -> "TypeGuard[Snapshot]":
        return isinstance(other, Snapshot) and other.bundle.address == self.bundle.address

    def _locate(self, run_ids: Set[str]) -> None:
        """Reads through all parts once, unless all these runs were met already.

        Raises BundleDamaged for a run that is not met, where a part cannot be read.
        """
        if not run_ids <= self._located.keys() and not self._located_all:
            for index in range(len(self.manifest.parts)):
                self._damage = self._locate_in(index) or self._damage
            self._located_all = True
        if self._damage and not run_ids <= self._located.keys():
            raise BundleDamaged(self._damage)

    def _locate_in(self, index: int) -> str:
        """Reads through a part; tells why that cannot be done, "" where it can."""
        try:
            for _ in self._runs_of_part(index):
                pass
        except BundleDamaged as error:
            return self._damaged(index, error).reason
        return ""

    @contextmanager
    def _open_histories(self, run_ids: set[str]) -> "Iterator[SnapshotHistories]":
        self._locate(run_ids)
        yield SnapshotHistories(self.bundle, {run_id: self._located[run_id] for run_id in run_ids})


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a run is stored: the index of its part, its line, and the rows of a metrics part ("" without points)."""

    part: int
    line: int
    metrics: str
    first_row: int
    points: int

    @classmethod
    def of(cls, stored: StoredRun, part: int, line: int) -> "_Location":
        points = stored.contents.metric_points
        return cls(part, line, metrics_name(stored) if points else "", stored.first_row, points)


class SnapshotHistories:
    """`Histories` of some runs of a snapshot."""

    def __init__(self, bundle: Bundle, located: dict[str, _Location]) -> None:
        self._bundle = bundle
        self._located = located
        self._locks: dict[str, Lock] = defaultdict(Lock)
        self._tables: dict[str, pa.Table | None] = {}

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run. Raises BundleDamaged when there is less than was stored."""
        place = self._located[run_id]
        name, count, found = place.metrics, place.points, 0
        if not count:
            return
        table = self._whole(name)
        pieces = self._by_groups(place, run_id) if table is None else _slices(table, place.first_row, count, run_id)
        for piece in pieces:
            found += len(piece)
            yield piece
        if found != count:
            raise BundleDamaged(f"{self._place(name)}: run {run_id} has {found} points there, not {count}")

    def _place(self, name: str) -> str:
        return f"{self._bundle.address}/{name}"

    def _whole(self, name: str) -> "pa.Table | None":
        """All of a short part, read once for all of its runs; None for a long one."""
        with self._locks[name]:
            if name not in self._tables:
                if not parts.has_its_hash(self._bundle.store, name):
                    raise BundleDamaged(f"{self._place(name)}: {parts.WRONG_HASH}")
                with parts.open_metrics(self._bundle.store, name) as file:
                    self._tables[name] = parts.read_points(file, self._place(name)) if _is_short(file) else None
            return self._tables[name]

    def _by_groups(self, place: _Location, run_id: str) -> "Iterator[pa.RecordBatch]":
        begin, end = place.first_row, place.first_row + place.points
        with parts.open_metrics(self._bundle.store, place.metrics) as file:
            row = 0
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                first, last = max(begin, row), min(end, row + rows)
                if first < last:
                    table = parts.read_points(file, self._place(place.metrics), group)
                    yield from _slices(table, first - row, last - first, run_id)
                row += rows


def _is_short(file: "pq.ParquetFile") -> bool:
    told = file.metadata
    size = sum(told.row_group(group).total_byte_size for group in range(told.num_row_groups))
    return bool(told.num_rows <= WHOLE and size <= parts.MOST_GROUP)


def _slices(table: "pa.Table", first: int, count: int, run_id: str) -> "Iterator[pa.RecordBatch]":
    """Rows of a part without the run column, when they are that run's."""
    from runsync.model.points import POINTS

    for piece in table.slice(first, count).to_batches():
        codes = piece["run_id"]
        if len(codes.unique()) == 1 and codes[0].as_py() == run_id:
            yield piece.drop_columns(["run_id"]).cast(POINTS)


def _perhaps_meant(damaged: Unreadable, selection: Selection) -> Unreadable:
    if selection == Selection():
        return damaged
    return replace(damaged, reason=f"{damaged.reason}; whether any of them is selected cannot be told")


def _batch(stored: Sequence[StoredRun]) -> Batch:
    return Batch(tuple(s.run for s in stored), {s.run.run_id: s.contents for s in stored})


def open_snapshot(where: str | Path, access: Access | None = None) -> Snapshot:
    """The snapshot that an address such as `backup@2026-11-01` names; the newest one where it names none.

    Raises BundleNotFound, BundleDamaged.
    """
    place = locate(where, access)
    bundle = open_store(place.store)
    return Snapshot(bundle, bundle.manifest(bundle.find(place.snapshot)))
