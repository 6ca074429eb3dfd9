"""Metric history in columns, as each kind of database gives it fastest."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from runsync.model.protocol import Histories
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 100_000
"""Points that are fetched at once."""

_SQLITE = (
    "SELECT key, step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics"
    " WHERE run_uuid = ? ORDER BY key, timestamp, step, value"
)


def histories(database: Database, run_ids: Sequence[str]) -> AbstractContextManager[Histories]:
    """The metric history of these runs, asked for in this order."""
    return _sqlite(database)


@contextmanager
def _sqlite(database: Database) -> Iterator[Histories]:
    with database.held() as snapshot:
        yield SqliteHistories(database, snapshot)


class SqliteHistories:
    """One query a run, as they cost next to nothing; SQLite sorts, on disk when there are many points."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run."""
        with self._database.told():
            with self._snapshot.used() as connection:
                cursor = connection.connection.cursor()
                cursor.execute(_SQLITE, (run_id,))
                rows = cursor.fetchmany(ROWS)
            try:
                while rows:
                    yield _columns(rows)
                    with self._snapshot.used():
                        rows = cursor.fetchmany(ROWS)
            finally:
                with self._snapshot.used():
                    cursor.close()


def _columns(rows: Sequence[tuple[Any, ...]]) -> "pa.RecordBatch":
    """Points of (key, step, timestamp, value), None for NaN."""
    import pyarrow as pa

    from runsync.model.points import POINTS

    keys, steps, timestamps, values = zip(*rows, strict=True)
    value = pa.array(values, pa.float64())
    if value.null_count:
        value = value.fill_null(math.nan)
    names = pa.array(keys, pa.string()).dictionary_encode()
    unknown = pa.nulls(len(rows), names.type)
    return pa.RecordBatch.from_arrays(
        [names, pa.array(steps, pa.int64()), pa.array(timestamps, pa.int64()), value, unknown, unknown, unknown],
        schema=POINTS,
    )
