"""Metric points as sets: what a server can hold of them, and what one history lacks of another."""

import math
import struct
from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from runsync.model.numbers import LARGEST, from_json, stored, to_json
from runsync.model.points import (
    POINTS,
    as_table,
    counted_by_key,
    distinct,
    from_distinct,
    log_batch_rows,
    missing,
    points_of_key,
    same,
)

Point = tuple[str, int, int, float]

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.floats(),
    st.sampled_from([math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, LARGEST, -LARGEST, 5e-324, 0.1 + 0.2]),
)
POINT = st.tuples(
    st.sampled_from(["loss", "Loss", "val/acc", "ü 日", "a b"]),
    st.one_of(st.integers(-3, 3), INT64),
    st.one_of(st.integers(0, 3), st.integers(0, 2**63 - 1)),
    VALUES,
)
HISTORY = st.lists(POINT, max_size=30)


def _table(points: list[Point]) -> pa.Table:
    """A history as a source tells it: key by key, in batches."""
    batches = []
    for key in dict.fromkeys(point[0] for point in points):
        _, steps, times, values = zip(*(point for point in points if point[0] == key), strict=True)
        batches.append(points_of_key(key, steps, times, values))
    return as_table(batches)


def _as_stored(value: float) -> str:
    """The value as an SQL store tells it again, as text, written independently of the product."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        value = math.copysign(1.7976931348623157e308, value)
    return repr(0.0 if value == 0 else value)


def _model(points: list[Point]) -> set[tuple[str, int, int, str]]:
    return {(key, timestamp, step, _as_stored(value)) for key, step, timestamp, value in points}


def _read(table: pa.Table) -> Counter[tuple[str, int, int, str]]:
    values = [struct.unpack("<d", struct.pack("<q", bits))[0] for bits in table["bits"].to_pylist()]
    columns = (table[name].to_pylist() for name in ("key", "timestamp", "step"))
    return Counter((k, t, s, repr(v)) for (k, t, s), v in zip(zip(*columns, strict=True), values, strict=True))


@given(HISTORY)
def test_what_a_server_holds_of_points_is_each_once_clamped_and_without_negative_zero(points: list[Point]) -> None:
    assert _read(distinct(_table(points))) == Counter(_model(points))


@given(HISTORY, HISTORY)
def test_missing_points_are_those_of_the_one_that_the_other_lacks(wanted: list[Point], present: list[Point]) -> None:
    found = missing(distinct(_table(wanted)), distinct(_table(present)))
    assert _read(found) == Counter(_model(wanted) - _model(present))


@given(HISTORY, st.data())
def test_nothing_is_missing_once_what_is_missing_is_added(points: list[Point], data: st.DataObject) -> None:
    """What an interrupted import left, and what the next one brings, is the whole: any part, in any order."""
    present = data.draw(st.lists(st.sampled_from(points), max_size=30)) if points else []
    rest = missing(distinct(_table(points)), distinct(_table(present)))
    sent = [row for batch in from_distinct(rest) for row in log_batch_rows(batch)]
    arrived = [(r["key"], r["step"], r["timestamp"], from_json(r["value"])) for r in sent]
    assert _model(present + arrived) == _model(points)
    assert len(sent) == len(_model(points)) - len(_model(present))
    assert len(missing(distinct(_table(points)), distinct(_table(present + arrived)))) == 0


@given(HISTORY)
def test_a_history_is_the_same_as_itself_and_points_keep_their_values_bit_by_bit(points: list[Point]) -> None:
    table = _table(points)
    assert table.schema == POINTS
    assert same(table, _table(points))
    rows = zip(*(table[name].to_pylist() for name in ("key", "step", "timestamp", "value")), strict=True)
    assert Counter(map(repr, rows)) == Counter(map(repr, points))


@given(HISTORY, HISTORY)
def test_histories_that_are_the_same_hold_the_same_points(one: list[Point], other: list[Point]) -> None:
    if same(_table(one), _table(other)):
        assert _model(one) == _model(other)


@given(HISTORY)
def test_points_are_counted_by_key(points: list[Point]) -> None:
    counted = counted_by_key(distinct(_table(points)))
    assert counted == sorted(Counter(point[0] for point in _model(points)).items())


@given(HISTORY)
def test_what_is_sent_is_json_that_mlflow_reads_to_its_end(points: list[Point]) -> None:
    """Bare NaN, floats as times and numbers out of range make MLflow drop the rest of the body without a word."""
    import json

    for batch in _table(points).to_batches():
        for row in log_batch_rows(batch):
            again = json.loads(json.dumps(row, allow_nan=False))
            assert type(again["step"]) is type(again["timestamp"]) is int
            assert repr(from_json(again["value"])) == repr(from_json(row["value"]))


@given(VALUES)
def test_a_value_survives_json_bit_by_bit(value: float) -> None:
    import json

    again = from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))
    assert (math.isnan(value) and math.isnan(again)) or struct.pack("<d", value) == struct.pack("<d", again)


@given(VALUES)
def test_a_stored_value_is_what_the_store_gives_back_and_stays_so(value: float) -> None:
    assert repr(stored(value)) == _as_stored(value)
    assert repr(stored(stored(value))) == repr(stored(value))


def test_an_empty_history_lacks_nothing_and_has_nothing() -> None:
    empty = as_table([])
    some = distinct(_table([("loss", 0, 0, 1.0)]))
    assert len(distinct(empty)) == 0
    assert len(missing(distinct(empty), some)) == 0
    assert len(missing(some, distinct(empty))) == 1
    assert same(empty, empty)
    assert from_distinct(distinct(empty)) == [] or not sum(map(len, from_distinct(distinct(empty))))
