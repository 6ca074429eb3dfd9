"""Lists of a store in which something is broken: all that can be read, what cannot by name, and exit code 3."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT, Runner
from support.stores import Filler, empty_sqlite, fill, opened, run_id

import runsync as api
from runsync.bundle import schemas
from runsync.errors import RunsyncError, WrongUsage
from runsync.model.selection import Selection

pytestmark = pytest.mark.long

BROKEN = "0aba8daddd544914a4afeee76cbb0474"
WHOLE = "b1954ccdbcd14b1f8b5081fe1ef9b417"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The example's runs; one of them is broken, and so is an experiment beside them."""
    root = tmp_path / "mlruns"
    shutil.copytree(ROOT / "examples" / "mlruns", root)
    (home,) = root.glob(f"*/{BROKEN}")
    (home / "meta.yaml").write_text("run_id: [")
    (root / "471").mkdir()
    (root / "471/meta.yaml").write_text("[")
    return root


@pytest.mark.parametrize("format_", ["table", "csv", "json", "jsonl", "parquet"])
def test_runs_list_names_on_stderr_what_it_lacks(store: Path, runsync: Runner, tmp_path: Path, format_: str) -> None:
    done = runsync("runs", "list", store, "--format", format_, "--output", tmp_path / "runs")
    assert done.returncode == 3
    assert "Not read (2):" in done.stderr
    assert f"  run {BROKEN} ({store}/" in done.stderr
    assert f"  experiment 471 ({store}/471): it is no YAML" in done.stderr
    content = (tmp_path / "runs").read_bytes()
    assert content.startswith(b"PAR1") or WHOLE.encode() in content


def test_the_json_of_a_list_has_what_could_not_be_read(store: Path, runsync: Runner) -> None:
    document = json.loads(runsync("runs", "list", store, "--state", "all", "--json").stdout)
    schemas.check("runs-list-report", document, "the report")
    assert document["unreadable"] == api.list_runs(str(store)).to_document()["unreadable"]
    assert {(one["kind"], one["id"]) for one in document["unreadable"]} == {("run", BROKEN), ("experiment", "471")}
    assert (document["exit_code"], len(document["runs"])) == (3, 8)
    assert api.list_runs(str(store), selection=Selection(runs=(WHOLE,))).unreadable == []


def test_what_is_named_on_stderr_carries_no_control_characters(store: Path, runsync: Runner) -> None:
    renamed = store.rename(store.with_name("ml\x07runs"))
    done = runsync("runs", "list", renamed)
    assert done.returncode == 3
    assert "experiment 471" in done.stderr
    assert "\x07" not in done.stderr


def test_experiments_list_names_those_that_it_lacks(store: Path, runsync: Runner) -> None:
    told = runsync("experiments", "list", store)
    assert told.returncode == 3
    assert f"  experiment 471 ({store}/471): it is no YAML" in told.stderr
    document = json.loads(runsync("experiments", "list", store, "--json").stdout)
    schemas.check("experiments-list-report", document, "the report")
    assert [one["id"] for one in document["unreadable"]] == ["471"]
    assert (document["exit_code"], len(document["experiments"])) == (3, 3)
    names = [e["name"] for e in document["experiments"]]
    assert runsync("experiments", "list", store, "--experiment", names[0]).returncode == 0


def test_experiments_show_names_the_runs_that_it_does_not_count(store: Path, runsync: Runner) -> None:
    (home,) = store.glob(f"*/{BROKEN}")
    told = runsync("experiments", "show", store, home.parent.name)
    assert told.returncode == 3
    assert f"run {BROKEN} ({store}/" in told.stderr
    document = json.loads(runsync("experiments", "show", store, home.parent.name, "--json").stdout)
    schemas.check("experiment-report", document, "the report")
    assert [one["id"] for one in document["unreadable"]] == [BROKEN]
    lost = runsync("experiments", "show", store, "471")
    assert lost.returncode == 1
    assert "experiment 471" in lost.stderr
    assert "cannot be read: it is no YAML" in lost.stderr


def test_changes_name_the_runs_that_they_cannot_read_as_failed(store: Path, runsync: Runner) -> None:
    (home,) = store.glob(f"*/{BROKEN}")
    chosen = ("--experiment", home.parent.name)
    for verb in (
        ("tag", store, "a=b"),
        ("untag", store, "--tag", "a"),
        ("delete", store, "--yes"),
        ("restore", store, "--yes"),
    ):
        told = runsync("runs", *verb, *chosen)
        assert told.returncode == 3, told.stderr
        assert "Failed (1):" in told.stdout
        assert f"  run {BROKEN}: it cannot be read: it is no YAML" in told.stdout
    document = json.loads(runsync("runs", "tag", store, "a=b", "--run", BROKEN, "--json").stdout)
    schemas.check("change-report", document, "the report")
    assert [(one["kind"], one["id"]) for one in document["failed"]] == [("run", BROKEN)]
    assert runsync("runs", "tag", store, "a=b", "--run", WHOLE).returncode == 0
    with pytest.raises(RunsyncError, match=f"1 failed, such as {BROKEN}: it cannot be read"):
        api.delete_runs(str(store), home.parent.name, 2**42)


def test_a_run_with_a_piece_that_cannot_be_read_is_changed_all_the_same(tmp_path: Path, runsync: Runner) -> None:
    address = empty_sqlite(tmp_path / "mlflow.db")
    with opened(address) as workspace:
        fill(Filler(workspace))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        runs = [id for (id,) in database.execute("SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' LIMIT 2")]
        database.executemany("INSERT INTO params VALUES ('odd', CAST(X'ff' AS TEXT), ?)", [(id,) for id in runs])
        database.execute("UPDATE runs SET end_time = 'noon' WHERE run_uuid = ?", runs[:1])
    chosen = [word for run in runs for word in ("--run", run)]
    planned = runsync("runs", "delete", address, *chosen, "--dry-run")
    assert (planned.returncode, "Failed" in planned.stdout) == (0, False)
    assert planned.stdout.count("Note: not read, which hinders no change: ") == 1
    assert "and 2 other pieces" in planned.stdout
    assert "2 runs would be changed in" in planned.stdout
    assert runsync("runs", "tag", address, "a=b", *chosen).returncode == 0
    done = runsync("runs", "delete", address, *chosen, "--yes")
    assert (done.returncode, "2 runs changed in" in done.stdout) == (0, True)
    assert "Done. runsync runs restore brings them back, until mlflow gc removes them." in done.stdout
    back = runsync("runs", "restore", address, *chosen, "--yes", "--json")
    document = json.loads(back.stdout)
    schemas.check("change-report", document, "the report")
    assert (document["exit_code"], document["runs"]["changed"], document["failed"]) == (0, 2, [])
    one = runsync("runs", "delete", address, runs[0], "--yes")
    assert "Done. runsync runs restore brings it back, until mlflow gc removes it." in one.stdout


def test_where_all_fails_nothing_is_called_partly_done(store: Path, runsync: Runner) -> None:
    told = runsync("runs", "tag", store, "a=b", "--run", BROKEN)
    assert (told.returncode, "Nothing was changed: 1 run failed." in told.stdout) == (3, True)
    told = runsync("runs", "tag", store, "a=b", "--run", BROKEN, "--dry-run")
    assert (told.returncode, "Nothing would be changed: 1 run would fail." in told.stdout) == (3, True)
    told = runsync("runs", "tag", store, "a=b", "--run", BROKEN, "--run", WHOLE, "--dry-run")
    assert "1 run would fail, as listed above. Run it without --dry-run to do the rest." in told.stdout
    told = runsync("runs", "tag", store, "a=b", "--run", BROKEN, "--run", WHOLE)
    assert (told.returncode, "Partly done: 1 run failed." in told.stdout) == (3, True)


def test_a_run_that_comes_back_from_a_bundle_under_its_own_id_has_no_new_one(tmp_path: Path, runsync: Runner) -> None:
    store = tmp_path / "mlruns"
    shutil.copytree(ROOT / "examples" / "mlruns", store)
    assert runsync("export", store, tmp_path / "bundle").returncode == 0
    (home,) = store.glob(f"*/{WHOLE}")
    shutil.rmtree(home)
    back = runsync("runs", "restore", store, WHOLE, "--from", tmp_path / "bundle", "--yes")
    assert back.returncode == 0, back.stdout
    assert f"run {WHOLE} “" in back.stdout
    assert ", now " not in back.stdout
    # The store was moved here: files go into it, not to where its experiments were recorded.
    assert sorted(path.name for path in (home / "artifacts").rglob("*.csv")) == ["confusion matrix.csv", "curves.csv"]


def test_check_names_a_broken_part_once_in_its_line(tmp_path: Path, runsync: Runner) -> None:
    assert runsync("export", ROOT / "examples" / "mlruns", tmp_path / "bundle").returncode == 0
    part = min((tmp_path / "bundle" / "parts").rglob("*.experiments.*"))
    name = part.relative_to(tmp_path / "bundle").as_posix()
    part.write_bytes(b"garbage")
    told = runsync("check", tmp_path / "bundle").stdout
    (line,) = (line for line in told.splitlines() if line.startswith(f"  {name}: "))
    assert line.count(name) == 1
    assert ": its bytes do not have the hash it is named by; hits" in line


def test_csv_and_compare_name_it_too(store: Path, runsync: Runner) -> None:
    done = runsync("runs", "csv", store, "--state", "all")
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 9)
    assert f"run {BROKEN}" in done.stderr
    compared = api.compare_runs(str(store))
    assert {(p.kind, p.name) for p in compared.problems} == {("run", BROKEN), ("experiment", "471")}
    assert compared.exit_code == 3
    assert api.compare_runs(str(store), [WHOLE[:8]]).problems == []
    for form in ("table", "csv"):
        told = runsync("runs", "compare", store, "--format", form)
        assert told.returncode == 3
        assert BROKEN in (told.stderr if form == "csv" else told.stdout)


def test_a_transfer_names_an_experiment_that_cannot_be_read_as_such(store: Path, tmp_path: Path) -> None:
    done = api.export(str(store), tmp_path / "bundle")
    assert {(one["kind"], one["id"]) for one in done.failed} == {("run", BROKEN), ("experiment", "471")}
    assert (done.exit_code, done.experiments.failed, done.runs.failed) == (3, 1, 1)
    seen = api.verify(str(store), str(tmp_path / "bundle"))
    assert {(one.kind, one.id) for one in seen.differences} == {("run", BROKEN), ("experiment", "471")}


def test_an_import_tells_what_its_snapshot_lacks(store: Path, tmp_path: Path, runsync: Runner) -> None:
    api.export(str(store), tmp_path / "bundle")
    done = api.import_(tmp_path / "bundle", str(tmp_path / "again"))
    told = {(left.count, left.what, left.kind) for left in done.left_behind}
    assert told == {(1, "run", "missing-items"), (1, "experiment", "missing-items")}
    assert done.exit_code == 3
    again = api.import_(tmp_path / "bundle", str(tmp_path / "again"), accept=["missing-items"])
    assert (again.exit_code, {left.count for left in again.accepted}) == (0, {1})
    assert BROKEN in runsync("inspect", tmp_path / "bundle").stdout


def test_an_experiment_with_text_for_a_time_is_named_and_exported_without_it(tmp_path: Path) -> None:
    address = empty_sqlite(tmp_path / "mlflow.db")
    with opened(address) as workspace:
        fill(Filler(workspace))
    whole = {run.run_id for run in api.list_runs(address).runs}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET creation_time = 'last May' WHERE experiment_id = 103")
    done = api.export(address, tmp_path / "bundle")
    (failed,) = done.failed
    assert (failed["kind"], failed["id"], done.exit_code) == ("field of experiment", "103", 3)
    assert "the database has 'last May' where a whole number belongs" in failed["error"]
    assert done.runs.created == len(whole)
    assert {run.run_id for run in api.list_runs(address).runs} == whole


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE experiments SET name = {} WHERE experiment_id = 103", {("field of experiment", "103")}),
        ("UPDATE experiments SET artifact_location = {} WHERE experiment_id = 103", {("field of experiment", "103")}),
        ("INSERT INTO experiment_tags VALUES ('note', {}, 103)", {("tag of experiment", "103")}),
        ("UPDATE runs SET start_time = {} WHERE name = 'gone too'", {("field of run", run_id("gone too"))}),
        ("UPDATE runs SET name = {} WHERE name = 'gone too'", {("field of run", run_id("gone too"))}),
        ("UPDATE metrics SET key = {} WHERE rowid = 1", {("run", None)}),
        ("INSERT INTO registered_models (name, workspace) VALUES ({}, 'default')", set()),
    ],
)
def test_text_that_is_no_utf_8_is_named_and_all_else_is_exported(
    tmp_path: Path, statement: str, what: set[tuple[str, str | None]]
) -> None:
    address = empty_sqlite(tmp_path / "mlflow.db")
    with opened(address) as workspace:
        fill(Filler(workspace))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        (of_metric,) = database.execute("SELECT run_uuid FROM metrics WHERE rowid = 1").fetchone()
        database.execute(statement.format("CAST(X'636166e9' AS TEXT)"))
    done = api.export(address, tmp_path / "bundle")
    assert done.stopped == ""
    told = {(one["kind"], one["id"]) for one in done.failed}
    told |= {(f"{one['kind']} of run", one["run_id"]) for one in done.problems if one["kind"] != "artifact list"}
    assert told == {(kind, id or of_metric) for kind, id in what}
    assert all("text that is not UTF-8" in one["error"] for one in done.failed)
    assert (done.exit_code, done.runs.created > 0) == (3, True)
    assert {left.kind for left in done.left_behind} == (set() if what else {"registered-models"})
    assert {e.experiment_id for e in api.list_experiments(address).experiments} >= {"0"}


def test_who_names_a_folder_too_deep_is_told_what_to_give(store: Path) -> None:
    (run,) = store.glob(f"*/{WHOLE}")
    with pytest.raises(WrongUsage, match=f"one experiment .* give {store}, with --experiment {run.parent.name} to"):
        api.list_runs(str(run.parent))
    with pytest.raises(WrongUsage, match=f"one run .* give {store}, with --experiment {run.parent.name} --run {WHOLE}"):
        api.list_runs(str(run))
