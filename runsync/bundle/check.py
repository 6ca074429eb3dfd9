"""check: is a bundle sound? Structure, schemas, counts, and the hash of every file."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import layout, parts
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, open_store
from runsync.bundle.manifest import Counts, Manifest, PartFile, RunsPart
from runsync.bundle.stored import StoredRun, metrics_name, read_runs
from runsync.errors import BundleDamaged
from runsync.model import threads
from runsync.model.experiment import DELETED, Experiment
from runsync.model.progress import Progress, Silent

DAMAGED = 12


@dataclass(slots=True)
class Fault:
    """Something broken: the file (below the bundle), what is wrong, and which snapshots and runs are hit."""

    file: str
    error: str
    snapshots: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CheckReport:
    """`schemas/v1/check-report.schema.json`. `unused` files are no fault: a killed export leaves such."""

    bundle: str
    quick: bool
    snapshots: int = 0
    files: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 when it is sound, else 12."""
        return DAMAGED if self.faults else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-check-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}


def check(
    bundle: str | Path,
    *,
    quick: bool = False,
    workers: int = 4,
    access: Access | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Checks every snapshot and every file; `quick` leaves out the hashes. All faults are told, not only the first.

    Of `backup@2026-11-01` only that snapshot and what it needs are checked. Raises BundleNotFound, and BundleDamaged
    for a marker that is broken or of a newer version.
    """
    begun = time.monotonic()
    place = locate(bundle, access)
    opened = open_store(place.store)
    chosen = [opened.find(place.snapshot)] if place.snapshot else opened.snapshot_ids()
    checker = _Checker(opened, CheckReport(opened.address, quick), chosen)
    checker.check(workers, progress or Silent())
    checker.report.seconds = round(time.monotonic() - begun, 3)
    return checker.report


@dataclass(slots=True)
class _Book:
    """A snapshot being checked: what its manifest says, and what is found."""

    snapshot_id: str
    manifest: Manifest
    counts: Counts = field(default_factory=Counts)
    experiments: set[str] | None = None
    is_whole: bool = True
    homes: dict[str, list[str]] = field(default_factory=dict)


class _Checker:
    """One check."""

    def __init__(self, bundle: Bundle, report: CheckReport, snapshot_ids: Sequence[str]) -> None:
        self._ids = snapshot_ids
        self.report = report
        self._bundle = bundle
        self._store = bundle.store
        self._sizes = {
            entry.name: entry.size
            for entry in bundle.store.list()
            if not entry.name.startswith((layout.LOCKS, layout.QUARANTINE))
        }
        self._needed: dict[str, set[str]] = {layout.MARKER: set()}
        self._runs_of: dict[str, set[str]] = {}
        self._faults: dict[tuple[str, str], Fault] = {}

    def check(self, workers: int, progress: Progress) -> None:
        books = [book for snapshot_id in self._ids if (book := self._open(snapshot_id))]
        shared: dict[str, list[tuple[_Book, RunsPart]]] = {}
        for book in books:
            for part in book.manifest.parts:
                shared.setdefault(part.runs.path, []).append((book, part))
        for name, users in shared.items():
            self._check_part(name, users)
        self._check_doubles(books)
        for book in books:
            self._check_counts(book)
        self.report.snapshots = len(self._ids)
        self.report.files = len(self._sizes)
        if len(self._ids) == len(self._bundle.snapshot_ids()):
            self.report.unused = sorted(set(self._sizes) - set(self._needed))
        if not self.report.quick:
            self._check_hashes(workers, progress)
        self.report.faults = sorted(self._faults.values(), key=lambda fault: fault.file)

    def _open(self, snapshot_id: str) -> "_Book | None":
        """A snapshot's manifest, and its experiments."""
        name = layout.snapshot(snapshot_id)
        self._need(name, snapshot_id)
        try:
            manifest = self._bundle.manifest(snapshot_id)
        except BundleDamaged as error:
            self._fault(name, str(error), snapshot_id)
            return None
        if manifest.id != snapshot_id:
            self._fault(name, f"it says that it is snapshot {manifest.id}", snapshot_id)
        for file in manifest.files():
            self._check_file(file.path, file.bytes, snapshot_id)
        book = _Book(snapshot_id, manifest)
        try:
            documents = parts.read_documents(self._store, "experiment", manifest.experiments.path)
            experiments = [Experiment.from_document(document) for document in documents]
        except BundleDamaged as error:
            self._fault(manifest.experiments.path, str(error), snapshot_id)
            book.is_whole = False
            return book
        told = manifest.experiments.count
        if len(experiments) != told:
            wrong = f"it holds {len(experiments)} experiments, not {told}"
            self._fault(manifest.experiments.path, wrong, snapshot_id)
        book.experiments = {e.experiment_id for e in experiments}
        book.counts.experiments = len(experiments)
        book.counts.experiments_deleted = sum(e.lifecycle_stage == DELETED for e in experiments)
        return book

    def _check_part(self, name: str, users: "list[tuple[_Book, RunsPart]]") -> None:
        """Reads a part once for all snapshots that share it."""
        try:
            stored = list(read_runs(self._store, name))
        except BundleDamaged as error:
            for book, _ in users:
                self._fault(name, str(error), book.snapshot_id)
                book.is_whole = False
            return
        for book, part in users:
            if len(stored) != part.runs.count:
                self._fault(name, f"it holds {len(stored)} runs, not {part.runs.count}", book.snapshot_id)
            superseded = set(part.superseded)
            for line, s in enumerate(stored, 1):
                if line not in superseded:
                    book.homes.setdefault(s.run.run_id, []).append(name)
                    self._check_run(name, s, book, {file.path for file in part.metrics})
            for file in part.metrics:
                self._check_metrics(file, stored, book.snapshot_id)

    def _check_doubles(self, books: "list[_Book]") -> None:
        """A run may stand in several parts, but in each snapshot only once."""
        for book in books:
            for run_id, homes in book.homes.items():
                if len(homes) > 1:
                    self._fault(homes[-1], f"run {run_id} is twice in the snapshot", book.snapshot_id, run_id)

    def _check_run(self, name: str, stored: StoredRun, book: "_Book", metrics: set[str]) -> None:
        run_id, snapshot_id = stored.run.run_id, book.snapshot_id
        book.counts.add(stored.counts())
        if book.experiments is not None and stored.run.experiment_id not in book.experiments:
            wrong = f"run {run_id} is of experiment {stored.run.experiment_id}, which is not there"
            self._fault(name, wrong, snapshot_id, run_id)
        if stored.metrics_part and metrics_name(stored) not in metrics:
            self._fault(name, f"run {run_id} names a metrics part that the manifest does not", snapshot_id, run_id)
        for file in stored.contents.artifacts or ():
            self._check_file(layout.blob(file.sha256 or ""), file.size, snapshot_id, run_id)

    def _check_counts(self, book: "_Book") -> None:
        told, found = asdict(book.manifest.counts), asdict(book.counts)
        wrong = [f"{key} {found[key]} instead of {told[key]}" for key in told if told[key] != found[key]]
        if book.is_whole and wrong:
            name = layout.snapshot(book.snapshot_id)
            self._fault(name, f"its counts do not add up: {', '.join(wrong)}", book.snapshot_id)

    def _check_metrics(self, file: PartFile, stored: list[StoredRun], snapshot_id: str) -> None:
        of_part = [s for s in stored if s.metrics_part and metrics_name(s) == file.path]
        runs = [s.run.run_id for s in of_part]
        self._runs_of.setdefault(file.path, set()).update(runs)
        try:
            with parts.open_metrics(self._store, file.path) as parquet:
                rows = parquet.metadata.num_rows
                lengths = [] if self.report.quick else _runs_in(parquet)
        except BundleDamaged as error:
            self._fault(file.path, str(error), snapshot_id, *runs)
            return
        if rows != file.count:
            self._fault(file.path, f"it holds {rows} points, not {file.count}", snapshot_id, *runs)
        for s in of_part:
            begin, end = s.first_row, s.first_row + s.contents.metric_points
            fits = any(run == s.run.run_id and first <= begin and end <= last for run, first, last in lengths)
            if end > rows or (lengths and not fits):
                self._fault(
                    file.path,
                    f"the points of run {s.run.run_id} are not where they should be",
                    snapshot_id,
                    s.run.run_id,
                )

    def _check_file(self, name: str, size: int, snapshot_id: str, run_id: str = "") -> None:
        self._need(name, snapshot_id)
        if run_id:
            self._runs_of.setdefault(name, set()).add(run_id)
        if name not in self._sizes:
            self._fault(name, "it is missing", snapshot_id, run_id)
        elif self._sizes[name] != size:
            self._fault(name, f"it has {self._sizes[name]} bytes, not {size}", snapshot_id, run_id)

    def _check_hashes(self, workers: int, progress: Progress) -> None:
        whole = len(self._ids) == len(self._bundle.snapshot_ids())
        named = [n for n in self._sizes if layout.is_named_by_hash(n) and (whole or n in self._needed)]
        with threads.pool(workers) as pool:
            for name, error in zip(named, pool.map(lambda n: self._check_hash(n, progress), named), strict=True):
                self.report.bytes += self._sizes[name]
                if error:
                    self._fault(name, error, *sorted(self._needed.get(name, ())))
                    self._faults[name, error].runs = sorted(self._runs_of.get(name, ()))

    def _check_hash(self, name: str, progress: Progress) -> str:
        try:
            sound = parts.has_its_hash(self._store, name)
        except (BundleDamaged, OSError) as error:
            return str(error)
        progress.advance(bytes=self._sizes[name])
        return "" if sound else parts.WRONG_HASH

    def _need(self, name: str, snapshot_id: str) -> None:
        self._needed.setdefault(name, set()).add(snapshot_id)

    def _fault(self, name: str, error: str, snapshot_id: str = "", *runs: str) -> None:
        fault = self._faults.setdefault((name, error), Fault(name, error))
        if snapshot_id and snapshot_id not in fault.snapshots:
            fault.snapshots.append(snapshot_id)
        fault.runs += [run for run in runs if run and run not in fault.runs]


def _runs_in(parquet: Any) -> list[tuple[str, int, int]]:
    """Run id, first row and row after the last of each stretch of one run."""
    import pyarrow.compute as pc

    stretches: list[tuple[str, int, int]] = []
    begin = 0
    for group in range(parquet.metadata.num_row_groups):
        column = parquet.read_row_group(group, columns=["run_id"])["run_id"].combine_chunks()
        encoded = pc.run_end_encode(column.cast("string"))
        for end, run_id in zip(encoded.run_ends.to_pylist(), encoded.values.to_pylist(), strict=True):
            first = stretches[-1][2] if stretches else 0
            if stretches and stretches[-1][0] == run_id:
                first = stretches.pop()[1]
            stretches.append((run_id, first, begin + end))
        begin += len(column)
    return stretches
