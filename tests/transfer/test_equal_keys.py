"""A server whose database is MySQL takes “Lr” and “lr” for one key: what cannot be beside another is named, by itself,
and nothing else is lost with it. Other databases have both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Fleet
from support.databases import Databases
from support.servers import MlflowServer
from support.stores import START, Filler, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import LatestMetric, Run
from runsync.model.selection import Selection

RUNS: dict[str, dict[str, Any]] = {
    "params": {"params": {"Lr": "1", "lr": "2", "x": "3"}},
    "metrics": {"latest_metrics": (LatestMetric("Löss", 1.0, START, 0), LatestMetric("loss", 2.0, START, 0))},
    "tags": {"tags": {"Key": "1", "key": "2", "other": "3"}},
    "more tags": {"tags": {"Note": "1", "note": "2"}},
}
LOST = {
    ("", "tag of experiment", "team"),
    ("params", "param", "lr"),
    ("metrics", "metric", "loss"),
    ("tags", "tag", "key"),
    ("more tags", "tag", "note"),
}


def store_of(folder: Path, name: str) -> str:
    address = str(folder / "mlruns")
    with opened(address) as workspace:
        filler = Filler(workspace)
        tags = {"Team": "vision", "team": "audio"}
        home = filler.experiment(Experiment("101", name, tags=tags, creation_time=1, last_update_time=2))
        for number, (label, fields) in enumerate(RUNS.items()):
            metrics = {m.key: [(m.timestamp, m.step, m.value)] for m in fields.get("latest_metrics", ())}
            run = Run(run_id(f"{folder}{label}"), home, label, "ann", "FINISHED", START + number, START + 9, **fields)
            filler.run(run, metrics)
    return address


@pytest.mark.slow
def test_each_key_that_is_one_with_another_is_named(
    databases: Databases, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    database = databases.fresh("mysql").for_mlflow
    url = start_server(extra=("--backend-store-uri", database)).wait().url
    source = store_of(tmp_path, "home")
    names = {run_id(f"{tmp_path}{label}"): label for label in RUNS}
    for number in range(2):  # the second time finds what is there
        done = runsync.sync(source, url)
        assert (done.exit_code, done.failed) == (3, [])
        assert (done.runs.created, done.runs.updated) == ((4, 0) if number == 0 else (0, 4))
        assert {(names.get(p["run_id"], ""), p["kind"], p["name"]) for p in done.problems} == LOST
        assert all("to the server's database it is the same as" in p["reason"] for p in done.problems)
    there = {run.name: run for run in runsync.list_runs(url).runs}
    assert there["params"].params == {"Lr": "1", "x": "3"}
    assert [(m.key, m.value) for m in there["metrics"].latest_metrics] == [("Löss", 1.0)]
    assert {key: there["tags"].tags.get(key) for key in ("Key", "key", "other")} == {
        "Key": "1",
        "key": None,
        "other": "3",
    }
    (home,) = [e for e in runsync.list_experiments(url).experiments if e.name == "home"]
    assert home.tags["Team"] == "vision"
    tagged = runsync.tag_runs(url, {"KEY": "9"}, Selection(runs=("home/tags",)))
    assert (tagged.exit_code, tagged.items[0].action) == (3, "failed")
    assert "the same as others of the run" in tagged.items[0].error


def test_where_they_are_two_both_arrive(fleet: Fleet, tmp_path: Path) -> None:
    url, source = fleet.get("mlflow3_b").url, store_of(tmp_path, f"{tmp_path.name} home")
    done = runsync.sync(source, url)
    assert (done.exit_code, done.problems) == (0, [])
    only = Selection(experiments=(f"{tmp_path.name} home",))
    assert runsync.verify(source, url, selection=only).exit_code == 0
    assert runsync.sync(source, url).runs.unchanged == 4
