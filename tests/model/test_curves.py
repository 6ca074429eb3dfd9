"""Metric curves: where two part, which goes on, and what is left of a long one for drawing."""

import math
from collections.abc import Sequence

import pytest

from runsync.model.curves import CurveEnd, CurvePair, compare_curves, thinned
from runsync.model.points import as_table, points_of_key
from runsync.model.run_table import direction_of

NAN = math.nan


def pair_of(one: Sequence[float], other: Sequence[float], key: str = "loss") -> CurvePair:
    histories = [
        as_table([points_of_key(key, range(len(v)), [shift + i for i in range(len(v))], v)] if v else [])
        for shift, v in ((0, one), (1000, other))
    ]
    (pair,) = compare_curves(histories[0], histories[1], direction_of)
    return pair


@pytest.mark.parametrize(
    ("one", "other", "first_difference", "goes_on"),
    [
        ([3, 2, 1], [3, 2, 1], None, None),
        ([3, NAN, 1], [3, NAN, 1], None, None),
        ([0.0], [-0.0], None, None),
        ([3, 2], [3, 2, 1], None, 1),
        ([3, 2, 1], [3], None, 0),
        ([3, 2, 1], [3, 2.5, 1], 1, None),
        ([3, 2, 1], [4, 2], 0, None),
        ([], [1], None, 1),
        ([1], [], None, 0),
    ],
)
def test_two_curves_part_at_a_step_or_one_goes_on(
    one: list[float], other: list[float], first_difference: int | None, goes_on: int | None
) -> None:
    pair = pair_of(one, other)
    assert (pair.first_difference, pair.goes_on) == (first_difference, goes_on)
    assert pair.is_same == (first_difference is None and goes_on is None)


def test_the_ends_tell_last_and_best() -> None:
    pair = pair_of([3, 1, 2, NAN], [], "loss")
    assert (pair.first.points, pair.first.best, pair.first.best_step, pair.first.last_step) == (4, 1, 1, 3)
    assert math.isnan(pair.first.last or 0)
    assert pair.second == CurveEnd()
    assert pair_of([3, 1, 2], [], "auc").first.best == 3
    assert pair_of([NAN, math.inf], [], "auc").first.best is None


def test_a_long_curve_keeps_its_first_and_last_point_and_no_more_than_asked() -> None:
    batches = [
        points_of_key("loss", range(s, s + 700), range(s, s + 700), [float(s)] * 700) for s in range(0, 7000, 700)
    ]
    for most in (2, 3, 10, 500):
        curve = thinned(batches, most)["loss"]
        assert curve.points == 7000
        assert most / 2 <= len(curve.steps) <= most
        assert (curve.steps[0], curve.steps[-1]) == (0, 6999)
        assert curve.steps == sorted(set(curve.steps))
        assert len(curve.steps) == len(curve.times) == len(curve.values)


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11])
def test_a_short_curve_keeps_all_points(count: int) -> None:
    curve = thinned([points_of_key("loss", range(count), range(count), [1.0] * count)], 10)["loss"]
    assert len(curve.steps) == count if count <= 10 else 5 <= len(curve.steps) <= 10
    assert curve.steps[-1] == count - 1
