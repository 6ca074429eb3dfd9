"""Runs with more points than one statement should give, read by pages: memory stays flat in the server and here."""

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from runsync.workspaces.sql.address import POSTGRESQL
from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa

PAGE = 50_000

_names = count()

_KEYS = 'SELECT key, count(*) FROM metrics WHERE run_uuid = :run GROUP BY key ORDER BY key COLLATE "C"'
_LINES = (
    "SELECT step || ',' || timestamp || ',' || CASE WHEN is_nan THEN 'NaN' ELSE CAST(value AS text) END"
    ' FROM metrics WHERE run_uuid = %s ORDER BY key COLLATE "C", timestamp, step, value, is_nan'
)

_KEYS_OF_MYSQL = (
    "SELECT CAST(CONVERT(`key` USING utf8mb4) AS BINARY) AS name, count(*) FROM metrics WHERE run_uuid = :run"
    " GROUP BY name ORDER BY name"
)
# The first condition on the key is for the index, the second is exact.
_PAGE_OF_MYSQL = (
    "SELECT GROUP_CONCAT(step, ',', timestamp, ',', value, ',', is_nan"
    " ORDER BY timestamp, step, value, is_nan SEPARATOR '\n')"
    " FROM (SELECT step, timestamp, value, is_nan FROM metrics WHERE run_uuid = :run AND `key` = :key"
    " AND CAST(CONVERT(`key` USING utf8mb4) AS BINARY) = CAST(:key AS BINARY) AND timestamp >= :timestamp"
    " AND (timestamp > :timestamp OR step > :step"
    " OR (step = :step AND (value > :value OR (value = :value AND is_nan > :is_nan))))"
    " ORDER BY timestamp, step, value, is_nan LIMIT :most) AS page"
)


def points(kind: str, snapshot: Snapshot, run_id: str) -> "Iterator[pa.RecordBatch]":
    """The whole history of one run."""
    return _of_postgres(snapshot, run_id) if kind == POSTGRESQL else _of_mysql(snapshot, run_id)


def _of_postgres(snapshot: Snapshot, run_id: str) -> "Iterator[pa.RecordBatch]":
    """A cursor of the server's, which sorts on disk. Keys are told beforehand, with how many points each has."""
    from sqlalchemy import text

    from runsync.workspaces.sql import columns

    with snapshot.used() as connection:
        left = [(key, number) for key, number in connection.execute(text(_KEYS), {"run": run_id})]
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor(name=f"runsync_{next(_names)}")
        cursor.execute(_LINES, (run_id,))
    try:
        while left:
            with snapshot.used():
                lines = cursor.fetchmany(PAGE)
            if not lines:
                return
            page = columns.numbers("\n".join([line for (line,) in lines]))
            counts, left = columns.split(left, len(page))
            yield from columns.with_keys(page, counts)
    finally:
        with snapshot.used():
            cursor.close()


def _of_mysql(snapshot: Snapshot, run_id: str) -> "Iterator[pa.RecordBatch]":
    """Key by key, each page begins behind the last point of the one before: the order is that of an index."""
    from sqlalchemy import text

    from runsync.workspaces.sql import columns

    with snapshot.used() as connection:
        keys = [
            (bytes(name).decode(), number) for name, number in connection.execute(text(_KEYS_OF_MYSQL), {"run": run_id})
        ]
    for key, number in keys:
        behind = {"timestamp": -(2**63), "step": -(2**63), "value": -1.7976931348623157e308, "is_nan": -1}
        while number > 0:
            asked = {"run": run_id, "key": key, "most": PAGE, **behind}
            with snapshot.used() as connection:
                lines = connection.execute(text(_PAGE_OF_MYSQL), asked).scalar()
            page = columns.numbers(lines or "")
            if not len(page):
                break
            yield from columns.with_keys(page, [(key, len(page))])
            number -= len(page)
            last = page.slice(len(page) - 1).to_pylist()[0]
            is_nan = last["value"] != last["value"]
            behind = {**last, "value": 0.0 if is_nan else last["value"], "is_nan": int(is_nan)}
