"""Runs beside each other: which rows differ, and who is best."""

import math
from typing import Any

import pytest

from runsync.model.run import LatestMetric, Run
from runsync.model.run_table import HIGHER, LOWER, Row, Subject, best_of, differ, direction_of, rows_of


def subject(run_id: str, metrics: dict[str, float] | None = None, place: str = "here", **fields: Any) -> Subject:
    latest = tuple(LatestMetric(key, value, 0, 0) for key, value in (metrics or {}).items())
    return Subject(Run(run_id, "1", latest_metrics=latest, **fields), "churn", place)


def row_of(rows: tuple[Row, ...], group: str, key: str) -> Row:
    (found,) = [row for row in rows if (row.group, row.key) == (group, key)]
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), False),
        ((1.0,), False),
        ((1.0, 1.0), False),
        ((1, 1.0), False),
        ((0.0, -0.0), False),
        ((math.nan, math.nan), False),
        ((math.nan, 1.0), True),
        ((math.inf, math.inf), False),
        ((math.inf, -math.inf), True),
        ((None, None), False),
        ((None, ""), True),
        ((None, math.nan), True),
        (("0.1", "0.1"), False),
        (("0.1", "0.10"), True),
        (("NaN", math.nan), True),
        (("a", "a", "b"), True),
    ],
)
def test_a_row_differs_when_a_run_has_another_value_than_the_first(values: tuple[Any, ...], expected: bool) -> None:
    assert differ(values) is expected


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ((0.1, 0.3, 0.2), HIGHER, (1,)),
        ((0.1, 0.3, 0.2), LOWER, (0,)),
        ((0.3, 0.3, 0.2), HIGHER, (0, 1)),
        ((0.3, 0.3), HIGHER, ()),
        ((0.3,), HIGHER, ()),
        ((0.3, None), HIGHER, ()),
        ((None, None), HIGHER, ()),
        ((math.nan, 0.1, 0.2), HIGHER, (2,)),
        ((math.inf, 0.1, 0.2), HIGHER, (2,)),
        ((-math.inf, 0.1, 0.2), LOWER, (1,)),
        ((math.nan, math.inf), HIGHER, ()),
        ((math.nan, 0.1), LOWER, ()),
    ],
)
def test_the_best_is_the_best_finite_value_of_at_least_two(
    values: tuple[Any, ...], direction: str, expected: tuple[int, ...]
) -> None:
    assert best_of(values, direction) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("loss", LOWER),
        ("val_loss", LOWER),
        ("validation-0-logloss", LOWER),
        ("meanSquaredError", LOWER),
        ("RMSE", LOWER),
        ("trainMSELoss", LOWER),
        ("eval/loss", LOWER),
        ("system time", LOWER),
        ("epoch_duration", LOWER),
        ("auc", HIGHER),
        ("r2", HIGHER),
        ("accuracy", HIGHER),
        ("timestamp_count", HIGHER),
        ("glossary_hits", HIGHER),
        ("", HIGHER),
    ],
)
def test_a_metric_called_like_a_loss_an_error_or_a_time_is_best_where_it_is_least(key: str, expected: str) -> None:
    assert direction_of(key) == expected


def test_the_direction_can_be_said_otherwise() -> None:
    runs = [subject("a", {"auc": 0.1, "val_loss": 1.0}), subject("b", {"auc": 0.2, "val_loss": 2.0})]
    rows = rows_of(runs)
    assert [row_of(rows, "metrics", key).best for key in ("auc", "val_loss")] == [(1,), (0,)]
    rows = rows_of(runs, lower_is_better=["auc"], higher_is_better=["val_loss"])
    assert [(row.direction, row.best) for row in rows if row.group == "metrics"] == [(LOWER, (0,)), (HIGHER, (1,))]


def test_rows_stand_in_groups_with_a_value_a_run_and_none_for_what_is_missing() -> None:
    one = subject("a", {"f1": 0.5}, params={"lr": "0.1"}, tags={"team": "vision", "runsync.complete": "x"})
    other = subject("b", params={"depth": "3"}, start_time=1000, end_time=3500, place="there")
    rows = rows_of([one, other])
    assert [row.group for row in rows] == ["details"] * 12 + ["params"] * 2 + ["metrics"] + ["tags"]
    assert row_of(rows, "params", "lr").values == ("0.1", None)
    assert row_of(rows, "params", "depth").values == (None, "3")
    assert row_of(rows, "metrics", "f1").values == (0.5, None)
    assert row_of(rows, "tags", "team").values == ("vision", None)
    assert row_of(rows, "details", "duration").values == (None, 2500)
    assert row_of(rows, "details", "place").values == ("here", "there")
    assert not row_of(rows, "details", "experiment").differs


def test_source_and_version_are_told_as_details() -> None:
    project = {"mlflow.source.name": "git@x:y", "mlflow.project.entryPoint": "main", "mlflow.source.git.commit": "c0"}
    notebook = {"mlflow.source.name": "/Users/ada/nb", "mlflow.databricks.notebookRevisionID": "17"}
    rows = rows_of([subject("a", tags=project), subject("b", tags=notebook), subject("c")])
    assert row_of(rows, "details", "source").values == ("git@x:y:main", "/Users/ada/nb", None)
    assert row_of(rows, "details", "version").values == ("c0", "17", None)
    assert not [row for row in rows if row.group == "tags"]
