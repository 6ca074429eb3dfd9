"""What a server refuses of a run is one named piece, and the run arrives with all else."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Fleet
from support.proxy import FaultProxy, Rule, respond
from support.servers import MlflowServer
from support.stores import START, Filler, Points, empty_sqlite, opened, run_id

import runsync
from runsync.model.experiment import DELETED, Experiment
from runsync.model.run import DatasetInput, Run
from runsync.transfer.report import TransferReport
from runsync.workspaces.rest.refused import MOST

LONG = "k" * 251
KEYS = ("a#b", "a\0b", "../m", "", LONG)
CURVE = [(START + i, i, i / 7) for i in range(20)]
GOOD: dict[str, Any] = {
    "params": {f"good {i}": "1" for i in range(50)},
    "tags": {"team": "vision"},
    "dataset_inputs": (DatasetInput("train", "d1", "local", "{}"),),
}
BEFORE_1970 = [(-5, 0, 0.5), (START, 1, 0.4), (-4, 2, 0.3), (START + 1, 3, 0.2)]
CURVES = {"loss": CURVE, "accuracy": CURVE}

Bad = tuple[Mapping[str, Any], Points, list[tuple[str, str]]]
"""What a run has besides what is good, points by key, and the pieces that are refused."""
BAD: dict[str, Bad] = {
    "params": ({"params": dict.fromkeys(KEYS, "1")}, {}, [("param", key) for key in KEYS]),
    "metrics": ({}, dict.fromkeys(KEYS, CURVE), [("metric", key) for key in KEYS]),
    "points": ({}, {"neg": BEFORE_1970}, [("metric", "neg")]),
    "inputs": (
        {"dataset_inputs": (DatasetInput("big", "d" * 37), DatasetInput("n" * 501, "d2"), DatasetInput("test", "d3"))},
        {},
        [("input", "big"), ("input", "n" * 501)],
    ),
    "all": (
        {"params": {"a#b": "1"}, "dataset_inputs": (DatasetInput("big", "d" * 37),), "lifecycle_stage": DELETED},
        {"a#b": CURVE, "neg": BEFORE_1970},
        [("param", "a#b"), ("metric", "a#b"), ("metric", "neg"), ("input", "big")],
    ),
}


def store_of(folder: Path, bad: Mapping[str, Bad]) -> str:
    """A database with a run for each of those, between two others; its address. Runs have ids of the folder's own:
    servers are shared."""
    address = empty_sqlite(folder / "source.db")
    with opened(address, str(folder / "mlartifacts")) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("101", "home", creation_time=1, last_update_time=2))
        for age, label in enumerate(("before", *bad, "after")):
            more, points, _ = bad.get(label, ({}, {}, []))
            plain = Run(run_of(folder, label), home, label, "ann", "FINISHED", START + age, START + 50, **GOOD)
            added = {name: _added(GOOD.get(name), value) for name, value in more.items()}
            filler.run(replace(plain, **added), CURVES | dict(points), {"log.txt": b"epoch 1"})
    return address


def _added(good: Any, more: Any) -> Any:
    return {**good, **more} if isinstance(more, dict) else (*good, *more) if isinstance(more, tuple) else more


def run_of(folder: Path, label: str) -> str:
    return run_id(f"{folder}: {label}")


# Each in one test; the others in `make stress`.
EACH_RELEASE_AND_VERB = [
    ("mlflow3_b", "sync"),
    *(
        pytest.param(*both, marks=pytest.mark.slow)
        for both in (("mlflow2_b", "import"), ("mlflow3_b", "import"), ("mlflow2_b", "sync"))
    ),
]


def pieces(done: TransferReport) -> list[tuple[str, str, str]]:
    return sorted((one["run_id"], one["kind"], one["name"]) for one in done.problems)


KINDS = {
    "params": "param",
    "tags": "tag",
    "metrics": "metric",
    "latest_metrics": "metric",
    "dataset_inputs": "input",
}


def differing(source: str, url: str, prefix: str) -> list[tuple[str, str, str]]:
    """The pieces of which something is not there."""
    found = set()
    for one in runsync.verify(source, url, prefix=prefix).differences:
        part, _, name = one.field.partition(".")
        found.add((one.id, KINDS[part], name.split(" ")[0] if part == "dataset_inputs" else name))
    return sorted(found)


@pytest.mark.parametrize(("release", "verb"), EACH_RELEASE_AND_VERB)
def test_each_is_named_each_time_and_all_else_arrives_once(
    release: str, verb: str, fleet: Fleet, tmp_path: Path, prefix: str
) -> None:
    url, place = fleet.get(release).url, store_of(tmp_path, BAD)
    bring: Callable[..., TransferReport] = runsync.sync
    if verb == "import":
        runsync.export(place, tmp_path / "b")
        place, bring = str(tmp_path / "b"), runsync.import_
    wanted = sorted((run_of(tmp_path, label), *piece) for label, (_, _, lost) in BAD.items() for piece in lost)
    for number in range(2):
        done = bring(place, url, prefix=prefix)
        assert (done.stopped, done.exit_code, done.failed) == ("", 3, [])
        assert pieces(done) == wanted
        assert (done.runs.created, done.runs.updated, done.runs.unchanged) == ((7, 0, 0) if not number else (0, 5, 2))
        assert done.metric_points == (7 * 2 * len(CURVE) + 4 if not number else 0)
        reasons = {one["name"]: one["reason"] for one in done.problems if one["kind"] == "metric"}
        assert reasons["neg"].startswith("2 points: ")
        assert reasons["a\0b"].startswith("20 points: ")
        assert differing(place, url, prefix) == wanted


def test_a_tag_that_is_refused_later(mlflow3_b: MlflowServer, tmp_path: Path, prefix: str) -> None:
    source = store_of(tmp_path, {"bad": ({}, {}, [])})
    assert runsync.sync(source, mlflow3_b.url, prefix=prefix).exit_code == 0
    told = [(run_of(tmp_path, "bad"), "tag", "a#b")]
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        for key in ("a#b", "fine"):
            database.execute("INSERT INTO tags (key, value, run_uuid) VALUES (?, '1', ?)", (key, told[0][0]))
    for _ in range(2):
        done = runsync.sync(source, mlflow3_b.url, prefix=prefix)
        assert (done.exit_code, done.runs.updated, pieces(done)) == (3, 1, told)
        assert differing(source, mlflow3_b.url, prefix) == told
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        database.execute("DELETE FROM tags WHERE key = 'a#b'")
    done, again = (runsync.sync(source, mlflow3_b.url, prefix=prefix) for _ in range(2))
    assert (done.exit_code, done.runs.updated, again.runs.unchanged) == (0, 1, 3)


def test_many_bad_points_cost_few_requests(mlflow3_b: MlflowServer, tmp_path: Path, prefix: str) -> None:
    long = [(START + i, i, 0.5) for i in range(2500)]
    source = store_of(tmp_path, {"bad": ({}, {"a#b": long, "long": [(-1, -1, 0.5), *long]}, [])})
    with FaultProxy(mlflow3_b.url) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
        assert proxy.count("runs/log-batch") <= 16
    assert [(kind, name) for _, kind, name in pieces(done)] == [("metric", "a#b"), ("metric", "long")]
    assert [one["reason"].partition(":")[0] for one in done.problems] == ["2,500 points", "1 point"]
    assert differing(source, mlflow3_b.url, prefix) == pieces(done)


def refusing(word: str, path: str = "runs/log-batch", count: int | None = None) -> Rule:
    """A server with a rule of its own."""
    answer = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": f"no {word} here"}).encode()
    return Rule(respond(400, body=answer), path, count=count, of=lambda body: word.encode() in body)


def test_what_no_rule_of_mlflow_is_against_is_found_by_halves(
    mlflow3_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    bad: dict[str, Bad] = {
        "param": ({"params": {"odd": "1"}}, {}, [("param", "odd")]),
        "metric": ({}, {"odd": [(START + i, i, 0.5) for i in range(100)]}, [("metric", "odd")]),
    }
    source = store_of(tmp_path, bad)
    wanted = sorted((run_of(tmp_path, label), *piece) for label, (_, _, lost) in bad.items() for piece in lost)
    with FaultProxy(mlflow3_b.url, refusing('"odd"')) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
        assert (done.exit_code, done.failed, pieces(done)) == (3, [], wanted)
        sent = proxy.seen("runs/log-batch")
    assert next(one["reason"] for one in done.problems if one["kind"] == "metric").startswith("100 points: ")
    assert differing(source, mlflow3_b.url, prefix) == wanted
    assert sum(request.status == 200 for request in sent) <= 2 + 2 * 7
    assert len(sent) <= 4 + 2 * 2 * 7 + 10
    assert runsync.sync(source, mlflow3_b.url, prefix=prefix).exit_code == 0


def test_a_point_that_no_rule_is_against_is_found_by_halves(
    mlflow3_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    source = store_of(tmp_path, {"bad": ({}, {"long": [(START, i, i / 7) for i in range(900)]}, [])})
    with FaultProxy(mlflow3_b.url, refusing('"step":400}')) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
    assert [one["reason"].partition(":")[0] for one in done.problems] == ["1 point"]
    assert pieces(done) == differing(source, mlflow3_b.url, prefix) == [(run_of(tmp_path, "bad"), "metric", "long")]


def test_a_run_that_is_refused_with_its_tags_comes_without_the_bad_one(
    mlflow3_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    source = store_of(tmp_path, {"bad": ({"tags": {"odd": "1"}}, {}, [])})
    told = [(run_of(tmp_path, "bad"), "tag", "odd")]
    with FaultProxy(mlflow3_b.url, refusing('"odd"', "runs/(create|log-batch)")) as proxy:
        for _ in range(2):
            done = runsync.sync(source, proxy.url, prefix=prefix)
            assert (done.exit_code, done.failed, pieces(done)) == (3, [], told)
    assert differing(source, mlflow3_b.url, prefix) == told


@pytest.mark.slow
def test_beside_many_bad_names_what_no_rule_is_against_is_found_too(
    mlflow3_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    bad_names = {f"a#{number}": "1" for number in range(MOST + 5)}
    bad: Bad = ({"params": bad_names}, {"z": [(START + i, i, 0.5) for i in range(2000)], "odd": CURVE}, [])
    source = store_of(tmp_path, {"bad": bad})
    with FaultProxy(mlflow3_b.url, refusing('"odd"')) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
    assert (done.exit_code, done.failed) == (3, [])
    assert {name for _, _, name in pieces(done)} == {*bad_names, "odd"}
    assert differing(source, mlflow3_b.url, prefix) == pieces(done)


def test_a_server_that_refuses_everything_is_not_asked_for_ever(
    mlflow3_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    source = store_of(tmp_path, {})
    with FaultProxy(mlflow3_b.url, refusing("run_id")) as proxy:
        done = runsync.sync(source, proxy.url, prefix=prefix)
        assert (done.exit_code, len(done.failed), done.problems) == (3, 2, [])
        assert proxy.count("runs/log-batch") <= 2 * (2 * MOST + 10)
    assert "no run_id here" in done.failed[0]["error"]
    assert runsync.sync(source, mlflow3_b.url, prefix=prefix).exit_code == 0
    assert runsync.verify(source, mlflow3_b.url, prefix=prefix).exit_code == 0


@pytest.mark.parametrize("release", ["mlflow3_b", pytest.param("mlflow2_b", marks=pytest.mark.slow)])
def test_a_run_without_a_start_time(release: str, fleet: Fleet, tmp_path: Path, prefix: str) -> None:
    url, source = fleet.get(release).url, store_of(tmp_path, {"bad": ({"start_time": None}, {}, [])})
    done, again = (runsync.sync(source, url, prefix=prefix) for _ in range(2))
    assert (done.exit_code, again.exit_code, again.runs.unchanged) == (0, 0, 3)
    (changed,) = [left for left in done.not_carried if "start time" in left.what]
    assert (changed.what, changed.count, changed.kind) == ("run: no start time", 1, "")
    assert runsync.verify(source, url, prefix=prefix).exit_code == 0
