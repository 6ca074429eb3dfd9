"""What the page of compared runs draws first: what most runs have, and curves of more than one point."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.comparable import hex_id
from support.memory import export_into

from runsync import compare_runs
from runsync.model.experiment import Experiment
from runsync.runs.compare_page import page
from runsync.testing.memory import START, MemorySource, run_with_metrics

RUNS = 10


def opened(folder: Path, params: list[dict[str, str]], metrics: list[dict[str, list[float]]], **asked: str) -> Any:
    """The values in the page of runs with these params and histories, the newest run first."""
    pytest.importorskip("plotly")
    runs, points = [], {}
    for number, (own, histories) in enumerate(zip(params, metrics, strict=True)):
        run_id = hex_id(number)
        points[run_id] = {key: [(i, START + i, v) for i, v in enumerate(h)] for key, h in histories.items()}
        runs.append(run_with_metrics(run_id, points[run_id], name=f"run {number}", start_time=START, params=own))
    export_into(folder / "bundle", MemorySource([Experiment("1", "churn")], runs, points))
    report = compare_runs(str(folder / "bundle"), curves=True)
    text = page.to_html(report, **asked)  # type: ignore[arg-type]
    return json.loads(text.partition('id="values">')[2].partition("</script>")[0])


def test_axes_and_colour_are_params_and_metrics_that_most_runs_have_a_number_for(tmp_path: Path) -> None:
    params, metrics = [], []
    for i in range(RUNS):
        params.append({"a_constant": "3", "b_text": f"adam{i}", "c_mixed": "auto" if i == 9 else str(i)})
        metrics.append({"accuracy_of_few": [0.5 + i]} if i < 2 else {"auc": [0.1 * i], "loss": [1.0 / i]})
        if i < 3:
            params[i]["a_rare"] = str(i)
        if i != 4:
            params[i]["learning_rate"] = f"{i}e-3"
    values = opened(tmp_path, params, metrics)
    look = values["first_look"]
    assert (look["x"], look["y"], look["color"]) == ("params.learning_rate", "metrics.auc", "metrics.loss")
    assert look["parallel_color"] == "metrics.auc"
    assert set(look["dimensions"]) == {"params.learning_rate", "params.c_mixed", "params.b_text"} | {
        "metrics.auc",
        "metrics.loss",
    }


def test_what_is_asked_for_goes_first(tmp_path: Path) -> None:
    params = [{"lr": str(i), "optimizer": "adam" if i % 2 else "sgd"} for i in range(4)]
    metrics = [{"auc": [float(i)], "loss": [float(-i)]} for i in range(4)]
    look = opened(tmp_path, params, metrics, x="metrics.auc", color="params.optimizer")["first_look"]
    assert (look["x"], look["y"], look["color"]) == ("metrics.auc", "metrics.loss", "params.optimizer")
    assert look["parallel_color"] == "params.optimizer"


def test_without_numbers_the_times_of_runs_are_axes(tmp_path: Path) -> None:
    values = opened(tmp_path, [{"optimizer": "adam"}, {"optimizer": "sgd"}], [{}, {}])
    look = values["first_look"]
    assert {look["x"], look["y"]} == {"details.start_time", "details.duration"}
    assert look["metric"] == ""
    assert values["curves"] == {}


def test_axes_on_which_most_runs_would_be_left_out_do_not_stand_beside_each_other(tmp_path: Path) -> None:
    # Six runs have the one param, six the other: both only two of them.
    params = [
        {"one": str(i)} if i < 4 else {"one": str(i), "two": str(i)} if i < 6 else {"two": str(i)} for i in range(10)
    ]
    look = opened(tmp_path, params, [{"auc": [float(i)]} for i in range(10)])["first_look"]
    assert [name for name in look["dimensions"] if name.startswith("params.")] == ["params.one"]


def test_curves_of_one_point_are_left_out_and_counted(tmp_path: Path) -> None:
    metrics = [
        {"auc": [0.5], "loss": [1.0, 0.5], "final": [1.0]},
        {"auc": [0.5, 0.6], "loss": [0.5, 0.1], "final": [2.0]},
    ]
    values = opened(tmp_path, [{}, {}], metrics)
    assert sorted(values["curves"]) == ["auc", "loss"]
    assert [len(curve["steps"]) for curve in values["curves"]["auc"]] == [2]
    assert values["single_points"] == {"auc": 1, "loss": 0}
    assert values["first_look"]["metric"] == "auc"
