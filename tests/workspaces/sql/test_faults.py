"""What is said when a database cannot be reached: where, what, and what to do; never a password."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.databases import SERVERS, Databases

from runsync.errors import AccessDenied, RunsyncError
from runsync.extras import how_to_install
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.sql import connect
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.faults import MissingDriver, Unanswered
from runsync.workspaces.sql.no_tables import NoTables
from runsync.workspaces.sql.store import open_store


def error_of(url: str) -> RunsyncError:
    with pytest.raises(RunsyncError) as raised:
        open_store(url)
    said = str(raised.value)
    assert "s3cret" not in said
    assert "\n" not in said
    assert raised.value.__cause__ is None
    return raised.value


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_down(scheme: str) -> None:
    error = error_of(f"{scheme}://ada:s3cret@127.0.0.1:1/mlflow")
    assert type(error) is Unanswered
    assert "127.0.0.1:1/mlflow" in str(error)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_that_is_not_there(databases: Databases, kind: str) -> None:
    databases.fresh(kind, empty=True)  # skips where there is no server
    error = error_of(f"{SERVERS[kind]}/no_such_database")
    assert type(error) is NoTables
    assert str(error).endswith("there is no such database: correct its name")


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_user_who_is_not_let_in(databases: Databases, kind: str) -> None:
    database = databases.fresh(kind, empty=True)
    scheme, _, rest = database.url.partition("://")
    error = error_of(f"{scheme}://no_such_user:s3cret@{rest.partition('@')[2]}")
    assert type(error) is AccessDenied


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_without_tables(databases: Databases, kind: str) -> None:
    error = error_of(databases.fresh(kind, empty=True).url)
    assert type(error) is NoTables
    assert str(error).endswith(" is empty: MLflow has not written to it yet")


FULL = {
    "postgres": (
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE ''could not extend file'' USING ERRCODE = ''53100''; END'",
        "CREATE TRIGGER no_room BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION no_room()",
    ),
    "mysql": (
        "CREATE TRIGGER no_room BEFORE INSERT ON tags FOR EACH ROW SIGNAL SQLSTATE 'HY000'"
        " SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
    ),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mysql"])
def test_a_disk_that_is_full(databases: Databases, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = databases.fresh(kind)
    for statement in FULL.get(kind, ()):
        database.execute(statement)
    if kind == "sqlite":  # as if no page more would go on the disk
        opened = connect._open_to_write

        def small(path: Path, address: DatabaseAddress) -> sqlite3.Connection:
            connection = opened(path, address)
            connection.execute("PRAGMA max_page_count = 1")
            return connection

        monkeypatch.setattr(connect, "_open_to_write", small)
    with closing(open_store(database.url)) as store:
        home = store.create_experiment(Experiment("", "vision"))
        run = Run("a" * 32, home, "one", start_time=1, tags={f"t{i}": "x" * 4000 for i in range(20)})
        with pytest.raises(RunsyncError, match=r"has no room left .*: make room where it lies, then run it") as raised:
            store.write_runs([Arrival(run, True)])
        assert raised.value.exit_code == 1
        assert [batch for batch in store.batches(Query((home,))) if batch.runs] == []


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in str(error_of(f"sqlite:///{tmp_path}"))


@pytest.mark.parametrize(
    ("url", "module"),
    [("postgresql://ada:s3cret@h/d", "psycopg"), ("mysql://ada:s3cret@h/d", "pymysql"), ("sqlite:///x", "sqlalchemy")],
)
def test_a_driver_that_is_not_installed(url: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    error = error_of(url)
    assert type(error) is MissingDriver
    assert how_to_install("sql") in str(error)


def test_pymysql_without_cryptography(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    url = databases.fresh("mysql", empty=True).url

    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("'cryptography' package is required for caching_sha2_password auth methods")

    monkeypatch.setattr("pymysql.connections.Connection.connect", refuse)
    error = error_of(url)
    assert type(error) is MissingDriver
    assert "(cryptography is missing)" in str(error)
