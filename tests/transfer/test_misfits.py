"""What a database or a file store has no place for is one named piece, and the run arrives with all else."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.stores import START, Filler, Points, contents, empty_sqlite, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import DatasetInput, LatestMetric, ModelLink, Run
from runsync.transfer.report import TransferReport
from runsync.workspaces.direct import write
from transfer.conftest import Make

LONG = "k" * 251
GOOD: Mapping[str, Any] = {
    "params": {"lr": "0.1"},
    "tags": {"mlflow.runName": "bad", "team": "vision"},
    "dataset_inputs": (DatasetInput("train", "d1", "local", "{}"),),
    "model_outputs": (ModelLink("m-1", 3),),
}
CURVE: Points = {"loss": [(START + i, i, i / 7) for i in range(5)]}
OTHERS = [run_id("before"), run_id("after")]

More = tuple[Mapping[str, Any], Points]
"""What a run has besides what is good: fields of it, and points by key."""

MISFITS: Mapping[str, tuple[str, Mapping[str, Any], Points, list[tuple[str, str]]]] = {
    "param": ("postgres", {"params": {"long": "x" * 8001}}, {}, [("param", "long")]),
    "key of a param": ("mysql", {"params": {LONG: "1"}}, {}, [("param", LONG)]),
    "key that leads outside": ("file store", {"params": {"../../x": "1"}}, {}, [("param", "../../x")]),
    "param below another": ("file store", {"params": {"lr/deeper": "1"}}, {}, [("param", "lr/deeper")]),
    "tag": ("mysql", {"tags": {"long": "x" * 8001}}, {}, [("tag", "long")]),
    "tag with NUL": ("postgres", {"tags": {"nul": "a\0b"}}, {}, [("tag", "nul")]),
    "tag that runsync repeats": (
        "postgres",
        {"tags": {"mlflow.log-model.history": "x" * 9000}},
        {},
        [("tag", "mlflow.log-model.history")],
    ),
    "name": ("postgres", {"name": LONG, "tags": {"mlflow.runName": LONG}}, {}, [("field", "run_name")]),
    "user": ("mysql", {"user_id": "u" * 257}, {}, [("field", "user_id")]),
    "metric": ("postgres", {}, {LONG: CURVE["loss"]}, [("metric", LONG)]),
    "metric of the latest": (
        "mysql",
        {"latest_metrics": (LatestMetric(LONG, 4 / 7, START + 4, 4),)},
        {LONG: CURVE["loss"]},
        [("metric", LONG)],
    ),
    "metric below another": ("file store", {}, {"loss/deeper": CURVE["loss"]}, [("metric", "loss/deeper")]),
    "metrics that are one to MySQL": ("mysql", {}, {"LOSS": CURVE["loss"]}, [("metric", "LOSS")]),
    "params that are one to MySQL": ("mysql", {"params": {"LR": "9", "depth": "3"}}, {}, [("param", "LR")]),
    "dataset": ("postgres", {"dataset_inputs": (DatasetInput("big", "d" * 40),)}, {}, [("input", "big")]),
    "datasets that are one to MySQL": (
        "mysql",
        {"dataset_inputs": (DatasetInput("curve", "d1"), DatasetInput("CURVE", "d1"))},
        {},
        [("input", "CURVE")],
    ),
    "model": ("postgres", {"model_outputs": (ModelLink("m" * 37),)}, {}, [("output", "m" * 37)]),
    "model of a file store": ("file store", {"model_outputs": (ModelLink("m 1"),)}, {}, [("output", "m 1")]),
    "several": (
        "file store",
        {"params": {"a//b": "1", "": "2"}, "tags": {".DS_Store": "x"}},
        {"a/../b": CURVE["loss"], "x" * 256: CURVE["loss"]},
        [("param", "a//b"), ("param", ""), ("tag", ".DS_Store"), ("metric", "a/../b"), ("metric", "x" * 256)],
    ),
}


ONLY_WRITING_SHOWS = {
    "metrics that are one to MySQL",
    "params that are one to MySQL",
    "datasets that are one to MySQL",
}


def filled(folder: Path, bad: Mapping[str, More]) -> str:
    """A database with a run for each of those, between two others; its address."""
    address = empty_sqlite(folder / "source.db")
    with opened(address, str(folder / "mlartifacts")) as workspace:
        filler = Filler(workspace)
        filler.default()
        home = filler.experiment(Experiment("101", "home", creation_time=1, last_update_time=2))
        for age, label in enumerate(("before", *bad, "after")):
            more, points = bad.get(label, ({}, {}))
            run = Run(run_id(label), home, label, "ann", "FINISHED", START + age, START + 50, tags={"team": "x"})
            if label in bad:
                whole = {
                    name: {**GOOD[name], **value} if isinstance(value, dict) else (*GOOD.get(name, ()), *value)
                    for name, value in more.items()
                    if not isinstance(value, str)
                }
                plain = {name: value for name, value in more.items() if isinstance(value, str)}
                run = replace(run, **{**GOOD, **whole, **plain})
            filler.run(run, {**CURVE, **points}, {"log.txt": b"epoch 1"})
    return address


@pytest.mark.parametrize("kind", ["file store", "postgres", "mysql"])
def test_a_piece_that_does_not_fit_is_named_each_time_and_all_else_arrives_once(
    kind: str, tmp_path: Path, make: Make
) -> None:
    misfits = {name: pieces for name, (where, _, _, pieces) in MISFITS.items() if where == kind}
    source, target = filled(tmp_path, {name: MISFITS[name][1:3] for name in misfits}), make(kind)
    for number in range(2):
        planned = runsync.sync(source, target, artifacts=False, dry_run=True)
        assert planned.exit_code == 3
        for name in set(misfits) - ONLY_WRITING_SHOWS:
            assert set(_lost(planned, name)) == set(misfits[name]), name
        done = runsync.sync(source, target, artifacts=False)
        assert (done.stopped, done.exit_code, done.runs.failed) == ("", 3, 0)
        assert {one["run_id"] for one in done.problems} == {run_id(name) for name in misfits}
        lost = {name: _lost(done, name) for name in misfits}
        for name, pieces in misfits.items():
            # MySQL takes one of two.
            assert sorted((k, n.upper()) for k, n in lost[name]) == sorted((k, n.upper()) for k, n in pieces), name
        assert (done.runs.created, done.metric_points > 0) == ((len(misfits) + 2, True) if number == 0 else (0, False))
    before, after = contents(source)["runs"], contents(target)["runs"]
    assert set(after) == {*map(run_id, misfits), *OTHERS}
    for name in misfits:
        assert_all_else_arrived(before[run_id(name)], after[run_id(name)], lost[name])
    differing = runsync.verify(source, target, artifacts=False)
    assert differing.exit_code == 4
    assert {one.id for one in differing.differences} == set(map(run_id, misfits))


def _lost(done: TransferReport, name: str) -> list[tuple[str, str]]:
    """Kinds and names of the pieces of a run that did not arrive."""
    return [(one["kind"], one["name"]) for one in done.problems if one["run_id"] == run_id(name)]


def assert_all_else_arrived(wanted: dict[str, Any], found: dict[str, Any], pieces: list[tuple[str, str]]) -> None:
    """Of one run."""
    lost = {*pieces, *([("tag", "mlflow.runName")] if ("field", "run_name") in pieces else [])}
    for kind in ("param", "tag"):
        assert found[f"{kind}s"] == {n: value for n, value in wanted[f"{kind}s"].items() if (kind, n) not in lost}
    assert found["points"] == {p: count for p, count in wanted["points"].items() if ("metric", p[0]) not in lost}
    inputs = [d["name"].lower() for d in wanted["dataset_inputs"] if ("input", d["name"]) not in lost]
    assert sorted(d["name"].lower() for d in found["dataset_inputs"]) == sorted(inputs)
    assert [m["model_id"] for m in found["model_outputs"]] == ["m-1"]


@pytest.mark.parametrize("kind", ["file store", "postgres"])
def test_a_run_that_is_read_anew_for_its_many_points(
    kind: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "POINTS_A_WRITE", 3)
    bad = ({"params": {LONG + "k" * 10: "1"}}, {"m" * 260: CURVE["loss"]})
    source, target = filled(tmp_path, {"bad": bad}), make(kind)
    for _ in range(2):
        done = runsync.sync(source, target, artifacts=False)
        assert [(one["kind"], one["name"][0]) for one in done.problems] == [("param", "k"), ("metric", "m")]
    assert contents(target)["runs"][run_id("bad")]["points"] == contents(source)["runs"][run_id("before")]["points"]
    assert not [note for note in done.notes if "more than once" in note]


def test_once_all_fits_the_copy_is_whole_and_left_alone(tmp_path: Path, make: Make) -> None:
    source, target = filled(tmp_path, {"bad": ({"params": {"lr/deeper": "1"}}, {})}), make("file store")
    assert runsync.sync(source, target, artifacts=False).exit_code == 3
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        database.execute("UPDATE params SET key = 'deeper' WHERE key = 'lr/deeper'")
    changed, again = (runsync.sync(source, target, artifacts=False) for _ in range(2))
    assert (changed.exit_code, changed.runs.updated, changed.runs.unchanged) == (0, 1, 2)
    assert (again.exit_code, again.runs.unchanged) == (0, 3)
    assert runsync.verify(source, target, artifacts=False).exit_code == 0


def test_of_two_names_of_one_dataset_the_one_that_another_run_brings_arrives_at_once(
    tmp_path: Path, make: Make
) -> None:
    both = (DatasetInput("CURVE", "d1"), DatasetInput("curve", "d1"))
    bad: More = ({"dataset_inputs": both}, {})
    alone: More = ({"dataset_inputs": (both[1],)}, {})
    source, target = filled(tmp_path, {"bad": bad, "alone": alone}), make("mysql")
    for _ in range(2):
        done = runsync.sync(source, target, artifacts=False)
        assert [(one["run_id"], one["kind"], one["name"]) for one in done.problems] == [
            (run_id("bad"), "input", "CURVE")
        ]
        runs = contents(target)["runs"]
        assert {read["name"] for read in runs[run_id("bad")]["dataset_inputs"]} == {"train", "curve"}
        assert {read["name"] for read in runs[run_id("alone")]["dataset_inputs"]} == {"train", "curve"}
