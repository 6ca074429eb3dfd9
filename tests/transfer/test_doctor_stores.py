"""doctor on file stores and databases: what a user hears before a move, and that not a byte of them is changed."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Runner
from support.databases import KINDS, Databases
from support.secrets import new_secret
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, empty_sqlite, fill, opened

from runsync.model.experiment import Experiment
from transfer.test_doctor import examined, failures, of, one

Make = Callable[[Path], str]


def a_file_store(folder: Path) -> str:
    (folder / "mlruns").mkdir()
    return str(folder / "mlruns")


def a_database(folder: Path) -> str:
    return empty_sqlite(folder / "mlflow.db")


MAKERS = {"files": a_file_store, "sqlite": a_database}


@pytest.fixture(params=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Make:
    return MAKERS[request.param]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything below a folder."""
    found = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (of.st_size, of.st_mtime_ns) for path, of in found}


def test_a_store_is_told_with_who_we_are_and_what_it_holds_and_is_left_as_it_is(
    make: Make, tmp_path: Path, runsync: Runner
) -> None:
    where = make(tmp_path)
    with opened(where) as workspace:
        fill(Filler(workspace))
    before = state(tmp_path)
    told = examined(runsync, where)
    assert state(tmp_path) == before
    assert failures(told) == []
    assert told["workspace"]["address"] == where
    assert one(told, "store")[0] == one(told, "rights")[0] == "ok"
    assert "2 deleted; 7 runs" not in one(told, "experiments")[1]
    assert "1 deleted; 7 runs" in one(told, "experiments")[1]
    assert any("was read" in text for _, text in of(told, "artifacts"))


def test_an_empty_store_can_be_used(make: Make, tmp_path: Path, runsync: Runner) -> None:
    where = make(tmp_path)
    (tmp_path / "mlruns" / ".trash").mkdir(parents=True, exist_ok=True)
    assert failures(examined(runsync, where)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_mlflow_has_made_nothing_in_is_a_failure_with_the_command_that_makes_it(
    kind: str, databases: Databases, tmp_path: Path, runsync: Runner
) -> None:
    empty = databases.fresh(kind, empty=True)
    gone = empty.url + "_gone"
    if empty.path is not None:
        empty.path.touch()
        gone = f"sqlite:///{tmp_path / 'gone.db'}"
    for where, what in ((empty.url, "is empty"), (gone, "there is no such")):
        told = examined(runsync, where, code=13)
        assert failures(told) == ["store"]
        assert what in one(told, "store")[1]
        (remedy,) = [finding["remedy"] for finding in told["findings"] if finding["remedy"]]
        assert "by --init of runsync sync and import, or by MLflow 3.14 or newer: mlflow db upgrade" in remedy
        assert ("CREATE DATABASE" in remedy) == (where == gone and kind != "sqlite")
    assert list(tmp_path.iterdir()) == []


def test_where_the_artifacts_of_a_servers_database_lie_has_to_be_said(mlflow3_a: MlflowServer, runsync: Runner) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        run_id = seeder.create_run(
            seeder.create_experiment(f"doctor-{os.urandom(4).hex()}"), start_time=4_100_000_000_000
        )
        seeder.put_artifact(run_id, "file.txt", b"content")
    database = f"sqlite:///{mlflow3_a.folder}/mlflow.db"
    told = examined(runsync, database, code=13)
    assert failures(told) == ["artifacts"]
    assert "say with --artifacts where that is" in one(told, "artifacts")[1]
    told = examined(runsync, database, "--artifacts", mlflow3_a.artifact_root)
    assert "MLflow's tables of revision" in one(told, "store")[1]
    assert f"one of run {run_id} was read" in one(told, "artifacts")[1]


def test_a_store_that_is_not_there_is_a_failure(tmp_path: Path, runsync: Runner) -> None:
    told = examined(runsync, tmp_path / "nothing", code=13)
    assert failures(told) == ["connection"]
    assert "there is no folder" in one(told, "connection")[1]


def test_a_file_that_is_no_database_is_a_failure(tmp_path: Path, runsync: Runner) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    told = examined(runsync, f"sqlite:///{tmp_path}/mlflow.db", code=13)
    assert failures(told) == ["connection"]
    assert "is no SQLite database" in one(told, "connection")[1]


def test_what_is_not_there_ends_every_command_with_13(tmp_path: Path, runsync: Runner) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_bytes(b"not a database" * 100)
    for where in (f"sqlite:///{tmp_path}/{name}.db" for name in ("none", "empty", "text")):
        for command in (("export", where, tmp_path / "b"), ("verify", where, where), ("sync", where, where)):
            assert runsync(*command).returncode == 13, command
    assert runsync("export", tmp_path / "none", tmp_path / "b").returncode == 13
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "address", ["postgresql://ada:hunter2@127.0.0.1:1/mlflow", "mysql://ada:hunter2@127.0.0.1:1/mlflow"]
)
def test_a_database_server_that_does_not_answer_is_a_failure_without_the_password(
    runsync: Runner, address: str
) -> None:
    told = examined(runsync, address, code=13)
    assert failures(told) == ["connection"]
    assert told["workspace"]["address"] == address.replace(":hunter2", "")
    assert "hunter2" not in str(told)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_server_is_told_and_that_a_user_may_only_read(
    databases: Databases, runsync: Runner, kind: str
) -> None:
    database = databases.fresh(kind)
    told = examined(runsync, database.url)
    assert failures(told) == []
    assert one(told, "clock")[0] == one(told, "speed")[0] == one(told, "rights")[0] == "ok"
    assert "of the database" in one(told, "identity")[1]
    name = urlsplit(database.url).path.lstrip("/")
    reader, password = "reader_" + name[-12:], new_secret("the password of a user of a database")
    if kind == "postgres":
        database.execute(f"CREATE ROLE {reader} LOGIN PASSWORD '{password}'")
        database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    else:
        database.execute(f"CREATE USER {reader} IDENTIFIED BY '{password}'")
        database.execute(f"GRANT SELECT ON {name}.* TO {reader}")
    try:
        parts = urlsplit(database.url)
        address = parts._replace(netloc=f"{reader}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
        told = examined(runsync, address)
        assert one(told, "rights")[0] == "warning"
        assert reader in one(told, "identity")[1]
    finally:
        if kind == "postgres":
            database.execute(f"DROP OWNED BY {reader}")
            database.execute(f"DROP ROLE {reader}")
        else:
            database.execute(f"DROP USER {reader}")


def test_names_of_files_are_looked_at_up_to_a_limit_for_all_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "artifacts" / str(number) for number in range(1, 4)]
    with opened(empty_sqlite(tmp_path / "mlflow.db")) as workspace:
        for place in places:
            workspace.store.create_experiment(Experiment("", place.name, artifact_location=place.as_uri()))
            folder = place / "run" / "artifacts"
            folder.mkdir(parents=True)
            Path(os.fsdecode(bytes(folder) + b"/plot\xff.png")).touch()
        workspace.store.refresh()
        for most, told in ((10, "3 files"), (2, "2 files")):
            monkeypatch.setattr("runsync.workspaces.direct.examine.MOST_NAMES", most)
            (named,) = (found.told for found in workspace.examine() if "not UTF-8" in found.told)
            assert named.startswith(f"{told} with a name that is not UTF-8")


def test_a_run_that_cannot_be_read_is_told_and_so_is_what_was_looked_at(tmp_path: Path, runsync: Runner) -> None:
    where = a_file_store(tmp_path)
    with opened(where) as workspace:
        fill(Filler(workspace))
    told = examined(runsync, where)
    assert one(told, "runs") == ("ok", "all runs could be read → ")
    shown = runsync("doctor", where)
    assert "nothing wrong was found; all runs could be read (" in shown.stdout.splitlines()[-1]
    meta = next((tmp_path / "mlruns").glob("101/*/meta.yaml"))
    meta.write_text("status: [")
    state, text = one(examined(runsync, where), "runs")
    assert (state, text.startswith(f"of all runs, 1 cannot be read: run {meta.parent.name} (")) == ("warning", True), (
        text
    )
    shown = runsync("doctor", where)
    assert (shown.returncode, ": 1 warning (" in shown.stdout.splitlines()[-1]) == (0, True), shown.stdout


def test_a_history_that_cannot_be_read_is_told(tmp_path: Path, runsync: Runner) -> None:
    where = a_file_store(tmp_path)
    with opened(where) as workspace:
        fill(Filler(workspace))
    for metric in (tmp_path / "mlruns").glob("101/*/metrics/loss"):
        metric.write_text("no line of MLflow's\n")
    warnings = [text for f in (examined(runsync, where))["findings"] if f["state"] == "warning" for text in [f["told"]]]
    assert any("cannot be read" in text or "loss" in text for text in warnings), warnings
