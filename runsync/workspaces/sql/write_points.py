"""Metric points into the database, from Arrow, a batch of columns at a time."""

from typing import TYPE_CHECKING

from runsync.model.numbers import LARGEST

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

_SQLITE = "INSERT INTO metrics (key, timestamp, step, run_uuid, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
_IF_MISSING = " ON CONFLICT DO NOTHING"


def stored(points: "pa.RecordBatch") -> "pa.Table":
    """Columns key, step, timestamp, value, is_nan as MLflow stores them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    value = points["value"]
    is_nan = pc.is_nan(value)
    value = pc.max_element_wise(pc.min_element_wise(value, LARGEST), -LARGEST)
    value = pc.add(pc.if_else(is_nan, 0.0, value), 0.0)  # no negative zero, which an index takes for another
    columns = [points["key"], points["step"], points["timestamp"], value, is_nan]
    return pa.table(columns, names=["key", "step", "timestamp", "value", "is_nan"])


def insert(connection: "Connection", run_id: str, points: "pa.Table", *, is_new: bool) -> None:
    """Writes points of one run (see `stored`); unless the run is new, those that are there stay."""
    names = points["key"].combine_chunks()
    dictionary = names.dictionary.to_pylist()
    keys = [dictionary[code] for code in names.indices.to_pylist()]
    timestamps, steps, values, is_nan = (points[n].to_pylist() for n in ("timestamp", "step", "value", "is_nan"))
    cursor = connection.connection.cursor()
    rows = list(zip(keys, timestamps, steps, [run_id] * len(keys), values, is_nan, strict=True))
    cursor.executemany(_SQLITE if is_new else _SQLITE + _IF_MISSING, rows)
    cursor.close()
