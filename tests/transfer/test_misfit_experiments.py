"""What a target has no place for of an experiment itself: tags are left out and named, a name needs another one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.servers import MlflowServer
from support.stores import START, Filler, contents, empty_sqlite, opened, run_id

import runsync
from runsync.model.experiment import Experiment
from runsync.model.run import DatasetInput, ModelLink, Run
from transfer.conftest import Make

LONG = "n" * 600
GOOD = {"owner": "ann", "mlflow.note.content": "what it is for"}
BAD_TAGS: Mapping[str, dict[str, str]] = {
    "postgres": {"k" * 251: "1", "nul": "a\0b"},
    "mysql": {"k" * 251: "1", "owneR": "bob"},
    "file store": {"owner/deeper": "1", "../../x": "1", "k" * 256: "1"},
    "server": {"bad//key": "1", "k" * 251: "1"},
}


def filled(folder: Path, tags: dict[str, str], name: str = "home") -> str:
    """A database with an experiment of these tags, with a run, and a plain one; its address."""
    address = empty_sqlite(folder / "source.db")
    with opened(address, str(folder / "mlartifacts")) as workspace:
        filler = Filler(workspace)
        filler.default()
        for id, called, some in (("101", name, GOOD | tags), ("102", "plain", GOOD)):
            home = filler.experiment(Experiment(id, called, creation_time=1, last_update_time=2, tags=some))
            filler.run(Run(run_id(id), home, f"run of {id}", "ann", "FINISHED", START, START + 50))
    return address


@pytest.mark.parametrize("kind", ["postgres", "mysql", "file store"])
def test_tags_are_left_out_and_named_each_time(kind: str, tmp_path: Path, make: Make) -> None:
    bad = BAD_TAGS[kind]
    source, target = filled(tmp_path, bad), make(kind)
    for number in range(2):
        done = runsync.sync(source, target, artifacts=False)
        assert (done.stopped, done.exit_code, done.failed) == ("", 3, [])
        named = [(one["run_id"], one["kind"], one["name"]) for one in done.problems]
        assert {name.lower() for _, _, name in named} == {name.lower() for name in bad}  # MySQL takes one of two
        assert {(id, what) for id, what, _ in named} == {("101", "tag of experiment")}
        assert (len(named), done.runs.created) == (len(bad), 0 if number else 2)
        assert (done.experiments.created > 0, done.experiments.updated) == (number == 0, 0)
    there = contents(target)
    lost = {name for _, _, name in named}
    whole = {name: value for name, value in (GOOD | bad).items() if name not in lost}
    assert [there["experiments"][id]["tags"] for id in ("101", "102")] == [whole, GOOD]
    assert runsync.verify(source, target, artifacts=False).exit_code == 4


def test_tags_that_a_server_refuses(tmp_path: Path, mlflow3_b: MlflowServer, prefix: str) -> None:
    source = filled(tmp_path, BAD_TAGS["server"])
    for number in range(2):
        done = runsync.sync(source, mlflow3_b.url, artifacts=False, prefix=prefix)
        assert (done.stopped, done.exit_code, done.failed) == ("", 3, [])
        assert sorted(one["name"] for one in done.problems) == sorted(BAD_TAGS["server"])
        assert (done.runs.created, done.experiments.updated) == (0 if number else 2, 0)


@pytest.mark.parametrize("kind", ["postgres", "mysql", "server"])
def test_a_name_fails_with_the_way_out(
    kind: str, tmp_path: Path, make: Make, request: pytest.FixtureRequest, prefix: str
) -> None:
    source = filled(tmp_path, {}, name=LONG)
    target = request.getfixturevalue("mlflow3_b").url if kind == "server" else make(kind)
    refused = runsync.sync(source, target, artifacts=False, prefix=prefix)
    failed = {one["id"]: one["error"] for one in refused.failed}
    assert failed.keys() == {"101", run_id("101")}
    assert "--rename '101=NEW'" in failed["101"]
    assert (refused.stopped, refused.exit_code, refused.runs.created) == ("", 3, 1)
    for _ in range(2):
        done = runsync.sync(source, target, artifacts=False, prefix=prefix, rename={"101": f"{prefix}short"})
        assert (done.exit_code, done.problems) == (0, [])
    assert (done.experiments.unchanged, done.runs.unchanged) == (3, 2)


def test_a_name_that_is_one_with_another_to_the_database(tmp_path: Path, make: Make) -> None:
    source, target = filled(tmp_path, {}, name="PLAIN"), make("mysql")
    refused = runsync.sync(source, target, artifacts=False)
    (failed,) = [one for one in refused.failed if one["kind"] == "experiment"]
    assert "the name is taken" in failed["error"]
    assert f"--rename '{failed['id']}=NEW'" in failed["error"]


def keyed(address: str, folder: Path, keys: Sequence[str]) -> None:
    """Everything that has keys, with these."""
    texts = {key: key for key in keys}
    with opened(address, str(folder)) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("101", "home", creation_time=1, last_update_time=2, tags=texts))
        run = Run(run_id("a"), home, "a", "ann", "FINISHED", START, START + 50, params=texts, tags=texts)
        read = DatasetInput("train", "d1", "local", "{}", tags=texts)
        run = replace(run, dataset_inputs=(read,), model_outputs=tuple(ModelLink(f"m-{key}") for key in keys))
        filler.run(run, {key: [(START, 0, float(place))] for place, key in enumerate(sorted(keys))})


def test_which_of_two_keys_that_are_one_to_mysql_stays_is_no_matter_of_chance(tmp_path: Path, make: Make) -> None:
    for number, keys in enumerate((("LR", "lr", "Lr"), ("lr", "Lr", "LR"))):
        address = empty_sqlite(tmp_path / f"{number}" / "source.db")
        keyed(address, tmp_path / f"{number}" / "artifacts", keys)
        target = make("mysql")
        done = runsync.sync(address, target, artifacts=False)
        assert (done.exit_code, done.failed, len(done.problems)) == (3, [], 12)
        there = contents(target)
        run = there["runs"][run_id("a")]
        run["tags"].pop("mlflow.runName")
        (read,) = run["dataset_inputs"]
        for one in (there["experiments"]["101"], run, read):
            assert one["tags"] == {"LR": "LR"}
        assert run["params"] == {"LR": "LR"}
        assert [link["model_id"] for link in run["model_outputs"]] == ["m-LR"]
        assert {key for key, *_ in run["points"]} == {"LR"}
