"""How databases are spelled, and what is shown of that."""

import subprocess
import sys
from pathlib import Path

import pytest

from runsync.errors import WrongUsage
from runsync.workspaces.sql.address import is_database, parse


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite+pysqlite:////data/ml%20flow.db?timeout=9", "sqlite:////data/ml%20flow.db"),
        ("postgresql://ada:s3cret@db.example:5433/mlflow", "postgresql://ada@db.example:5433/mlflow"),
        ("postgres://ada:s3cret@db.example/mlflow", "postgresql://ada@db.example/mlflow"),
        ("postgresql+psycopg2://ada:s%2F%403cret@db/mlflow?sslmode=require", "postgresql://ada@db/mlflow"),
        ("postgresql://ada:p@ss/s3cret@db/mlflow", "postgresql://ada@db/mlflow"),
        ("mysql+pymysql://ada:s3cret@db/mlflow?workspace=team", "mysql://ada@db/mlflow?workspace=team"),
        ("mariadb://db/mlflow", "mysql://db/mlflow"),
        ("postgresql://ada:s3cret@[::1]:5432/mlflow", "postgresql://ada@[::1]:5432/mlflow"),
    ],
)
def test_an_address_is_printed_without_its_password(given: str, printed: str) -> None:
    assert is_database(given)
    assert parse(given).printable == printed
    assert "s3cret" not in repr(parse(given))


def test_a_password_may_hold_any_character() -> None:
    assert parse("postgresql://ada:s%2F%403cret@db/mlflow").password == "s/@3cret"
    assert parse("postgresql://ada:s%3F3cret@db/mlflow").password == "s?3cret"
    assert parse("postgresql://db/mlflow?password=a@b").options == {"password": "a@b"}


@pytest.mark.parametrize("where", ["http://host/x", "s3://bucket/x", "./mlruns", "file:///data/mlruns", "databricks"])
def test_other_places_are_no_databases(where: str) -> None:
    assert not is_database(where)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sqlite://", "sqlite:///FILE"),
        ("sqlite:///:memory:", "sqlite:///FILE"),
        ("sqlite://data/mlflow.db", "four slashes"),
        ("postgresql://ada:s3cret@db", "names no database"),
        ("postgresql://ada:s3?cret@db/mlflow", "%3F"),
        ("postgresql://ada:3?s3cret@db/mlflow", "%3F"),
        ("mysql://ada:33/3?s3cret@db/mlflow?ssl_ca=x", "%3F"),
        ("mssql+pyodbc://ada:s3cret@db/mlflow", "SQLite, PostgreSQL, MySQL and MariaDB"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: str, said: str) -> None:
    with pytest.raises(WrongUsage) as raised:
        parse(given)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_two_spellings_of_one_database_are_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(tmp_path / "mlflow.db")
    one = parse("sqlite:///mlflow.db").whereabouts
    assert one == parse(f"sqlite:///{tmp_path}/mlflow.db").whereabouts == parse("sqlite:///./link.db").whereabouts
    assert one != parse("sqlite:///other.db").whereabouts
    assert one != parse("sqlite:///mlflow.db?workspace=team").whereabouts
    local = parse("postgresql://ada@localhost/mlflow").whereabouts
    assert local == parse("postgres://bob:x@127.0.0.1:5432/mlflow?sslmode=disable").whereabouts
    assert local != parse("postgresql://ada@localhost:5433/mlflow").whereabouts


def test_telling_databases_from_other_places_costs_no_import_of_sqlalchemy() -> None:
    code = "import sys; from runsync.workspaces.sql.address import is_database; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
