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

_SQLITE = (
    "SELECT key, step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics"
    " WHERE run_uuid = ? ORDER BY key, timestamp, step, value"
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
    """One query a run, as they cost next to nothing; SQLite sorts, on disk when there are many points."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run."""
        from runsync.workspaces.sql.columns import from_rows

        with self._database.told():
            with self._snapshot.used() as connection:
                cursor = connection.connection.cursor()
                cursor.execute(_SQLITE, (run_id,))
                rows = cursor.fetchmany(ROWS)
            try:
                while rows:
                    yield from_rows(rows)
                    with self._snapshot.used():
                        rows = cursor.fetchmany(ROWS) if len(rows) == ROWS else []
            finally:
                with self._snapshot.used():
                    cursor.close()
