"""Which experiments and runs are meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runsync.errors import NothingSelected, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection

NAMES = ["churn", "churn-2", "Churn", "vision/a", "vision/b", "odd [x]", "7"]
EXPERIMENTS = [Experiment(str(number), name) for number, name in enumerate(NAMES, 100)]


def _names(*wanted: str) -> list[str]:
    return [e.name for e in Selection(experiments=wanted).choose(EXPERIMENTS)]


def test_without_a_word_everything_is_meant() -> None:
    assert Selection().choose(EXPERIMENTS) == EXPERIMENTS
    assert Selection().choose([]) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("churn",), ["churn"]),
        (("churn*",), ["churn", "churn-2"]),
        (("vision/*",), ["vision/a", "vision/b"]),
        (("104",), ["vision/b"]),
        (("7",), ["7"]),
        (("odd [x]",), ["odd [x]"]),
        (("*",), NAMES),
        (("vision/b", "churn"), ["churn", "vision/b"]),
        (("churn", "churn*", "100"), ["churn", "churn-2"]),
        (("[cC]hurn",), ["churn", "Churn"]),
    ],
)
def test_experiments_are_meant_by_name_id_or_glob_and_each_once(wanted: tuple[str, ...], expected: list[str]) -> None:
    assert _names(*wanted) == expected


@pytest.mark.parametrize("wanted", ["churns", "CHURN", "vision", "x*", "1000", ""])
def test_a_name_that_means_nothing_is_told(wanted: str) -> None:
    with pytest.raises(NothingSelected, match=f"“{re.escape(wanted)}”") as caught:
        _names("churn", wanted)
    assert caught.value.exit_code == 1


RUNS = [
    Run("early", "1", start_time=100, lifecycle_stage="active"),
    Run("late", "1", start_time=200, lifecycle_stage="deleted"),
    Run("timeless", "1", start_time=None),
]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["early", "late", "timeless"]),
        (Selection(state="active"), ["early", "timeless"]),
        (Selection(state="deleted"), ["late"]),
        (Selection(since=100), ["early", "late"]),
        (Selection(since=101), ["late"]),
        (Selection(until=100), ["early", "timeless"]),
        (Selection(until=200), ["early", "late", "timeless"]),
        (Selection(since=100, until=199), ["early"]),
        (Selection(runs=("late", "gone")), ["late"]),
        (Selection(runs=("late",), state="active"), []),
        (Selection(since=0), ["early", "late", "timeless"]),
    ],
)
def test_runs_are_meant_by_id_state_and_start_time_bounds_included(selection: Selection, expected: list[str]) -> None:
    assert [run.run_id for run in RUNS if selection.takes(run)] == expected


@pytest.mark.parametrize("state", ["", "Active", "gone"])
def test_a_state_that_is_none_is_refused(state: str) -> None:
    with pytest.raises(WrongUsage, match="is none of active, deleted, all"):
        Selection(state=state)


@given(
    since=st.none() | st.integers(-5, 5),
    until=st.none() | st.integers(-5, 5),
    start=st.none() | st.integers(-5, 5),
)
def test_splitting_time_splits_the_runs(since: int | None, until: int | None, start: int | None) -> None:
    """Every run is before a moment or after it, and never both."""
    run = Run("x", "1", start_time=start)
    assert Selection(since=1).takes(run) != Selection(until=0).takes(run)
    both = Selection(since=since, until=until).takes(run)
    assert both == (Selection(since=since).takes(run) and Selection(until=until).takes(run))


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(), "there is no run 0a"),
        (Selection(experiments=("churn",)), "there is no run 0a (in the experiments and state selected)"),
        (
            Selection(state="active"),
            "there is no run 0a (in the experiments and state selected); --state all takes active and deleted runs",
        ),
    ],
)
def test_a_run_that_is_not_there_is_told_with_what_narrowed_the_search(selection: Selection, told: str) -> None:
    assert str(selection.absent("0a")) == told
