"""Which databases are read, which are written, and what is said of the others."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, executable
from support.databases import Databases, Fresh, run_script

from runsync.bundle.address import Access
from runsync.errors import AccessDenied, WorkspaceUnreachable, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, Run
from runsync.transfer.sync import sync
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.sql import schema
from runsync.workspaces.sql.address import parse
from runsync.workspaces.sql.initialise import initialise
from runsync.workspaces.sql.store import SqlStore, open_store

pytestmark = pytest.mark.long

Open = Callable[[str], SqlStore]


def test_every_revision_since_mlflow_1_30_is_read_and_each_known_one_since_2_22_is_written(
    tmp_path: Path, opened: Open
) -> None:
    revisions = [*schema.OLDER, *schema.WRITABLE]
    run_script(executable("3"), "stages", str(tmp_path), *revisions)
    points = [points_of_key("loss", [1, 2], [1, 2], [0.5, 0.25])]
    for revision in revisions:
        store = opened(f"sqlite:///{tmp_path / revision}.db")
        assert store.place.version == revision
        assert store.experiments() == []
        assert store.left_behind([]) == []
        if revision in schema.OLDER:
            with pytest.raises(WrongUsage, match="mlflow db upgrade"):
                store.check_writable()
            continue
        store.check_writable()
        experiment_id = store.create_experiment(Experiment("9", "vision", artifact_location="s3://b/9"))
        used = DatasetInput("train", "d1", "local", "{}", "[]", "{}", {"context": "training"})
        run = Run("a" * 32, experiment_id, "one", dataset_inputs=(used,), tags={"mlflow.runName": "one"})
        assert store.write_runs([Arrival(run, True, points)]) == {}
        store.refresh()
        (found,) = [run for batch in store.batches(Query(("9",))) for run in batch.runs]
        assert found.dataset_inputs == (used,)
        assert [metric.value for metric in found.latest_metrics] == [0.25]


def test_a_newer_revision_is_read_but_not_written(databases: Databases, opened: Open) -> None:
    database = databases.fresh("sqlite")
    database.script("fill")
    database.execute("UPDATE alembic_version SET version_num = 'cafe00000000'")
    store = opened(database.url)
    assert len(store.experiments()) == 3
    with pytest.raises(WrongUsage, match=r"cafe00000000.*newer runsync"):
        store.check_writable()


def test_a_column_that_is_not_known_and_must_be_given_keeps_a_database_from_being_written(
    databases: Databases, opened: Open
) -> None:
    database = databases.fresh("sqlite")
    with sqlite3.connect(str(database.path)) as connection:
        connection.execute("DROP TABLE input_tags")
        connection.execute("CREATE TABLE input_tags (input_uuid TEXT, name TEXT, value TEXT, owner TEXT NOT NULL)")
    with pytest.raises(WrongUsage, match=r"input_tags\.owner"):
        opened(database.url).check_writable()


@pytest.mark.older
def test_an_older_database_gets_told_how_to_upgrade(databases: Databases, opened: Open) -> None:
    database = databases.fresh("sqlite", "1")
    with pytest.raises(WrongUsage, match="mlflow db upgrade sqlite:///"):
        opened(database.url).check_writable()


def test_an_empty_database_is_initialised(databases: Databases, monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    database = databases.fresh("sqlite", empty=True)
    assert database.path is not None
    database.path.touch()
    with pytest.raises(WrongUsage, match="--init"):
        open_store(database.url)
    monkeypatch.setenv("PATH", str(database.mlflow.parent), prepend=":")
    initialise(database.url)
    store = opened(database.url)
    store.check_writable()
    assert store.experiments() == []


def test_init_leaves_a_database_that_has_tables_as_it_is(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = databases.fresh("sqlite", "2")
    assert database.path is not None
    before = database.path.read_bytes()
    monkeypatch.setenv("PATH", str(database.mlflow.parent), prepend=":")
    initialise(database.url)
    assert database.path.read_bytes() == before


@pytest.fixture
def fake_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that writes the URI it is given into a file; gives the file."""
    told, fake = tmp_path / "told", tmp_path / "bin" / "mlflow"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$3" > {told}\n', encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    return told


def test_init_asks_where_artifacts_go_before_it_makes_anything(databases: Databases, fake_mlflow: Path) -> None:
    empty, source = databases.fresh("postgres", empty=True), str(ROOT / "examples" / "mlruns")
    with pytest.raises(WrongUsage, match="say with --artifacts where its server will keep them"):
        sync(source, empty.url, init=True)
    assert not fake_mlflow.exists()
    for how in ({"artifacts": False}, {"access": Access(artifacts="s3://bucket/art")}):
        with pytest.raises(WrongUsage, match="is empty"):  # for the fake makes no tables
            sync(source, empty.url, init=True, **how)  # type: ignore[arg-type]
        assert fake_mlflow.read_text().startswith("postgresql://")
        fake_mlflow.unlink()


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql", "mariadb"])
def test_init_names_a_driver_of_mysql_that_is_there(
    scheme: str, fake_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runsync.workspaces.sql.initialise.is_empty", lambda told: True)
    initialise(f"{scheme}://ada:s3cret@127.0.0.1:1/db")
    assert fake_mlflow.read_text() == "mysql+pymysql://ada:s3cret@127.0.0.1:1/db\n"
    assert schema.how_to_initialise(parse("mysql://ada:s3cret@h/db")).endswith("mysql+pymysql://ada@h/db")


def test_a_dry_run_with_init_makes_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n", encoding="utf-8")
    with pytest.raises(WrongUsage, match="no such file"):
        sync(str(tmp_path / "mlruns"), f"sqlite:///{tmp_path / 'none.db'}", init=True, dry_run=True)
    assert not (tmp_path / "none.db").exists()


def test_options_that_the_driver_does_not_know_are_told() -> None:
    with pytest.raises(WrongUsage, match="behind"):
        open_store("mysql://root@127.0.0.1:1/db?bogus=1")


def test_a_file_that_is_not_there_is_told_how_to_be_made(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no such file"):
        open_store(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_init_without_mlflow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrongUsage, match="pip install mlflow"):
        initialise(f"sqlite:///{tmp_path / 'none.db'}")


def test_init_that_fails_says_why_without_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "mlflow"
    fake.write_text('#!/bin/sh\necho "Error: cannot reach $3" >&2\nexit 1\n', encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("runsync.workspaces.sql.initialise.is_empty", lambda told: True)
    with pytest.raises(WorkspaceUnreachable) as raised:
        initialise("postgresql://ada:s3cret@127.0.0.1:1/db")
    assert "cannot reach" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_file_that_is_no_database_is_told_from_one(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but some text that is long enough to be looked at" * 99)
    with pytest.raises(WrongUsage, match="is no SQLite database"):
        open_store(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_database_of_something_else_is_told_from_mlflow(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(WrongUsage, match="no database of MLflow"):
        open_store(f"sqlite:///{tmp_path / 'x.db'}")


def test_rights_that_are_missing_are_found_before_anything_is_written(databases: Databases, opened: Open) -> None:
    database = databases.fresh("postgres")
    database.execute("CREATE ROLE runsync_reader LOGIN") if not database.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = 'runsync_reader'"
    ) else None
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO runsync_reader")
    store = opened(database.url.replace("postgres@", "runsync_reader@"))
    assert store.experiments() == []
    with pytest.raises(AccessDenied, match="permission denied"):
        store.check_writable()
    opened(database.url).check_writable()


def test_only_one_workspace_of_mlflow_is_seen_and_written(database: Fresh, opened: Open) -> None:
    here, there = opened(database.url), opened(f"{database.url}?workspace=team-a")
    here.create_experiment(Experiment("5", "same name"))
    made = there.create_experiment(Experiment("5", "same name"))
    assert made != "5"
    for store, expected in ((here, ["5"]), (there, [made])):
        store.refresh()
        assert [e.experiment_id for e in store.experiments()] == expected
    assert there.write_runs([Arrival(Run("a" * 32, "5"), True)]) == {"a" * 32: "there is no experiment 5: run it again"}
    assert there.write_runs([Arrival(Run("a" * 32, made), True)]) == {}
    here.refresh()
    assert list(here.batches(Query(("5", made)))) == []
    assert here.run_counts() == {"5": 0}
    assert there.place.address.endswith("?workspace=team-a")
