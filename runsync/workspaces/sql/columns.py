"""Points as databases give them, made into record batches of `model.points`."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from runsync.model.points import POINTS

_NUMBERS = {"step": pa.int64(), "timestamp": pa.int64(), "value": pa.float64()}
_MARK = {"is_nan": pa.int8()}


def from_rows(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Points of (key, step, timestamp, value), None for NaN."""
    keys, steps, timestamps, values = zip(*rows, strict=True)
    value = pa.array(values, pa.float64())
    if value.null_count:
        value = value.fill_null(math.nan)
    names = pa.array(keys, pa.string()).dictionary_encode()
    return _batch(names, pa.array(steps, pa.int64()), pa.array(timestamps, pa.int64()), value)


def numbers(lines: str) -> pa.Table:
    """Lines of `step,timestamp,value` as columns; a fourth is 1 where the value is to be NaN."""
    if not lines:
        return pa.table({name: pa.array([], kind) for name, kind in _NUMBERS.items()})
    is_marked = lines.partition("\n")[0].count(",") == len(_NUMBERS)
    kinds = _NUMBERS | _MARK if is_marked else _NUMBERS
    reading = pa.csv.ReadOptions(column_names=list(kinds), use_threads=False, block_size=1 << 24)
    # Nothing means null: "NaN" is a value.
    converting = pa.csv.ConvertOptions(column_types=kinds, null_values=[], strings_can_be_null=False)
    table = pa.csv.read_csv(pa.BufferReader(lines.encode()), reading, convert_options=converting)
    if is_marked:
        value = pc.if_else(pc.equal(table["is_nan"], 1), math.nan, table["value"])
        table = table.drop_columns(["is_nan"]).set_column(2, "value", value)
    return table


def with_keys(points: pa.Table, counts: Iterable[tuple[str, int]]) -> list[pa.RecordBatch]:
    """Points of `numbers`, of which the first so many have the first key, and so on."""
    known = list(counts)
    codes = list(chain.from_iterable([code] * count for code, (_, count) in enumerate(known)))
    keys = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array([key for key, _ in known], pa.string()))
    whole = points.combine_chunks()
    columns = [whole[name].chunk(0) for name in _NUMBERS] if len(whole) else []
    return [_batch(keys, *columns)] if columns else []


def _batch(keys: pa.Array, steps: pa.Array, timestamps: pa.Array, values: pa.Array) -> pa.RecordBatch:
    unknown = pa.nulls(len(keys), keys.type)
    return pa.RecordBatch.from_arrays([keys, steps, timestamps, values, unknown, unknown, unknown], schema=POINTS)
