"""Points as databases give them, made into record batches of `model.points`."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from runsync.errors import RequestRefused
from runsync.model.points import POINTS

_NUMBERS = {"step": pa.int64(), "timestamp": pa.int64(), "value": pa.float64()}
_MARK = {"is_nan": pa.int8()}


def from_rows(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Columns of rows (step, timestamp, value), None for NaN. Raises RequestRefused for values that are no numbers."""
    if not rows:
        return numbers("")
    by_name = zip(zip(*rows, strict=True), _NUMBERS.items(), strict=True)
    try:
        columns = [pa.array(column, kind) for column, (_, kind) in by_name]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RequestRefused(f"its metrics hold what is no number ({error})") from None  # SQLite takes anything
    if columns[2].null_count:
        columns[2] = columns[2].fill_null(math.nan)
    return pa.table(columns, names=list(_NUMBERS))


def numbered(rows: Sequence[tuple[Any, ...]]) -> list[bool]:
    """Which of such rows are numbers."""
    return [
        isinstance(step, int) and isinstance(timestamp, int) and (value is None or isinstance(value, float | int))
        for step, timestamp, value in rows
    ]


def numbers(lines: str) -> pa.Table:
    """Lines of `step,timestamp,value` as columns; a fourth is 1 where the value is to be NaN."""
    if not lines:
        return pa.table({name: pa.array([], kind) for name, kind in _NUMBERS.items()})
    end = lines.find("\n")
    is_marked = lines.count(",", 0, end if end >= 0 else len(lines)) == len(_NUMBERS)
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


def split(left: list[tuple[str, int]], size: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Keys of the next so many points, and of those after them."""
    taken: list[tuple[str, int]] = []
    for place, (key, number) in enumerate(left):
        if number > size:
            return [*taken, (key, size)], [(key, number - size), *left[place + 1 :]]
        taken.append((key, number))
        size -= number
    return taken, []


def _batch(keys: pa.Array, steps: pa.Array, timestamps: pa.Array, values: pa.Array) -> pa.RecordBatch:
    unknown = pa.nulls(len(keys), keys.type)
    return pa.RecordBatch.from_arrays([keys, steps, timestamps, values, unknown, unknown, unknown], schema=POINTS)
