"""Metric points into the database, from Arrow, a batch of columns at a time."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from runsync.model.numbers import LARGEST
from runsync.workspaces.sql.address import MYSQL, POSTGRESQL

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

_COLUMNS = "key, timestamp, step, run_uuid, value, is_nan"
_SQLITE = "INSERT INTO metrics (key, timestamp, step, run_uuid, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
_MYSQL = "INSERT INTO metrics (`key`, timestamp, step, run_uuid, value, is_nan) VALUES (%s, %s, %s, %s, %s, %s)"
_STAGE = "CREATE TEMPORARY TABLE IF NOT EXISTS runsync_points (LIKE metrics) ON COMMIT DELETE ROWS"
_FROM_STAGE = (
    "INSERT INTO metrics (key, timestamp, step, run_uuid, value, is_nan)"
    " SELECT key, timestamp, step, run_uuid, value, is_nan FROM runsync_points ON CONFLICT DO NOTHING"
)


AT_ONCE = 50_000
"""Points that are made ready at once: a batch may be as small as one key, or as large as some megabytes of a file."""


def stored(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Columns key, step, timestamp, value, is_nan as MLflow stores them."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in chain.from_iterable(map(_slices, batches)):
        waiting.append(batch)
        count += batch.num_rows
        if count >= AT_ONCE:
            yield _stored(pa.Table.from_batches(waiting).unify_dictionaries().combine_chunks())
            waiting, count = [], 0
    if count:
        yield _stored(pa.Table.from_batches(waiting).unify_dictionaries().combine_chunks())


def _slices(batch: "pa.RecordBatch") -> "Iterator[pa.RecordBatch]":
    return (batch.slice(start, AT_ONCE) for start in range(0, batch.num_rows, AT_ONCE))


def _stored(points: "pa.Table") -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    value = points["value"]
    is_nan = pc.is_nan(value)
    value = pc.max_element_wise(pc.min_element_wise(value, LARGEST), -LARGEST)
    value = pc.add(pc.if_else(is_nan, 0.0, value), 0.0)  # no negative zero, which an index takes for another
    columns = [points["key"], points["step"], points["timestamp"], value, is_nan]
    return pa.table(columns, names=["key", "step", "timestamp", "value", "is_nan"])


def insert(connection: "Connection", kind: str, pieces: "Iterable[tuple[str, pa.Table]]", *, are_new: bool) -> None:
    """Writes points (see `stored`), each piece with the id of its run. Unless they are surely new, those that are
    there stay."""
    if kind == POSTGRESQL:
        _copy(connection, pieces, are_new)
        return
    statement = _SQLITE if kind != MYSQL else _MYSQL
    if not are_new:
        statement += " ON DUPLICATE KEY UPDATE step = VALUES(step)" if kind == MYSQL else " ON CONFLICT DO NOTHING"
    cursor = connection.connection.cursor()
    for run_id, points in pieces:
        cursor.executemany(statement, _rows(run_id, points))
    cursor.close()


def _rows(run_id: str, points: "pa.Table") -> list[tuple[Any, ...]]:
    names = points["key"].combine_chunks()
    dictionary = names.dictionary.to_pylist()
    keys = [dictionary[code] for code in names.indices.to_pylist()]
    timestamps, steps, values, is_nan = (points[n].to_pylist() for n in ("timestamp", "step", "value", "is_nan"))
    return list(zip(keys, timestamps, steps, [run_id] * len(keys), values, is_nan, strict=True))


def _copy(connection: "Connection", pieces: "Iterable[tuple[str, pa.Table]]", are_new: bool) -> None:
    if not are_new:
        connection.exec_driver_sql(_STAGE)
    table = "metrics" if are_new else "runsync_points"
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({_COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
        for run_id, points in pieces:
            copy.write(_csv(run_id, points))
    if not are_new:
        connection.exec_driver_sql(_FROM_STAGE)


def _csv(run_id: str, points: "pa.Table") -> Any:
    import pyarrow as pa
    import pyarrow.csv

    columns = [
        points["key"].cast(pa.string()),
        *(points["timestamp"], points["step"]),
        pa.repeat(pa.scalar(run_id), len(points)),
        *(points["value"], points["is_nan"]),
    ]
    sink = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=False, batch_size=64_000)
    pa.csv.write_csv(pa.table(columns, names=_COLUMNS.split(", ")), sink, options)
    return sink.getvalue()
