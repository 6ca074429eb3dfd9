"""Repacking: what is still needed of parts that are mostly superseded, or small and many, is written into new parts.

A run version (a line of a runs part) is copied as it is; only where its points stand changes. Blobs stay as they are.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest, PartFile, RunsPart
from runsync.bundle.store import Store
from runsync.bundle.stored import StoredRun, metrics_name, read_runs
from runsync.bundle.survey import Survey, Use, lines_of
from runsync.errors import BundleDamaged

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST = 1000
"""Most runs of a new part."""
MOST_POINTS = 10_000_000
"""A new part takes no further run once it has that many points."""
MOST_SMALL = 10
"""So many parts of less than half a part's runs and points are left alone."""

_Place = tuple[str, int, int, str]
"""Where points stand: name of the metrics part, first row, number of rows, run id."""


@dataclass(slots=True)
class Repacked:
    """The new parts, and where each line of an old part went: (number of the new part, line), by part and line."""

    parts: list[RunsPart] = field(default_factory=list)
    moved: dict[str, dict[int, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def manifest(self, old: Manifest) -> Manifest | None:
        """The manifest that names the new parts; None when it named none of the old ones."""
        if not any(part.runs.path in self.moved for part in old.parts):
            return None
        lines: dict[int, set[int]] = defaultdict(set)
        for part in old.parts:
            for line in lines_of(part) if part.runs.path in self.moved else ():
                number, new_line = self.moved[part.runs.path][line]
                lines[number].add(new_line)
        kept = [part for part in old.parts if part.runs.path not in self.moved]
        return replace(old, parts=(*kept, *(_narrowed(self.parts[number], lines[number]) for number in sorted(lines))))


def choose(survey: Survey) -> list[Use]:
    """The parts worth repacking.

    Those of which less than half of the lines are needed; those of which the newest snapshot needs some, but less than
    half (else it had to open ever more parts); and small ones, when they are many and will be fewer.
    """
    chosen = {name: use for name, use in survey.uses.items() if _is_sparse(use)}
    small = {name: use for name, use in survey.uses.items() if name not in chosen and _is_small(use)}
    if len(small) > MOST_SMALL:
        chosen |= small
    return [use for name, use in survey.uses.items() if name in chosen]


def repack(bundle: Bundle, chosen: Sequence[Use], replaceable: Set[str]) -> Repacked:
    """Writes new parts: first the lines of the newest snapshots, then all others, each in the order of their age.

    A file among the `replaceable` is written anew, should a new part be called so. Raises BundleDamaged for an old part
    that is broken; what was written till then is needed by no snapshot.
    """
    done = Repacked()
    with _Rows(bundle.store) as rows:
        packer = _Packer(bundle.store, rows, done, replaceable)
        for are_current in (True, False):
            for use in chosen:
                wanted = use.current if are_current else use.live - use.current
                for line, stored in _lines(bundle.store, use, wanted):
                    packer.add(use.part.runs.path, line, stored)
            packer.end_part()
    return done


def _is_sparse(use: Use) -> bool:
    count = use.part.runs.count
    return 2 * len(use.live) < count or 0 < 2 * len(use.current) < count


def _is_small(use: Use) -> bool:
    return 2 * len(use.live) < LARGEST and 2 * use.points < MOST_POINTS


def _narrowed(part: RunsPart, lines: set[int]) -> RunsPart:
    return replace(part, superseded=tuple(line for line in range(1, part.runs.count + 1) if line not in lines))


def _lines(store: Store, use: Use, wanted: set[int]) -> Iterator[tuple[int, StoredRun]]:
    if wanted:
        for line, stored in enumerate(read_runs(store, use.part.runs.path), 1):
            if line in wanted:
                yield line, stored


class _Packer:
    """Gathers lines into new parts. Points that several lines share are copied once."""

    def __init__(self, store: Store, rows: "_Rows", done: Repacked, replaceable: Set[str]) -> None:
        self._store = store
        self._rows = rows
        self._done = done
        self._replaceable = replaceable
        self._copied: dict[_Place, tuple[PartFile, int]] = {}
        self._group: list[tuple[str, int, StoredRun]] = []
        self._points = 0

    def add(self, part: str, line: int, stored: StoredRun) -> None:
        """Takes up a line; may write a part."""
        self._group.append((part, line, stored))
        self._points += stored.contents.metric_points
        if len(self._group) >= LARGEST or self._points >= MOST_POINTS:
            self.end_part()

    def end_part(self) -> None:
        """Writes what was gathered: the points, then the runs that name them."""
        if not self._group:
            return
        self._copy_points()
        moved, metrics = [], {}
        for _, _, stored in self._group:
            if stored.contents.metric_points:
                file, first = self._copied[_place(stored)]
                metrics[file.path] = file
                stored = replace(stored, metrics_part=layout.hash_in(file.path), first_row=first)
            moved.append(stored)
        path, size = parts.write_documents(
            self._store, "run", layout.RUNS, (s.to_document() for s in moved), self._replaceable
        )
        self._done.parts.append(RunsPart(PartFile(path, size, len(moved)), tuple(metrics.values())))
        for new_line, (part, line, _) in enumerate(self._group, 1):
            self._done.moved[part][line] = (len(self._done.parts) - 1, new_line)
        self._group, self._points = [], 0

    def _copy_points(self) -> None:
        incoming = self._store.incoming()
        try:
            with parts.MetricsWriter(incoming) as writer:
                first_rows = self._write_points(writer)
                writer.close()
            if not first_rows:
                return
            path = layout.part(incoming.sha256(), layout.METRICS)
            incoming.keep(path, replace=path in self._replaceable)
            file = PartFile(path, incoming.size, writer.rows)
            self._copied.update((place, (file, first)) for place, first in first_rows.items())
        finally:
            incoming.discard()

    def _write_points(self, writer: parts.MetricsWriter) -> dict[_Place, int]:
        """Gives where each history that was not copied before begins."""
        first_rows: dict[_Place, int] = {}
        for _, _, stored in self._group:
            place = _place(stored)
            if stored.contents.metric_points and place not in self._copied and place not in first_rows:
                first_rows[place] = writer.rows
                writer.add(stored.run.run_id, self._rows.of(place))
        return first_rows


class _Rows:
    """Reads points out of metrics parts, holding one row group of one part at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stack = ExitStack()
        self._name = ""
        self._file: pq.ParquetFile = None
        self._group = -1
        self._table: pa.Table = None

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, place: _Place) -> "Iterator[pa.RecordBatch]":
        """The points that stand there. Raises BundleDamaged when they do not, or when the part is broken."""
        name, begin, count, run_id = place
        self._open(name)
        found = row = 0
        for group in range(self._file.metadata.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            first, last = max(begin, row), min(begin + count, row + rows)
            if first < last:
                for piece in _of_run(self._read(group).slice(first - row, last - first), run_id):
                    found += len(piece)
                    yield piece
            row += rows
        if found != count:
            wrong = f"run {run_id} has {found} points there, not {count}"
            raise BundleDamaged(f"{self._store.address}/{name}: {wrong}: see runsync check")

    def _open(self, name: str) -> None:
        if name == self._name:
            return
        self._stack.close()
        self._name, self._group, self._table = "", -1, None
        if not parts.has_its_hash(self._store, name):
            raise BundleDamaged(f"{self._store.address}/{name}: {parts.WRONG_HASH}: see runsync check")
        self._file = self._stack.enter_context(parts.open_metrics(self._store, name))
        self._name = name

    def _read(self, group: int) -> "pa.Table":
        if group != self._group:
            self._table = parts.read_points(self._file, f"{self._store.address}/{self._name}", group)
            self._group = group
        return self._table


def _of_run(table: "pa.Table", run_id: str) -> "Iterator[pa.RecordBatch]":
    """Copies of rows, where they are that run's: the row group they come from need not stay in memory for them."""
    import pyarrow as pa

    from runsync.model.points import POINTS

    for piece in table.to_batches():
        codes = piece["run_id"]
        if len(codes.unique()) == 1 and codes[0].as_py() == run_id:
            rows = pa.array(range(len(piece)), pa.int64())
            yield piece.drop_columns(["run_id"]).cast(POINTS).take(rows)


def _place(stored: StoredRun) -> _Place:
    points = stored.contents.metric_points
    return (metrics_name(stored) if points else "", stored.first_row, points, stored.run.run_id)
