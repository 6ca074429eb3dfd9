"""Metric history in columns, in the order of `model.points`, as each kind of database gives it fastest."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runsync.model.protocol import Histories
from runsync.workspaces.sql.address import SQLITE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.read_packed import PackedHistories
from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 50_000
"""Points that are fetched at once."""

_KEYS = "SELECT key, count(*) FROM metrics WHERE run_uuid = ? GROUP BY key ORDER BY key"
# The plus keeps SQLite from going through an index by key, which takes it all over the file.
_POINTS = (
    "SELECT step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics"
    " WHERE run_uuid = ? ORDER BY +key, timestamp, step, value"
)


@contextmanager
def histories(database: Database, run_ids: Sequence[str]) -> Iterator[Histories]:
    """The metric history of these runs, asked for in this order."""
    with database.held() as snapshot:
        if database.kind == SQLITE:
            yield SqliteHistories(database, snapshot)
        else:
            yield PackedHistories(database, snapshot, run_ids)


class SqliteHistories:
    """Two queries a run, as they cost next to nothing; SQLite sorts, on disk when there are many points. Keys are told
    beforehand, with how many points each has: a name a point would cost a third more."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run."""
        from runsync.workspaces.sql import columns

        with self._database.told():
            with self._snapshot.used() as connection:
                cursor = connection.connection.cursor()
                left = cursor.execute(_KEYS, (run_id,)).fetchall()
                cursor.execute(_POINTS, (run_id,))
                rows = cursor.fetchmany(ROWS)
            try:
                while rows:
                    counts, left = columns.split(left, len(rows))
                    yield from columns.with_keys(columns.from_rows(rows), counts)
                    with self._snapshot.used():
                        rows = cursor.fetchmany(ROWS) if len(rows) == ROWS else []
            finally:
                with self._snapshot.used():
                    cursor.close()
