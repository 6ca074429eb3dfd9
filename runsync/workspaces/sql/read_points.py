"""Metric history in columns, in the order of `model.points`, as each kind of database gives it fastest."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runsync.contract.source import Histories
from runsync.errors import RequestRefused
from runsync.model.lost_points import PointsLost
from runsync.model.run import Problem
from runsync.model.wording import many
from runsync.workspaces.sql.address import SQLITE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.read_packed import PackedHistories
from runsync.workspaces.sql.snapshot import Snapshot
from runsync.workspaces.sql.texts import WHY, any_text, is_text, printable

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

ROWS = 50_000
"""Points that are fetched at once."""

_KEYS = "SELECT key, count(*) FROM metrics WHERE run_uuid = ? GROUP BY key ORDER BY key"
# The plus keeps SQLite from going through an index by key, which takes it all over the file.
_POINTS = (
    "SELECT step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics"
    " WHERE run_uuid = ? AND CAST(key AS BLOB) NOT IN ({}) ORDER BY +key, timestamp, step, value"
)
_ALL_POINTS = _POINTS.replace(" AND CAST(key AS BLOB) NOT IN ({})", "")


@contextmanager
def histories(database: Database, run_ids: Sequence[str], without: Mapping[str, frozenset[str]]) -> Iterator[Histories]:
    """The metric history of these runs, asked for in this order; of some `without` metrics that were told already."""
    with database.held() as snapshot:
        if database.kind == SQLITE:
            yield SqliteHistories(database, snapshot, without)
        else:
            yield PackedHistories(database, snapshot, run_ids)


class SqliteHistories:
    """Two queries a run, as they cost next to nothing; SQLite sorts, on disk when there are many points. Keys are told
    beforehand, with how many points each has: a name a point would cost a third more."""

    def __init__(self, database: Database, snapshot: Snapshot, without: Mapping[str, frozenset[str]]) -> None:
        self._database = database
        self._snapshot = snapshot
        self._without = without

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run. Raises PointsLost at the end where words stand for numbers."""
        from runsync.workspaces.sql import columns

        lost: Counter[str] = Counter()
        with self._database.told():
            with self._snapshot.used() as connection:
                cursor = connection.connection.cursor()
                left, odd = self._keys(connection, cursor, run_id)
                cursor.execute(_POINTS.format(", ".join("?" * len(odd))) if odd else _ALL_POINTS, (run_id, *odd))
                rows = cursor.fetchmany(ROWS)
            try:
                while rows:
                    counts, left = columns.split(left, len(rows))
                    try:
                        points = columns.from_rows(rows)
                    except RequestRefused:
                        points, counts = _numbers_among(rows, counts, lost)
                    yield from columns.with_keys(points, counts)
                    with self._snapshot.used():
                        rows = cursor.fetchmany(ROWS) if len(rows) == ROWS else []
            finally:
                with self._snapshot.used():
                    cursor.close()
        if lost:
            raise PointsLost([_no_numbers(key, count) for key, count in lost.items()])

    def _keys(self, connection: "Connection", cursor: Any, run_id: str) -> tuple[list[tuple[str, int]], list[bytes]]:
        """The metrics of a run with how many points each has, and the names of those to be left out."""
        if run_id not in self._without:
            return cursor.execute(_KEYS, (run_id,)).fetchall(), []
        with any_text(connection):
            found = cursor.execute(_KEYS, (run_id,)).fetchall()
        odd = [key for key, _ in found if not is_text(key)]
        if any(printable(key) not in self._without[run_id] for key in odd):
            raise RequestRefused(f"the name of a metric of run {run_id}: {WHY}")
        left = [(key, count) for key, count in found if is_text(key)]
        return left, [key.encode(errors="surrogateescape") for key in odd]


def _numbers_among(
    rows: Sequence[tuple[Any, ...]], counts: Sequence[tuple[str, int]], lost: Counter[str]
) -> "tuple[pa.Table, list[tuple[str, int]]]":
    """The points that are numbers, with how many each key has; the others are counted."""
    from runsync.workspaces.sql import columns

    are_numbers = columns.numbered(rows)
    left: list[tuple[str, int]] = []
    start = 0
    for key, count in counts:
        found = sum(are_numbers[start : start + count])
        left.append((key, found))
        if found < count:
            lost[key] += count - found
        start += count
    return columns.from_rows([row for row, is_number in zip(rows, are_numbers, strict=True) if is_number]), left


def _no_numbers(key: str, count: int) -> Problem:
    have = "has" if count == 1 else "have"
    return Problem("metric", key, f"{many(count, 'point')} of it {have} text where a number belongs")
