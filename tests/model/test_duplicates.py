"""Histories of file stores: each point once, whatever order its lines have."""

import math
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.model.duplicates import lacking, without_duplicates
from runsync.model.points import as_table, points_of_key

Row = tuple[str, int, int, float]
"""Key, timestamp, step, value."""

KEYS = ("a", "b")
PLACES = st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, 2.5]))


def _batches(rows: Sequence[Row], size: int) -> list[pa.RecordBatch]:
    """Batches as sources give them: keys one after the other, cut anywhere."""
    found = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        batches = []
        for key in dict.fromkeys(row[0] for row in some):
            _, times, steps, values = zip(*(row for row in some if row[0] == key), strict=True)
            batches.append(points_of_key(key, steps, times, values))
        found += as_table(batches).combine_chunks().to_batches()
    return found


def _rows(batches: Sequence[pa.RecordBatch]) -> list[tuple[str, int, int, str]]:
    """The points, so that those are equal which a database takes for one."""
    told = []
    for batch in batches:
        columns = (batch[name].to_pylist() for name in ("key", "timestamp", "step", "value"))
        for key, time, step, value in zip(*columns, strict=True):
            told.append((key, time, step, repr(value + 0.0)))
    return told


@given(
    points=st.dictionaries(st.sampled_from(KEYS), st.lists(PLACES, max_size=30)),
    is_sorted=st.booleans(),
    size=st.integers(1, 8),
)
def test_each_point_comes_once_whatever_the_order(
    points: dict[str, list[tuple[int, int, float]]], is_sorted: bool, size: int
) -> None:
    rows = [(key, *place) for key, places in points.items() for place in (sorted(places) if is_sorted else places)]
    history = _batches(rows, size)
    found = Counter(_rows(list(without_duplicates(iter(history), lambda: iter(history)))))
    assert set(found.values()) <= {1}
    assert set(found) == set(_rows(history))


def test_a_history_in_order_is_read_once_and_passed_through_as_it_is() -> None:
    history = [points_of_key("a", [0, 1], [1, 1], [0.5, 0.5]), points_of_key("a", [2, 0], [1, 2], [0.5, 0.5])]

    def again() -> list[pa.RecordBatch]:
        pytest.fail("it was read a second time")

    assert list(without_duplicates(history, again)) == history


def test_what_a_run_lacks_keeps_its_infinities() -> None:
    wanted = as_table([points_of_key("a", [0, 1, 1, 2], [1, 1, 1, 1], [0.5, math.inf, math.inf, math.nan])])
    present = as_table([points_of_key("a", [0, 2], [1, 1], [0.5, math.nan])])
    assert _rows(lacking(wanted, present)) == [("a", 1, 1, "inf")]
    assert lacking(wanted, wanted) == []
