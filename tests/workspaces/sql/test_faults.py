"""What is said when a database cannot be reached: where, what, and what to do; never a password."""

import sys
from pathlib import Path

import pytest
from support.databases import SERVERS, Databases

from runsync.errors import AccessDenied, RunsyncError, WorkspaceUnreachable, WrongUsage
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
    assert type(error) is WorkspaceUnreachable
    assert "127.0.0.1:1/mlflow" in str(error)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_that_is_not_there(databases: Databases, kind: str) -> None:
    databases.fresh(kind, empty=True)  # skips where there is no server
    error = error_of(f"{SERVERS[kind]}/no_such_database")
    assert type(error) is WrongUsage
    assert "no such database" in str(error)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_user_who_is_not_let_in(databases: Databases, kind: str) -> None:
    database = databases.fresh(kind, empty=True)
    scheme, _, rest = database.url.partition("://")
    error = error_of(f"{scheme}://no_such_user:s3cret@{rest.partition('@')[2]}")
    assert type(error) is AccessDenied


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_a_database_without_tables(databases: Databases, kind: str) -> None:
    error = error_of(databases.fresh(kind, empty=True).url)
    assert type(error) is WrongUsage
    assert "mlflow db upgrade" in str(error)


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in str(error_of(f"sqlite:///{tmp_path}"))


@pytest.mark.parametrize(
    ("url", "module"),
    [("postgresql://ada:s3cret@h/d", "psycopg"), ("mysql://ada:s3cret@h/d", "pymysql"), ("sqlite:///x", "sqlalchemy")],
)
def test_a_driver_that_is_not_installed(url: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    error = error_of(url)
    assert type(error) is WrongUsage
    assert "pip install '.[sql]'" in str(error)
