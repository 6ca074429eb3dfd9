"""Databases whose encoding does not have every character: a text of others is one named piece."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.databases import Databases
from support.stores import DEFAULT, START, Filler, contents, empty_sqlite, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import DatasetInput, Run

ROCKET = "🚀"
PIECES = [
    ("param", "optimizer"),
    ("param", f"key {ROCKET}"),
    ("tag", "note"),
    ("metric", f"loss {ROCKET}"),
    ("input", f"train {ROCKET}"),
    ("input tag", "context"),
]
OF_ENCODINGS = {
    "mysql-utf8mb3": [("field", "run_name"), *PIECES],
    "postgres-LATIN1": [("field", "run_name"), *PIECES],
    "postgres-SQL_ASCII": [("param", "k" * 60 + ROCKET * 60)],
}
CURVE = [(START + i, i, i / 7) for i in range(5)]


@pytest.fixture(scope="module", params=OF_ENCODINGS)
def target(request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    kind, _, encoding = request.param.partition("-")
    url = databases.narrow(kind, encoding).url
    with opened(url) as workspace:
        root = f"file://{tmp_path_factory.mktemp('artifacts')}/" + "{experiment_id}"
        workspace.store.create_experiment(replace(DEFAULT, artifact_location=root))
    return url


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A run with a rocket in everything, between two plain ones, in an experiment with a rocket in a tag."""
    address = empty_sqlite(tmp_path / "source.db")
    with opened(address, str(tmp_path / "artifacts")) as workspace:
        filler = Filler(workspace)
        filler.default()
        tags = {"team": "café", "mood": ROCKET}
        home = filler.experiment(Experiment("101", f"home {ROCKET}", creation_time=1, last_update_time=2, tags=tags))
        for age, label in enumerate(("before", "bad", "after")):
            run = Run(run_id(label), home, label, "ann", "FINISHED", START + age, START + 50, params={"lr": "é"})
            points = {"loss": CURVE}
            if label == "bad":
                run = replace(
                    run,
                    name=f"bad {ROCKET}",
                    params={"lr": "é", "optimizer": ROCKET, f"key {ROCKET}": "1", "k" * 60 + ROCKET * 60: "1"},
                    tags={"mlflow.runName": f"bad {ROCKET}", "note": f"to the moon {ROCKET}", "team": "vision"},
                    dataset_inputs=(
                        DatasetInput("train", "d1", tags={"context": ROCKET, "split": "all"}),
                        DatasetInput(f"train {ROCKET}", "d2"),
                    ),
                )
                points[f"loss {ROCKET}"] = CURVE
            filler.run(run, points)
    return address


def test_only_the_pieces_that_it_cannot_hold_are_left_out(
    source: str, target: str, request: pytest.FixtureRequest
) -> None:
    encoding = request.node.callspec.params["target"]
    lost = list(OF_ENCODINGS[encoding])
    takes_rockets = len(lost) == 1
    if not takes_rockets:
        lost.append(("param", "k" * 60 + ROCKET * 60))
        refused = runsync.sync(source, target, artifacts=False)
        (failed,) = [one for one in refused.failed if one["kind"] == "experiment"]
        assert "--rename '101=NEW'" in failed["error"]
    for number in range(2):
        done = runsync.sync(source, target, artifacts=False, rename={"101": "home"})
        assert (done.stopped, done.exit_code, done.failed) == ("", 3, [])
        named = [(one["kind"], one["name"]) for one in done.problems]
        assert sorted(named) == sorted([*lost, *([] if takes_rockets else [("tag of experiment", "mood")])])
        assert (done.experiments.created, done.experiments.updated) == (1 - number, 0)
        assert done.metric_points == (0 if number else 15 + 5 * takes_rockets)
    there = contents(target)
    (home,) = [e for e in there["experiments"].values() if e["name"] == "home"]
    assert home["tags"] == {"team": "café"} | ({"mood": ROCKET} if takes_rockets else {})
    run = there["runs"][run_id("bad")]
    assert {"lr": "é"}.items() <= run["params"].items()
    assert run["tags"]["team"] == "vision"
    assert "train" in [read["name"] for read in run["dataset_inputs"]]
    assert there["runs"].keys() == {run_id(label) for label in ("before", "bad", "after")}
    assert runsync.verify(source, target, artifacts=False, rename={"101": "home"}).exit_code == 4


def test_a_text_that_no_encoding_holds(target: str) -> None:
    with opened(target) as workspace:
        fits = workspace.store._fits  # type: ignore[attr-defined]
        run = Run(run_id("odd"), "0", "odd", "ann", "FINISHED", 1, 2, params={"lone": "\ud800"})
        assert str(fits.misfits(run)[0]).startswith("param “lone”: it has characters that ")
