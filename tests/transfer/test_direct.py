"""File stores and databases: runs keep their ids, times and states, whichever of them they come from and go to."""

import json
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.databases import Databases, connect
from support.killing import run_until
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import (
    START,
    Filler,
    assert_holds,
    assert_same,
    contents,
    fill,
    opened,
    run_id,
)

import runsync
from runsync.errors import WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import own_tags_removed
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.direct.store import Change
from transfer.conftest import Make

OLD = ("485373793042573834", "5")


# Each kind is read and written.
PAIRS = pytest.mark.parametrize(
    ("source_kind", "target_kind"),
    [
        ("files", "sqlite"),
        ("sqlite", "files"),
        ("files", "postgres"),
        ("postgres", "mysql"),
        ("mysql", "sqlite"),
        pytest.param("files", "files", marks=pytest.mark.slow),
        pytest.param("sqlite", "sqlite", marks=pytest.mark.slow),
    ],
)
KINDS = pytest.mark.parametrize("kind", ["files", "sqlite"])
AT_ONCE = pytest.mark.parametrize("kind", ["files", "sqlite", "postgres"])


@pytest.fixture
def filled(make: Make, source_kind: str) -> str:
    address = make(source_kind)
    with opened(address) as workspace:
        fill(Filler(workspace))
    return address


@PAIRS
def test_everything_arrives_under_its_own_id_and_again_changes_nothing(
    make: Make, filled: str, target_kind: str
) -> None:
    target = make(target_kind)
    planned = runsync.sync(filled, target, dry_run=True)
    assert contents(target)["runs"] == {}
    done = runsync.sync(filled, target, verify_artifacts=True)
    assert done.exit_code == 0, done.to_document()
    told, dry = done.to_document(), planned.to_document()
    assert told["runs"] == dry["runs"]
    assert_same(filled, target)
    assert told["id_map"]["runs"] == {id: id for id in contents(filled)["runs"]}
    again = runsync.sync(filled, target).to_document()
    assert (again["runs"]["unchanged"], again["metric_points"], again["artifacts"]) == (7, 0, 0)
    assert again["experiments"]["unchanged"] >= 3
    assert runsync.verify(filled, target).exit_code == 0


@pytest.mark.parametrize("target_kind", ["files", "sqlite"])
@pytest.mark.parametrize("source_kind", ["files"])
def test_a_bundle_restored_into_an_empty_store_has_the_same_ids(
    make: Make, filled: str, target_kind: str, tmp_path: Path
) -> None:
    target = make(target_kind)
    assert runsync.export(filled, tmp_path / "bundle").exit_code == 0
    for _ in range(2):
        done = runsync.import_(tmp_path / "bundle", target)
        assert done.exit_code == 0, done.to_document()
    assert done.to_document()["runs"]["unchanged"] == 7
    assert_same(filled, target)


def test_lines_that_stand_twice_come_back_out_of_a_bundle_and_again_changes_nothing(make: Make, tmp_path: Path) -> None:
    source, target = make("files"), make("files")
    with opened(source) as workspace:
        runs = fill(Filler(workspace))
    with (Path(source) / "101" / runs["failed"].run_id / "metrics/loss").open("a") as file:
        file.write(f"{START + 9} 0.5 9\n" * 2)
    assert runsync.export(source, tmp_path / "bundle").exit_code == 0
    for unchanged in (0, 7):
        done = runsync.import_(tmp_path / "bundle", target).to_document()
        assert (done["exit_code"], done["runs"]["unchanged"]) == (0, unchanged)
        assert_same(source, target)
    assert done["metric_points"] == 0


@KINDS
def test_what_has_changed_at_the_source_is_brought_and_nothing_else(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        filler = Filler(workspace)
        runs = fill(filler)
        runsync.sync(source, target)
        more = {"loss": [(START + 2, 2, 2 / 7), (START + 400, 400, 1.0)], "new": [(START, 0, 1.0)]}
        running = replace(runs["running"], status="FINISHED", end_time=START + 999, params={"late": "1"})
        filler.add(running, more, {"late.txt": b"late\n"})
        filler.put_files(runs["parent"], {"plots/a b.txt": b"other\n"})
        workspace.store.change_runs([Change(run_id("failed"), "renamed", tags={"mlflow.runName": "renamed"})])
    done = runsync.sync(source, target).to_document()
    assert (done["runs"]["updated"], done["runs"]["unchanged"], done["metric_points"]) == (2, 5, 2)
    thorough = runsync.sync(source, target, thorough=True).to_document()
    assert (thorough["runs"]["updated"], thorough["artifacts"]) == (1, 1)
    assert_same(source, target)
    assert runsync.sync(source, target, thorough=True).to_document()["runs"]["unchanged"] == 7


@KINDS
def test_an_id_that_another_run_has_is_refused_and_named(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        runs = fill(Filler(workspace))
    with opened(target) as workspace:
        filler = Filler(workspace)
        alpha = filler.experiment(Experiment("7", "alpha"))
        other = filler.experiment(Experiment("8", "other"))
        taken = filler.run(Run(run_id("failed"), alpha, "native", status="FINISHED", start_time=1, end_time=2))
        filler.run(Run(run_id("parent"), other, "elsewhere", status="FINISHED", start_time=1, end_time=2))
    before = contents(target)["runs"]
    done = runsync.sync(source, target)
    told = done.to_document()
    assert done.exit_code == 3
    failed = {one["id"]: one["error"] for one in told["failed"]}
    assert set(failed) == {run_id("failed"), run_id("parent")}
    assert "“alpha”" in failed[run_id("failed")]
    assert "“other”" in failed[run_id("parent")]
    after = contents(target)["runs"]
    assert {id: after[id] for id in before} == before
    assert "mlflow.parentRunId" not in after[run_id("child")]["tags"], "it would name another run"
    assert [one["names"] for one in told["not_carried"] if one["what"] == "links to parents"] == [(run_id("child"),)]
    assert len(after) == len(runs)
    assert taken.run_id in after


def test_a_name_that_differs_from_the_tag_that_repeats_it_is_no_lasting_difference(make: Make) -> None:
    source, target = make("files"), make("sqlite")
    with opened(source) as workspace:
        filler = Filler(workspace)
        filler.default()
        tags = {"mlflow.runName": "before"}
        filler.run(Run(run_id("one"), "0", "after", status="FINISHED", start_time=START, end_time=START, tags=tags))
    assert runsync.sync(source, target).exit_code == 0
    assert runsync.verify(source, target).differences == []
    found = contents(target)["runs"][run_id("one")]
    assert (found["name"], found["tags"]["mlflow.runName"]) == ("after", "after")


def test_files_of_a_run_that_is_refused_are_named_and_taken_over_by_another_try(make: Make) -> None:
    source, target = make("files"), make("sqlite")
    with opened(source) as workspace:
        fill(Filler(workspace))
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as database, database:
        database.execute(
            "CREATE TRIGGER no BEFORE INSERT ON params WHEN NEW.key = 'long'"
            " BEGIN SELECT RAISE(ABORT, 'no such text here'); END"
        )
    done = runsync.sync(source, target)
    (failed,) = done.failed
    assert failed["id"] == run_id("parent")
    assert (
        f"no such text here (its artifacts, 3 files, lie in {Path(target[10:]).parent}/mlartifacts/101/"
        in failed["error"]
    )
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as database, database:
        database.execute("DROP TRIGGER no")
    again = runsync.sync(source, target)
    assert (again.exit_code, again.runs.created, again.artifacts) == (0, 1, 0)
    assert_same(source, target)


def test_a_tag_that_the_characters_of_an_old_mysql_refuse_comes_once_they_are_taken(make: Make) -> None:
    source, target = make("files"), make("mysql")
    with opened(source) as workspace:
        filler = Filler(workspace)
        filler.default()
        for label, note in (("plain", "é"), ("smiling", "😀")):
            told = Run(run_id(label), "0", label, status="FINISHED", start_time=START, end_time=START)
            filler.run(replace(told, tags={"note": note}), files={"model/weights": b"12"})
    _set_characters_of_tags(target, "utf8mb3")
    done = runsync.sync(source, target)
    assert (done.exit_code, done.runs.created, done.artifacts) == (3, 2, 2)
    assert [(one["run_id"], one["kind"], one["name"]) for one in done.problems] == [(run_id("smiling"), "tag", "note")]
    _set_characters_of_tags(target, "utf8mb4")
    again = runsync.sync(source, target)
    assert (again.exit_code, again.runs.updated, again.artifacts) == (0, 1, 0)
    assert runsync.verify(source, target).differences == []


def test_files_of_a_run_that_a_database_refuses_are_named_and_taken_over(make: Make) -> None:
    source, target = make("files"), make("mysql")
    with opened(source) as workspace:
        filler = Filler(workspace)
        filler.default()
        for label in ("plain", "refused"):
            told = Run(run_id(label), "0", label, status="FINISHED", start_time=START, end_time=START)
            filler.run(told, files={"model/weights": b"12"})
    with closing(connect("mysql", target)) as database, database.cursor() as cursor:
        cursor.execute("ALTER TABLE runs ADD CONSTRAINT named CHECK (name <> 'refused')")
    done = runsync.sync(source, target)
    (failed,) = done.failed
    assert (failed["id"], done.exit_code, done.runs.created) == (run_id("refused"), 3, 1)
    (place,) = re.findall(r"\(its artifacts, 1 file, lie in (\S+): another try takes them over\)", failed["error"])
    assert Path(place.removeprefix("file://"), "model/weights").read_bytes() == b"12"
    with closing(connect("mysql", target)) as database, database.cursor() as cursor:
        cursor.execute("ALTER TABLE runs DROP CONSTRAINT named")
    again = runsync.sync(source, target)
    assert (again.exit_code, again.runs.created, again.artifacts) == (0, 1, 0)
    assert runsync.verify(source, target).differences == []


def _set_characters_of_tags(url: str, charset: str) -> None:
    with closing(connect("mysql", url)) as database, database.cursor() as cursor:
        cursor.execute(f"ALTER TABLE tags MODIFY value VARCHAR(8000) CHARACTER SET {charset}")


@KINDS
def test_a_run_is_not_made_twice_under_another_experiment(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    runsync.sync(source, target)
    before = contents(target)["runs"]
    done = runsync.sync(source, target, prefix="copy-").to_document()
    assert done["runs"]["failed"] == 7
    assert done["experiments"]["created"] >= 3
    assert all("in another experiment" in one["error"] for one in done["failed"])
    assert contents(target)["runs"] == before


@KINDS
def test_copies_within_one_store_are_refused_before_anything_is_written(make: Make, kind: str) -> None:
    store = make(kind)
    with opened(store) as workspace:
        fill(Filler(workspace))
    before = contents(store)
    with pytest.raises(WrongUsage, match="each run id once"):
        runsync.sync(store, store, prefix="copy-")
    assert contents(store) == before


@KINDS
def test_names_can_change_on_the_way_and_ids_do_not(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    options: dict[str, Any] = {"rename": {"alpha": "first"}, "prefix": "old-"}
    assert runsync.sync(source, target, **options).exit_code == 0
    found = contents(target)
    names = {e["experiment_id"]: e["name"] for e in found["experiments"].values()}
    assert {id: names[id] for id in ("101", "102", "103")} == {"101": "first", "102": "old-empty", "103": "old-gone"}
    assert found["runs"] == contents(source)["runs"]
    assert runsync.sync(source, target, **options).to_document()["runs"]["unchanged"] == 7


@KINDS
def test_what_was_deleted_before_a_killed_import_is_no_obstacle(make: Make, kind: str) -> None:
    """An experiment that arrives deleted is not brought back for its runs, also when they come later."""
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        filler = Filler(workspace)
        fill(filler)
        runsync.sync(source, target, selection=Selection(experiments=("Default", "gone")))
        filler.run(
            Run(
                run_id("late"),
                "103",
                "late",
                status="FINISHED",
                start_time=START,
                end_time=START,
                lifecycle_stage=DELETED,
                deleted_time=START + 700,
                tags={"mlflow.runName": "late"},
            ),
            files={"a.txt": b"a"},
        )
    assert runsync.sync(source, target).exit_code == 0
    assert_same(source, target)


@KINDS
def test_a_deleted_experiment_comes_back_when_asked_to_with_the_states_of_the_source(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    runsync.sync(source, target)
    runsync.delete_experiments(target, ["alpha"])
    refused = runsync.sync(source, target).to_document()
    assert refused["runs"]["failed"] == 5
    assert runsync.sync(source, target, restore_deleted=True).exit_code == 0
    assert_same(source, target)


@KINDS
def test_deletions_are_told_and_followed_when_asked_to(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        filler = Filler(workspace)
        fill(filler)
        runsync.sync(source, target)
        change = Change(run_id("failed"), lifecycle_stage=DELETED, deleted_time=START + 777)
        workspace.store.change_runs([change])
    left = runsync.sync(source, target).to_document()
    assert [one["what"] for one in left["not_carried"]] == ["deletions of runs"]
    assert contents(target)["runs"][run_id("failed")]["lifecycle_stage"] == ACTIVE
    with pytest.raises(runsync.RunsyncError, match="--max-delete"):
        runsync.sync(source, target, delete=True)
    assert runsync.sync(source, target, delete=True, max_delete="1").exit_code == 0
    assert_same(source, target)


@KINDS
def test_runs_that_are_gone_from_the_source_are_deleted_when_asked_to(make: Make, kind: str) -> None:
    source, rest, target = make("files"), make("files"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    runsync.sync(source, target)
    address = Path(source)
    Path(source).rename(address.with_name("old"))
    runsync.sync(str(address.with_name("old")), rest, selection=Selection(experiments=("alpha",), state="active"))
    # The same address, with fewer runs.
    for run in (run_id("failed"), run_id("running")):
        shutil.rmtree(address.with_name("old") / "101" / run)
    address.with_name("old").rename(address)
    done = runsync.sync(source, target, delete=True, max_delete="50%")
    assert done.exit_code == 0
    found = contents(target)["runs"]
    assert {id for id, run in found.items() if run["lifecycle_stage"] == DELETED} >= {
        run_id("failed"),
        run_id("running"),
    }
    assert abs(found[run_id("failed")]["deleted_time"] - time.time() * 1000) < 60_000


@AT_ONCE
def test_two_imports_at_once_make_each_run_once(make: Make, kind: str) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    runsync.sync(source, target, selection=Selection(experiments=("Default", "empty")))
    lacking: list[object] = []

    def act() -> None:
        done = runsync.sync(source, target)
        lacking.append((done.exit_code, done.failed, done.problems))

    threads = [Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lacking == [(0, [], [])] * 3
    assert runsync.sync(source, target).exit_code == 0
    assert_same(source, target)


@pytest.mark.parametrize(
    ("kind", "moments"),
    [
        *(pytest.param(kind, (60, 250), id=f"{kind}-twice") for kind in ("sqlite", "postgres")),
        pytest.param("files", (60, 250), id="files-twice", marks=pytest.mark.slow),
        *(
            pytest.param(kind, (20, 40, 80, 160, 240), id=f"{kind}-5 times", marks=pytest.mark.slow)
            for kind in ("files", "sqlite", "postgres")
        ),
    ],
)
def test_an_import_killed_again_and_again_leaves_whole_runs_and_then_ends(
    make: Make, kind: str, moments: tuple[int, ...], tmp_path: Path
) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        filler = Filler(workspace)
        fill(filler)
        for i in range(60):
            label = f"more {i}"
            plain = Run(
                run_id(label), "101", label, "ann", "FINISHED", START + i, START + i, tags={"mlflow.runName": label}
            )
            filler.run(
                plain, {"loss": [(START, s, 0.5) for s in range(50)]}, {f"{n}.txt": b"x" * 100 for n in range(3)}
            )
    wanted = contents(source)["runs"]
    for moment in moments:
        killed = run_until(moment, signal.SIGKILL, ("sync", source, target), tmp_path)
        assert killed.code == -signal.SIGKILL, killed.told
        for id, run in contents(target)["runs"].items():
            assert run == wanted[id], "a half-written run"
    assert runsync.sync(source, target).exit_code == 0
    assert_same(source, target)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_experiment_ids_that_do_not_fit_or_are_taken_are_told(make: Make, kind: str, tmp_path: Path) -> None:
    source, target = make("files"), make(kind)
    with opened(source) as workspace:
        filler = Filler(workspace)
        for number in OLD:
            filler.experiment(Experiment(number, f"of {number}"))
            filler.run(Run(run_id(number), number, "r", status="FINISHED", start_time=START, end_time=START))
    with opened(target) as workspace:
        Filler(workspace).experiment(Experiment("5", "a stranger"))
    done = runsync.sync(source, target, id_map=tmp_path / "ids.json").to_document()
    assert done["exit_code"] == 0
    new = json.loads((tmp_path / "ids.json").read_text())["experiments"]
    assert set(new) >= set(OLD)
    assert new["5"] != "5"
    fits = kind == "sqlite"  # PostgreSQL has 32 bits for it, and a file store gives out 18 digits
    assert (new[OLD[0]] == OLD[0]) is fits
    lost = {one["what"]: one["count"] for one in done["not_carried"]}
    assert lost["experiment ids"] == sum(new[old] != old for old in OLD)
    found = contents(target)["runs"]
    assert {id: run["experiment_id"] for id, run in found.items()} == {
        run_id(old): new[old] for old in ("485373793042573834", "5")
    }
    assert runsync.sync(source, target).to_document()["runs"]["unchanged"] == 2


def test_mlflow_finds_the_same_runs_in_a_database_restored_from_a_bundle(databases: Databases, tmp_path: Path) -> None:
    source, target = databases.fresh("sqlite"), databases.fresh("sqlite")
    source.script("fill")
    runsync.export(source.url, tmp_path / "bundle", artifacts=False)
    assert runsync.import_(tmp_path / "bundle", target.url, artifacts=False).exit_code == 0
    wanted, found = (_without_places(database.script("read")) for database in (source, target))
    for id, experiment in wanted["experiments"].items():
        assert found["experiments"][id] == experiment
    assert found["runs"] == wanted["runs"]


def _without_places(told: dict[str, Any]) -> dict[str, Any]:
    for thing in (*told["experiments"].values(), *told["runs"].values()):
        thing["tags"] = own_tags_removed(thing["tags"])
        for place in ("artifact_location", "artifact_uri"):
            thing.pop(place, None)
    told["experiments"].pop("0", None)
    return told


@pytest.mark.parametrize("kind", ["files", pytest.param("sqlite", marks=pytest.mark.slow)])
def test_there_and_back_over_a_server_ends_where_it_began(
    make: Make, kind: str, mlflow3_a: MlflowServer, on_three: Seeder, prefix: str
) -> None:
    home, away = make(kind), make("sqlite")
    with opened(home) as workspace:
        filler = Filler(workspace)
        alpha = filler.experiment(Experiment("101", prefix + "alpha", creation_time=1, last_update_time=2))
        tags = {"mlflow.parentRunId": run_id(prefix + "parent")}
        for label, more in (("child", tags), ("parent", {})):
            plain = Run(run_id(prefix + label), alpha, label, "ann", "FINISHED", START, START + 9)
            filler.run(
                replace(plain, tags={"mlflow.runName": label, **more}),
                {"loss": [(START, 0, 0.5), (START, 1, 0.25)]},
                {"a.txt": label.encode(), "model/MLmodel": f"run_id: {run_id(prefix + label)}\n".encode()},
            )
    before = contents(home)
    up = runsync.sync(home, mlflow3_a.url)
    assert up.exit_code == 0
    new = up.id_map["runs"]
    assert not set(new) & set(new.values())
    assert runsync.sync(mlflow3_a.url, home, selection=Selection(experiments=(prefix + "*",))).exit_code == 0
    assert_holds(before, contents(home))
    on_three.set_tag(new[run_id(prefix + "child")], "said", "on the server")
    back = runsync.sync(mlflow3_a.url, home, selection=Selection(experiments=(prefix + "*",))).to_document()
    assert (back["runs"]["updated"], back["runs"]["unchanged"], back["metric_points"]) == (1, 1, 0)
    before["runs"][run_id(prefix + "child")]["tags"]["said"] = "on the server"
    assert_holds(before, contents(home))
    # A third place has the server's ids, and what comes from home is found under them.
    runsync.sync(mlflow3_a.url, away, selection=Selection(experiments=(prefix + "*",)))
    assert set(contents(away)["runs"]) == set(new.values())
    for _ in range(2):
        again = runsync.sync(home, away).to_document()
        assert again["id_map"]["runs"] == new
    assert (again["runs"]["unchanged"], again["runs"]["created"]) == (2, 0)
    assert (
        contents(away)["runs"][new[run_id(prefix + "child")]]["tags"]["mlflow.parentRunId"]
        == new[run_id(prefix + "parent")]
    )
