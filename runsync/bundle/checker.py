"""One look at a bundle: what its snapshots need, whether it is there and sound, and whom it hits when it is not."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runsync import threads
from runsync.bundle import layout, locks, parts
from runsync.bundle.books import Book, Line, contradictions
from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import blobs_of, read_part
from runsync.bundle.faults import BROKEN, INVALID, MISMATCH, MISSING, Fault
from runsync.bundle.history import Position, Record
from runsync.bundle.manifest import PartFile, RunsPart
from runsync.bundle.read_through import ReadThrough, read_metrics, read_rows
from runsync.bundle.stored import read_runs
from runsync.bundle.subset import Subset
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.kinds.kind import Kind
from runsync.model.experiment import DELETED, Experiment
from runsync.model.progress import Progress
from runsync.model.wording import many


@dataclass(frozen=True, slots=True)
class Holder:
    """An entity that names a blob, its kind, and the part that it stands in."""

    kind: Kind[Any]
    part: str
    item: Any


@dataclass(slots=True)
class RowsFile:
    """A file of rows: what the snapshots say of it, and where in it the rows of which entity should be: part, entity,
    first row, number of rows."""

    kind: Kind[Any]
    users: list[tuple[str, PartFile]] = field(default_factory=list)
    places: list[tuple[str, Any, int, int]] = field(default_factory=list)


class Checker:
    """`check`, then ask for what was found. `sizes` are those of all files, `odd` says of some that they are none.

    `lines` holds the run documents of every runs part that can be read; `refs` tells of metrics parts and blobs which
    part and line (from 1) names them; `holders` which entities name a blob; `books` are the
    snapshots whose manifest can be read.
    """

    def __init__(self, bundle: Bundle, only: Sequence[str] | None = None) -> None:
        self.bundle = bundle
        self.is_whole = only is None
        self.history = bundle.history()
        self.ids = self.history.ids if only is None else only
        self.sizes: dict[str, int] = {}
        self.odd: dict[str, str] = {}
        for entry in bundle.store.list():
            if not entry.name.startswith(layout.OF_NO_SNAPSHOT):
                self.sizes[entry.name] = entry.size
                if entry.odd:
                    self.odd[entry.name] = entry.odd
        self.hashed: set[str] = set()
        self.lines: dict[str, list[Line]] = {}
        self.refs: dict[str, list[tuple[str, int]]] = {}
        self.holders: dict[str, list[Holder]] = {}
        self._kinds: dict[str, str] = {}
        self._read_kinds: set[str] = set()
        self._keys: dict[str, array[int]] = {}
        """A hash of what each line of a part of entities is known by: eight bytes each, for there may be millions."""
        self._store = bundle.store
        self.books: list[Book] = []
        self._users: dict[str, list[tuple[str, RunsPart]]] = {}
        self._metrics: dict[str, list[tuple[str, PartFile]]] = {}
        self._rows: dict[str, RowsFile] = {}
        self._needed: dict[str, list[str]] = {layout.MARKER: []}
        self._faults: dict[tuple[str, str], Fault] = {}
        self._wrong_sizes: dict[str, Fault] = {}

    def check(self, subset: Subset | None, workers: int, progress: Progress) -> None:
        """All of it; of artifacts and metrics the bytes that are of the subset (None: of none)."""
        if layout.MARKER not in self.sizes:
            self._fault(layout.MARKER, "it is missing", MISSING)
        for name in layout.WITH_DATA & self.odd.keys():
            self._fault(name, f"it is {self.odd[name]}, and no folder", BROKEN)
        for snapshot_id in self.ids:
            self._open(snapshot_id)
        for name in self._users:
            self._check_part(name)
        for name in self._kinds:
            self._check_entities(name)
        if self.is_whole:
            self._check_history(workers)
        for book in self.books:
            for file in book.manifest.files():
                self._check_file(file.path, file.bytes, book.id)
            for wrong in contradictions(book, self.lines):
                self._fault(wrong.file, wrong.error, MISMATCH, [book.id], wrong.runs)
            self._check_doubles(book)
        for name in self._metrics:
            self._check_rows(name)
        if subset is not None:
            self._check_bytes(subset, workers, progress)

    def faults(self) -> list[Fault]:
        """By file."""
        return sorted(self._faults.values(), key=lambda fault: fault.file)

    @property
    def bytes_hashed(self) -> int:
        """Bytes of the files whose hash was compared."""
        return sum(self.sizes[name] for name in self.hashed if name not in self.odd)

    def broken(self) -> dict[str, str]:
        """The files that are there and whose bytes are wrong, and what is wrong: nobody should take them for sound."""
        faults = [fault for fault in self.faults() if fault.kind == BROKEN and layout.is_ours(fault.file)]
        return {fault.file: fault.error for fault in faults if fault.file not in self.odd}

    def sound(self) -> set[str]:
        """The files that were read and have the hash they are named by."""
        return self.hashed - {fault.file for fault in self._faults.values()}

    def unused(self) -> list[str]:
        """Files of ours that no snapshot needs, as far as that can be told: not where a part cannot be read."""
        if not self.is_whole or len(self.books) < len(self.ids):
            return []
        blobs = all(name in self.lines for name in self._users) and self._read_kinds == self._kinds.keys()
        needed = self._needed.keys() | self.refs.keys() | self.holders.keys()
        prefixes = (layout.PARTS, layout.BLOBS) if blobs else layout.PARTS
        return sorted(n for n in self.sizes.keys() - needed if layout.is_ours(n) and n.startswith(prefixes))

    def foreign(self) -> list[str]:
        """Files that are not of the format; locks that are none among them."""
        if not self.is_whole:
            return []
        no_locks = (name for name, holder in locks.holders(self._store).items() if not holder.id)
        ours = (layout.snapshot_id, layout.recorded, layout.marked, layout.is_ours)
        known = {layout.MARKER, *(name for name in self.sizes if any(is_one(name) for is_one in ours))}
        return sorted([*(self.sizes.keys() - known), *no_locks])

    def hit(self, name: str) -> tuple[list[str], list[str]]:
        """The snapshots and the runs that need a file."""
        snapshots = dict.fromkeys(self._needed.get(name, ()))
        runs: dict[str, None] = {}
        for part, number in self.refs.get(name, ()):
            users = self._users_of(part, number)
            if users:
                runs[self.lines[part][number - 1].run_id] = None
                snapshots.update(dict.fromkeys(users))
        for holder in self.holders.get(name, ()):
            snapshots.update(dict.fromkeys(self._needed[holder.part]))
            runs.update(dict.fromkeys(holder.item.runs))
        return list(snapshots), list(runs)

    def _users_of(self, part: str, number: int) -> list[str]:
        """The snapshots that a line of a runs part is of."""
        return [snapshot_id for snapshot_id, user in self._users[part] if number not in user.superseded]

    def _open(self, snapshot_id: str) -> None:
        """A snapshot's manifest, and its experiments."""
        name = layout.snapshot(snapshot_id)
        self._needed[name] = [snapshot_id]
        try:
            manifest = self.bundle.manifest(snapshot_id)
        except BundleDamaged as error:
            self._fault(name, str(error), BROKEN if name in self.sizes else MISSING, [snapshot_id])
            return
        book = Book(snapshot_id, manifest)
        self.books.append(book)
        for file in dict.fromkeys(manifest.files()):
            self._needed.setdefault(file.path, []).append(snapshot_id)
        for part in manifest.parts:
            self._users.setdefault(part.runs.path, []).append((snapshot_id, part))
            for file in part.metrics:
                self._metrics.setdefault(file.path, []).append((snapshot_id, file))
        for objects in manifest.objects:
            self._kinds[objects.documents.path] = objects.kind
            if objects.rows is not None:
                told = self._rows.setdefault(objects.rows.path, RowsFile(BY_NAME[objects.kind]))
                told.users.append((snapshot_id, objects.rows))
        self._read_experiments(book)

    def _check_history(self, workers: int) -> None:
        """Whether each snapshot is recorded as its manifest tells it."""
        placed = {position.id: position for position in self.history.positions}
        lost = set(self.history.unrecorded if self.history.is_complete else ()).difference(self.history.marked)
        for book in self.books:
            if placed[book.id] in lost:
                self._fault(placed[book.id].record, "the record of this snapshot is missing", MISSING)
        wanted: dict[str, bytes] = {}
        for book in self.books:
            if placed[book.id] != Position.of(book.manifest):
                self._fault(placed[book.id].record, "its snapshot has another order", MISMATCH)
            wanted[placed[book.id].record] = Record.of(book.manifest).content()
        there = [name for name in wanted if name in self.sizes]
        with threads.pool(workers) as pool:
            for name, found in zip(there, pool.map(self._content, there), strict=True):
                if found != wanted[name]:
                    self._fault(name, "its bytes are not those that were written", BROKEN)

    def _content(self, name: str) -> bytes | None:
        try:
            return self._store.read(name)
        except BundleDamaged:
            return None

    def _read_experiments(self, book: Book) -> None:
        told = book.manifest.experiments
        if told.path not in self.sizes:
            return
        try:
            documents = parts.read_documents(self._store, "experiment", told.path)
            experiments = [Experiment.from_document(document) for document in documents]
        except BundleDamaged as error:
            self._unreadable(told.path, error)
            return
        self.hashed.add(told.path)
        if len(experiments) != told.count:
            wrong = f"it holds {many(len(experiments), 'experiment')}, not {told.count}"
            self._fault(told.path, wrong, MISMATCH, [book.id])
        book.experiments = {e.experiment_id for e in experiments}
        book.counts.experiments = len(experiments)
        book.counts.experiments_deleted = sum(e.lifecycle_stage == DELETED for e in experiments)

    def _check_part(self, name: str) -> None:
        """Reads a runs part once for all snapshots that share it, and looks for what its living lines name."""
        if name not in self.sizes:
            return
        users = self._users[name]
        dead = set.intersection(*(set(user.superseded) for _, user in users))
        lines: list[Line] = []
        blobs: dict[str, int] = {}
        refs: list[tuple[str, int]] = []
        try:
            for number, stored in enumerate(read_runs(self._store, name), 1):
                lines.append(Line.of(stored))
                if number in dead:
                    continue
                refs += [(lines[-1].metrics, number)] if lines[-1].metrics else []
                for file in stored.contents.artifacts or ():
                    blobs[layout.blob(file.sha256 or "")] = file.size
                    refs.append((layout.blob(file.sha256 or ""), number))
        except BundleDamaged as error:
            self._unreadable(name, error)
            return
        self.lines[name] = lines
        self.hashed.add(name)
        for ref, number in refs:
            self.refs.setdefault(ref, []).append((name, number))
        for blob, size in blobs.items():
            self._check_file(blob, size)
        for snapshot_id, user in users:
            if len(lines) != user.runs.count:
                self._fault(name, f"it holds {many(len(lines), 'run')}, not {user.runs.count}", MISMATCH, [snapshot_id])
            if (last := max(user.superseded, default=0)) > len(lines):
                self._fault(
                    name, f"line {last} is left out of the {len(lines)} that there are", MISMATCH, [snapshot_id]
                )

    def _check_entities(self, name: str) -> None:
        """Reads a part of entities once for all snapshots that share it, and looks for what they name."""
        if name not in self.sizes:
            return
        try:
            kind = BY_NAME[self._kinds[name]]
            lines = {line.number: line for line in read_part(self._store, kind, name)}
        except BundleDamaged as error:
            self._unreadable(name, error)
            return
        self._read_kinds.add(name)
        self._keys[name] = array("q", (hash(line.item.key) for line in lines.values()))
        self.hashed.add(name)
        users = [(b.id, part) for b in self.books for part in b.manifest.objects if part.documents.path == name]
        superseded = set.intersection(*(set(part.superseded) for _, part in users))
        live = [line for line in lines.values() if line.number not in superseded]
        items = [line.item for line in live]
        for rows in {part.rows.path for _, part in users if part.rows is not None}:
            self._rows[rows].places += [(name, line.item, *line.rows) for line in live]
        for item in items:
            for blob_name in blobs_of(item):
                self.holders.setdefault(blob_name, []).append(Holder(kind, name, item))
        for item in items:
            for blob in item.blobs:
                self._check_file(layout.blob(blob.sha256), blob.size)
        for snapshot_id, part in users:
            if part.documents.count != len(lines):
                wrong = f"it holds {len(lines)} {part.kind}, not {part.documents.count}"
                self._fault(name, wrong, MISMATCH, [snapshot_id])
            if (last := max(part.superseded, default=0)) > len(lines):
                wrong = f"line {last} is left out of the {len(lines)} that there are"
                self._fault(name, wrong, MISMATCH, [snapshot_id])

    def _check_doubles(self, book: Book) -> None:
        """Whether a snapshot holds an entity twice."""
        seen: dict[str, set[int]] = {}
        for part in book.manifest.objects:
            superseded, known = set(part.superseded), seen.setdefault(part.kind, set())
            for line, key in enumerate(self._keys.get(part.documents.path, ()), 1):
                if line in superseded:
                    continue
                if key in known:
                    wrong = f"the {BY_NAME[part.kind].noun} of line {line} is twice in the snapshot"
                    self._fault(part.documents.path, wrong, MISMATCH, [book.id])
                known.add(key)

    def _check_rows(self, name: str) -> None:
        """Whether a metrics part is as long as its runs need, by what the manifests say of it."""
        least = min(file.count for _, file in self._metrics[name])
        for part, number in self.refs.get(name, ()):
            line = self.lines[part][number - 1]
            if line.first_row + line.points > least:
                self._misplaced(name, part, number)

    def _check_file(self, name: str, size: int, snapshot_id: str = "") -> None:
        """Whether it is there with the size that a snapshot (or a run document) tells."""
        if self.sizes.get(name) != size:
            snapshots, runs = self.hit(name)
            kind, wrong = MISSING, "it is missing"
            if name in self.odd:
                kind, wrong = BROKEN, f"it is {self.odd[name]}, not a file"
            elif name in self.hashed and any(f.file == name and f.kind == BROKEN for f in self._faults.values()):
                return  # other bytes, and so more or less of them
            elif name in self.sizes:
                kind, wrong = MISMATCH, f"it has {self.sizes[name]} bytes, not {size}"
            fault = self._fault(name, wrong, kind, [snapshot_id] if snapshot_id else snapshots, runs)
            self._wrong_sizes |= {name: fault} if kind == MISMATCH else {}

    def _check_bytes(self, subset: Subset, workers: int, progress: Progress) -> None:
        """Hashes of what was not read yet, and where the points of each run stand."""
        candidates = {
            name: size
            for name, size in self.sizes.items()
            if layout.is_ours(name)
            and name not in self.hashed
            and name not in self.odd
            and (self.is_whole or name in self._needed or name in self.refs or name in self.holders)
        }
        chosen = subset.choose(candidates)
        with threads.pool(workers) as pool:
            for name, read in zip(chosen, pool.map(lambda n: self._read(n, progress), chosen), strict=True):
                self.hashed.add(name)
                if read.error and name in self._wrong_sizes:
                    self._wrong_sizes[name].kind = BROKEN
                elif read.error:
                    self._fault(name, read.error, read.kind, *self.hit(name))
                elif name in self._rows:
                    self._check_places(name, read)
                else:
                    self._check_points(name, read)

    def _read(self, name: str, progress: Progress) -> ReadThrough:
        try:
            read = self._read_through(name)
        except (BundleDamaged, OSError) as error:
            return ReadThrough(error=str(error))
        progress.advance(bytes=self.sizes[name])
        return read

    def _read_through(self, name: str) -> ReadThrough:
        if name in self._metrics:
            return read_metrics(self.bundle, name)
        if name in self._rows:
            return read_rows(self.bundle, name, self._rows[name].kind)
        return ReadThrough.of(self.bundle, name)

    def _check_places(self, name: str, read: ReadThrough) -> None:
        """Whether the rows of each entity stand where its document says."""
        told = self._rows[name]
        for snapshot_id, file in told.users:
            if file.count != read.rows:
                wrong = f"it holds {many(read.rows, 'row')}, not {file.count}"
                self._fault(name, wrong, MISMATCH, [snapshot_id])
        there = {(id, first, last) for id, first, last in read.stretches}
        for part, item, first, count in told.places:
            if count and (item.key[0], first, first + count) not in there:
                wrong = f"the {told.kind.rows_name} of {told.kind.noun} {item.name} are not where they should be"
                self._fault(name, wrong, MISMATCH, self._needed[part], item.runs)

    def _check_points(self, name: str, read: ReadThrough) -> None:
        for snapshot_id, file in self._metrics.get(name, ()):
            if file.count != read.rows:
                wrong = f"it holds {read.rows} points, not {file.count}"
                self._fault(name, wrong, MISMATCH, [snapshot_id], self.hit(name)[1])
        for part, number in self.refs.get(name, ()) if name in self._metrics else ():
            line = self.lines[part][number - 1]
            begin, end = line.first_row, line.first_row + line.points
            if not any(run == line.run_id and first <= begin and end <= last for run, first, last in read.stretches):
                self._misplaced(name, part, number)

    def _misplaced(self, name: str, part: str, number: int) -> None:
        run_id = self.lines[part][number - 1].run_id
        wrong = f"the points of run {run_id} are not where they should be"
        self._fault(name, wrong, MISMATCH, self._users_of(part, number), [run_id])

    def _unreadable(self, name: str, error: BundleDamaged) -> None:
        try:
            kind = INVALID if parts.has_its_hash(self._store, name) else BROKEN
        except BundleDamaged:
            kind = BROKEN
        self.hashed.add(name)
        self._fault(name, str(error), kind, self._needed[name])

    def _fault(
        self, name: str, error: str, kind: str, snapshots: Iterable[str] = (), runs: Iterable[str] = ()
    ) -> Fault:
        fault = self._faults.setdefault((name, error), Fault(name, error, kind))
        fault.snapshots += [s for s in snapshots if s not in fault.snapshots]
        fault.runs += [run for run in runs if run not in fault.runs]
        return fault
