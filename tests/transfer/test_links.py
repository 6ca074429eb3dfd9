"""Ids inside runs: parents, roots and models follow the runs they name, and what cannot follow is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Fleet, Pair, Runner
from support.memory import export_into
from support.oracle import assert_same
from support.proxy import FaultProxy
from support.seed import Seeder
from support.stores import run_id as id_of

import runsync as api
from runsync.model.experiment import Experiment
from runsync.model.run import ModelLink, Run
from runsync.testing.memory import MemorySource
from transfer.commands import EACH_RELEASE, NEWEST, copies_of, export, import_, read, verify, writes
from transfer.database import START, Database

PARENT = "mlflow.parentRunId"
ROOT = "mlflow.rootRunId"
OLD = "runsync.source."


def child(seeder: Seeder, home: str, name: str, parent: str, *, start_time: int = START, root: str = "") -> str:
    """A finished run below another."""
    tags = {PARENT: parent, ROOT: root or parent}
    run_id = seeder.create_run(home, name, start_time=start_time, tags=tags)
    seeder.finish(run_id)
    return run_id


def tags_of_copy(seeder: Seeder, run_id: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in seeder.get_run(run_id)["data"]["tags"]}


@EACH_RELEASE
def test_a_child_that_started_before_its_parent_is_below_it(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "family")
    top = seeder.create_run(home, "parent", start_time=START + 9000)
    middle = child(seeder, home, "child", top, start_time=START + 5000)
    low = child(seeder, home, "grandchild", middle, start_time=START, root=top)
    export(runsync, pair.source.url, bundle, prefix + "*")
    new = import_(runsync, bundle, pair.target.url)["id_map"]["runs"]
    tags = tags_of_copy(receiver, new[low])
    assert (tags[PARENT], tags[ROOT]) == (new[middle], new[top])
    assert (tags[OLD + PARENT], tags[OLD + ROOT]) == (middle, top)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@pytest.mark.slow
@NEWEST
def test_children_find_parents_that_come_two_hundred_runs_later(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "crowd")
    database = Database(pair.source)
    runs = database.add_runs(home, [(f"run {n:03}", START + n) for n in range(205)])
    links = {runs[0]: runs[-1], runs[1]: runs[100], runs[202]: runs[0], runs[-2]: runs[-1]}
    for run_id, parent in links.items():
        database.set_tag(run_id, PARENT, parent)
    export(runsync, pair.source.url, bundle, prefix + "*")
    new = import_(runsync, bundle, pair.target.url)["id_map"]["runs"]
    found = {run_id: tags_of_copy(receiver, new[run_id]).get(PARENT) for run_id in links}
    assert found == {run_id: new[parent] for run_id, parent in links.items()}
    with FaultProxy(pair.target.url) as proxy:
        again = import_(runsync, bundle, proxy.url)
        assert writes(proxy) == []
        assert proxy.count() < 20
    assert again["runs"] == {"created": 0, "updated": 0, "unchanged": 205, "failed": 0}


@EACH_RELEASE
def test_a_deleted_child_stays_below_its_deleted_parent(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "family")
    parent = seeder.create_run(home, "parent", start_time=START + 1000)
    low = child(seeder, home, "child", parent, start_time=START)
    late = child(seeder, home, "late child", parent, start_time=START + 2000)
    for run_id in (low, late, parent):
        seeder.delete_run(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    new = import_(runsync, bundle, pair.target.url)["id_map"]["runs"]
    for run_id in (low, late):
        assert tags_of_copy(receiver, new[run_id])[PARENT] == new[parent]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@EACH_RELEASE
def test_a_parent_outside_the_selection_is_named_and_found_when_it_comes(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "family")
    parent = seeder.create_run(home, "parent", start_time=START + 1000)
    low = child(seeder, home, "child", parent)
    export(runsync, pair.source.url, bundle, prefix + "*")
    alone = import_(runsync, bundle, pair.target.url, "--run", low, code=3)
    assert alone["id_map"]["runs"].keys() == {low}
    (named,) = [each for each in alone["not_carried"] if each["what"] == "links to parents"]
    assert (named["count"], named["names"]) == (1, [low])
    copy = alone["id_map"]["runs"][low]
    tags = tags_of_copy(receiver, copy)
    assert PARENT not in tags
    assert ROOT not in tags
    assert (tags[OLD + PARENT], tags[OLD + ROOT]) == (parent, parent)
    told = verify(runsync, bundle, pair.target.url, "--run", low, code=4)["not_compared"]
    (named,) = [left for left in told if left["kind"]]
    assert (named["kind"], named["count"], named["accepted"]) == ("parent-links", 1, False)
    verify(runsync, bundle, pair.target.url, "--run", low, "--accept", "parent-links")

    whole = import_(runsync, bundle, pair.target.url)
    assert whole["id_map"]["runs"][low] == copy
    assert tags_of_copy(receiver, copy)[PARENT] == whole["id_map"]["runs"][parent]
    assert not [each for each in whole["not_carried"] if each["what"] == "links to parents"]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@NEWEST
def test_a_child_without_its_parent_is_the_same_after_every_import(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "family")
    parent = seeder.create_run(home, "parent")
    seeder.finish(parent)
    low, gone = child(seeder, home, "child", parent), child(seeder, home, "deleted child", parent)
    seeder.delete_run(gone)
    selected = ("--run", low, "--run", gone)
    export(runsync, pair.source.url, bundle, *selected)
    import_(runsync, bundle, pair.target.url, code=3)
    assert_same(pair.source.url, pair.target.url, [prefix + "*"], only_runs=[low, gone])
    with FaultProxy(pair.target.url) as proxy:
        import_(runsync, bundle, proxy.url, "--accept", "parent-links")
        assert writes(proxy) == []
    assert_same(pair.source.url, pair.target.url, [prefix + "*"], only_runs=[low, gone])


@NEWEST
def test_a_parent_that_an_earlier_import_brought_into_another_experiment_is_found(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    parent = seeder.create_run(seeder.create_experiment(prefix + "parents"), "parent")
    child(seeder, seeder.create_experiment(prefix + "children"), "child", parent)
    export(runsync, pair.source.url, bundle, prefix + "*")
    import_(runsync, bundle, pair.target.url, prefix + "parents")
    second = import_(runsync, bundle, pair.target.url, prefix + "children")
    assert not [each for each in second["not_carried"] if each["what"] == "links to parents"]
    assert_same(pair.source.url, pair.target.url, [prefix + "*"])


@EACH_RELEASE
def test_ids_inside_values_and_model_files_follow_the_run(
    pair: Pair, seeder: Seeder, receiver: Seeder, prefix: str, bundle: Path, runsync: Runner
) -> None:
    home = seeder.create_experiment(prefix + "models")
    run_id = seeder.create_run(home, "model")
    history = json.dumps([{"run_id": run_id, "artifact_path": "model", "flavors": {}}])
    seeder.set_tag(run_id, "mlflow.log-model.history", history)
    seeder.set_tag(run_id, ROOT, run_id)
    seeder.put_artifact(run_id, "model/MLmodel", f"artifact_path: model\nrun_id: {run_id}\n".encode())
    seeder.put_artifact(run_id, "model/note.txt", f"made by {run_id}\n".encode())
    seeder.finish(run_id)
    export(runsync, pair.source.url, bundle, prefix + "*")
    copy = import_(runsync, bundle, pair.target.url)["id_map"]["runs"][run_id]
    tags = tags_of_copy(receiver, copy)
    assert json.loads(tags["mlflow.log-model.history"])[0]["run_id"] == copy
    assert tags[ROOT] == copy
    assert tags[OLD + "mlflow.log-model.history"] == history
    assert (tags[OLD + "run_id"], tags[OLD + "experiment_id"]) == (run_id, home)
    found = read(pair.target.url, prefix + "*")
    assert copies_of(found) == {run_id: [copy]}
    assert found.runs[copy]["artifacts"] == {
        "model/MLmodel": f"artifact_path: model\nrun_id: {copy}\n".encode(),
        "model/note.txt": f"made by {run_id}\n".encode(),
    }


def _finished(name: str, folder: Path, **tags: str) -> Run:
    return Run(id_of(f"{folder} {name}"), "1", name, "ann", "FINISHED", 2**40, 2**40 + 1, tags=tags)


def test_many_parents_that_are_not_in_the_import_are_looked_for_together(fleet: Fleet, tmp_path: Path) -> None:
    """Half of them are in the target from before, under other ids; the others are nowhere."""
    url, name, count = fleet.get("mlflow3_b").url, f"{tmp_path.name} many", 24
    parents = [_finished(f"p{n}", tmp_path) for n in range(count)]
    children = [_finished(f"c{n}", tmp_path, **{PARENT: parent.run_id}) for n, parent in enumerate(parents)]
    home = [Experiment("1", name)]
    export_into(tmp_path / "parents", MemorySource(home, parents[::2]))
    export_into(tmp_path / "children", MemorySource(home, children))
    before = api.import_(tmp_path / "parents", url).id_map["runs"]
    planned = api.import_(tmp_path / "children", url, dry_run=True)
    done = api.import_(tmp_path / "children", url)
    for report in (planned, done):
        (left,) = [left for left in report.not_carried if left.kind == "parent-links"]
        assert left.count == count // 2
    assert planned.requests < 4 * count, "the bundle has a part for each run, which takes three"
    linked = {
        run.name: run.tags.get(PARENT)
        for run in api.list_runs(url, selection=api.Selection(experiments=(name,))).runs
        if run.name.startswith("c")
    }
    assert linked == {f"c{n}": before.get(parent.run_id) for n, parent in enumerate(parents)}
    only = api.Selection(experiments=(name,))
    assert api.export(url, tmp_path / "copies", selection=only).exit_code == 0
    copied = api.import_(tmp_path / "copies", url, selection=only, prefix="again ", dry_run=True)
    assert (copied.exit_code, copied.stopped) == (0, ""), "a copy without its link still tells where that led"


def test_a_link_to_a_logged_model_that_is_nowhere_is_kept_and_named(fleet: Fleet, tmp_path: Path) -> None:
    url, name, gone = fleet.get("mlflow3_b").url, f"{tmp_path.name} dangling", "m-" + "0" * 32
    run = replace(_finished("user of a model", tmp_path), model_inputs=(ModelLink(gone),))
    export_into(tmp_path / "bundle", MemorySource([Experiment("1", name)], [run]))
    done = api.import_(tmp_path / "bundle", url)
    verified = api.verify(str(tmp_path / "bundle"), url)
    assert [(left.kind, left.count) for left in done.not_carried if left.kind] == [("model-links", 1)]
    assert [(left.kind, left.count) for left in verified.left_out] == [("model-links", 1)]
    assert (done.exit_code, verified.exit_code, verified.differences) == (3, 4, [])
    assert api.verify(str(tmp_path / "bundle"), url, accept=["model-links"]).exit_code == 0
