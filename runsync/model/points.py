"""Metric history in columns: Arrow from the wire to the file, never a Python object a point.

A history is an iterator of record batches of `POINTS`: first by key, then in the order the source tells
(MLflow's is timestamp, step, value). Values NaN and ±Inf are carried as they are.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from runsync.errors import RequestRefused
from runsync.model import numbers
from runsync.model.numbers import LARGEST

_NAME = pa.dictionary(pa.int32(), pa.string())

POINTS = pa.schema(
    [
        pa.field("key", _NAME, nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("model_id", _NAME),
        pa.field("dataset_name", _NAME),
        pa.field("dataset_digest", _NAME),
    ]
)


_IDENTITY = ("key", "timestamp", "step", "bits")


def points_of_key(key: str, steps: Sequence[int], timestamps: Sequence[int], values: Sequence[float]) -> pa.RecordBatch:
    """Points of one key, without model and dataset, as columns.

    Raises RequestRefused when a step or a time is beyond 64 bits: no store of MLflow and no bundle can hold it.
    """
    count = len(steps)
    unknown = pa.nulls(count, _NAME)
    try:
        columns = [pa.array(steps, pa.int64()), pa.array(timestamps, pa.int64()), pa.array(values, pa.float64())]
        names = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([key]))
    except (OverflowError, UnicodeEncodeError, pa.ArrowInvalid) as error:
        raise RequestRefused(f"metric {key!a} has a point that cannot be kept: {error}") from None
    return pa.RecordBatch.from_arrays([names, *columns, unknown, unknown, unknown], schema=POINTS)


def as_table(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """All points of a history in one table."""
    return pa.Table.from_batches(batches, POINTS).unify_dictionaries()


def distinct(points: pa.Table) -> pa.Table:
    """What a tracking server can hold of these points, in an order of its own: for comparing two histories.

    SQL stores hold an exact duplicate once, clamp the infinities and know no negative zero; so do these columns
    (key, timestamp, step, bits of the value).
    """
    plain = pa.table(
        {
            "key": points["key"].cast(pa.string()),
            "timestamp": points["timestamp"],
            "step": points["step"],
            "bits": stored_bits(_flat(points["value"])),
        }
    )
    return plain.group_by(list(_IDENTITY), use_threads=False).aggregate([])


def stored_bits(value: pa.Array) -> pa.Array:
    """Values as SQL stores hold them, as whole numbers: two that a store takes for one are the same number."""
    import pyarrow.compute as pc  # 60 ms, and few commands compare histories

    value = pc.if_else(pc.is_nan(value), pa.scalar(math.nan), value)
    value = pc.if_else(pc.equal(value, 0.0), pa.scalar(0.0), value)
    value = pc.if_else(pc.equal(value, math.inf), pa.scalar(LARGEST), value)
    value = pc.if_else(pc.equal(value, -math.inf), pa.scalar(-LARGEST), value)
    return value.view(pa.int64())


def missing(wanted: pa.Table, present: pa.Table) -> pa.Table:
    """The points of `wanted` that `present` lacks; both as `distinct` gives them."""
    return wanted.join(present, list(_IDENTITY), join_type="left anti", use_threads=False)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two histories are the same point by point, in the same order. A quick look: False is no proof."""
    if len(one) != len(other):
        return False
    columns = ((_flat(one[name]), _flat(other[name])) for name in ("key", "timestamp", "step", "value"))
    return all(_plain(a).equals(_plain(b)) for a, b in columns)


def appended(old: pa.Table, new: pa.Table) -> dict[str, int] | None:
    """How many points each key has more, where all that is new stands behind all that was there; else None."""
    before, after = _stretches(old), _stretches(new)
    if before is None or after is None:
        return None
    for key, (first, count) in before.items():
        begin, there = after.get(key, (0, 0))
        if there < count or not same(old.slice(first, count), new.slice(begin, count)):
            return None
    more = {key: count - before.get(key, (0, 0))[1] for key, (_, count) in after.items()}
    return {key: count for key, count in more.items() if count}


def _stretches(points: pa.Table) -> dict[str, tuple[int, int]] | None:
    """First row and number of rows of each key; None where a key's rows do not stand together."""
    import pyarrow.compute as pc

    encoded = pc.run_end_encode(_flat(points["key"]).cast(pa.string()))
    found: dict[str, tuple[int, int]] = {}
    first = 0
    for key, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
        if key in found:
            return None
        found[key] = (first, end - first)
        first = end
    return found


def without_keys(history: Iterable[pa.RecordBatch], keys: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """A history without the points of these keys."""
    import pyarrow.compute as pc

    left_out = pa.array(list(keys), pa.string())
    for points in history:
        kept = points.filter(pc.invert(pc.is_in(points["key"].cast(pa.string()), left_out)))
        if len(kept):
            yield kept


def counted_by_key(points: pa.Table) -> list[tuple[str, int]]:
    """How many points each key has."""
    counted = points.group_by("key", use_threads=False).aggregate([([], "count_all")]).sort_by("key")
    return list(zip(counted["key"].to_pylist(), counted["count_all"].to_pylist(), strict=True))


def from_distinct(points: pa.Table) -> list[pa.RecordBatch]:
    """Columns (key, timestamp, step, value) of what `distinct` or `missing` gave, in key and time order."""
    ordered = points.sort_by([(name, "ascending") for name in ("key", "timestamp", "step")])
    value = _flat(ordered["bits"]).view(pa.float64())
    batches: list[pa.RecordBatch] = ordered.drop_columns(["bits"]).append_column("value", value).to_batches()
    return batches


def _flat(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, also when it has none."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _plain(column: pa.Array) -> pa.Array:
    """Strings for names and bits for values: NaN equals NaN, and dictionaries may be numbered differently."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    return column.view(pa.int64()) if pa.types.is_float64(column.type) else column


def log_batch_rows(points: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Points as MLflow's log-batch takes them, one dictionary a point: for one request's worth at a time."""
    columns = (points[name].to_pylist() for name in ("value", "timestamp", "step"))
    for key, value, timestamp, step in zip(_names(points["key"]), *columns, strict=True):
        yield {"key": key, "value": numbers.to_json(value), "timestamp": timestamp, "step": step}


def _names(column: pa.Array) -> list[str]:
    """Strings of a column. Of a dictionary each name is made once: five times as fast as `to_pylist`."""
    if not pa.types.is_dictionary(column.type):
        names: list[str] = column.to_pylist()
        return names
    dictionary = column.dictionary.to_pylist()
    return [dictionary[code] for code in column.indices.to_pylist()]
