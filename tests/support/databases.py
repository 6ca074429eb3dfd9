"""Fresh databases with MLflow's tables, of SQLite always, of PostgreSQL and MySQL where such a server is told."""

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import MetaData, NullPool, create_engine

from support import forks
from support.forks import clean_environment

# Read before any test cleans the environment.
SERVERS = {kind: os.environ.get(f"RUNSYNC_TEST_{kind.upper()}_URL", "").rstrip("/") for kind in ("postgres", "mysql")}
KINDS = ("sqlite", "postgres", "mysql")

SCRIPT = Path(__file__).with_name("mlflow_on_database.py")


@dataclass(frozen=True)
class Fresh:
    """A database of a test's own: how runsync names it, how MLflow does, and statements that look into it."""

    kind: str
    url: str
    for_mlflow: str
    mlflow: Path
    path: Path | None = None

    def script(self, *arguments: str) -> Any:
        """What the script in MLflow's own environment answers: see `mlflow_on_database`."""
        return run_script(self.mlflow, *arguments[:1], self.for_mlflow, *arguments[1:])

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement by the driver itself, committed; values stand for `?`."""
        connection = connect(self.kind, self.url)
        try:
            cursor = connection.cursor()
            cursor.execute(statement if self.kind == "sqlite" else statement.replace("?", "%s"), values)
            rows = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return rows
        finally:
            connection.close()


def run_script(mlflow: Path, *arguments: str) -> Any:
    """Runs the script with an mlflow command's MLflow; its answer is JSON."""
    done = forks.run(mlflow, [str(SCRIPT), *arguments], clean_environment(), SCRIPT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    last = done.stdout.strip().splitlines()
    return json.loads(last[-1]) if last else None


def connect(kind: str, url: str) -> Any:
    """A connection by the driver itself."""
    if kind == "sqlite":
        import sqlite3

        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    if kind == "postgres":
        import psycopg

        return psycopg.connect(url)
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.lstrip("/") or None,
        charset="utf8mb4",
    )


class Databases:
    """Makes databases of a release's schema; all of them are dropped at the end. `shared` is a folder that all workers
    of a session have in common."""

    def __init__(self, executable: Callable[[str], Path], folder: Path, shared: Path | None = None) -> None:
        self._executable = executable
        self._folder = folder
        self._shared = shared or folder
        self._made: list[tuple[str, str]] = []
        self._templates: dict[tuple[str, str], Any] = {}
        self._in_use: list[Path] = []

    def narrow(self, kind: str, encoding: str) -> Fresh:
        """A new database whose encoding does not have all characters."""
        template = self._template(kind, "3")
        fresh = self._named(kind, self._create(kind, None, encoding), self._executable("3"))
        if kind == "postgres":
            _copy_tables(f"{SERVERS[kind]}/{template}", fresh.url)
        else:
            plain = [re.sub(r" COLLATE[ =]\w+", "", statement) for statement in template]
            _execute_all(fresh, [statement.replace("utf8mb4", encoding) for statement in plain])
        return fresh

    def fresh(self, kind: str, release: str = "3", *, empty: bool = False) -> Fresh:
        """A new database. Skips the test where no server of this kind is told."""
        mlflow = self._executable(release)
        if kind == "sqlite":
            path = self._folder / f"{uuid.uuid4().hex}.db"
            if not empty:
                shutil.copyfile(forks.template(mlflow), path)
            return Fresh(kind, f"sqlite:///{path}", f"sqlite:///{path}", mlflow, path)
        template = None if empty else self._template(kind, release)
        name = self._create(kind, template if kind == "postgres" else None)
        fresh = self._named(kind, name, mlflow)
        if kind == "mysql" and template:
            _execute_all(fresh, template)
        return fresh

    def drop(self) -> None:
        """Takes them all away."""
        for place in self._in_use:
            self._leave(place)
        for kind, name in reversed(self._made):
            with suppress(Exception):
                self._administer(kind, f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgres" else ""))

    def _template(self, kind: str, release: str) -> Any:
        key = (kind, release)
        if key not in self._templates:
            mlflow = self._executable(release)
            make = self._database_for_all if kind == "postgres" else self._statements
            self._templates[key] = make(release, mlflow)
        return self._templates[key]

    def _initialised(self, kind: str, mlflow: Path) -> tuple[str, Fresh]:
        name = self._create(kind, None)
        made = self._named(kind, name, mlflow)
        made.script("initialise")
        return name, made

    def _database_for_all(self, release: str, mlflow: Path) -> str:
        """The name of a database that one worker makes; the last one that leaves drops it."""
        place = self._shared / f"postgres-{release}.json"
        with _locked(place):
            if place.exists():
                used = json.loads(place.read_text(encoding="utf-8"))
            else:
                used = {"name": self._initialised("postgres", mlflow)[0], "users": 0}
                self._made.remove(("postgres", used["name"]))
            place.write_text(json.dumps(used | {"users": used["users"] + 1}), encoding="utf-8")
        self._in_use.append(place)
        name: str = used["name"]
        return name

    def _leave(self, place: Path) -> None:
        with _locked(place):
            used = json.loads(place.read_text(encoding="utf-8"))
            if used["users"] > 1:
                place.write_text(json.dumps(used | {"users": used["users"] - 1}), encoding="utf-8")
            else:
                place.unlink()
                self._made.append(("postgres", used["name"]))

    def _statements(self, release: str, mlflow: Path) -> list[str]:
        """What makes the tables of MySQL, asked of MLflow by one worker for all."""
        place = self._shared / f"mysql-{release}.json"
        with _locked(place):
            if not place.exists():
                place.write_text(json.dumps(_statements(self._initialised("mysql", mlflow)[1])), encoding="utf-8")
        statements: list[str] = json.loads(place.read_text(encoding="utf-8"))
        return statements

    def _create(self, kind: str, template: str | None, encoding: str = "") -> str:
        if not SERVERS[kind]:
            pytest.skip(f"RUNSYNC_TEST_{kind.upper()}_URL is not set")
        name = f"runsync_test_{uuid.uuid4().hex[:12]}"
        how = f" TEMPLATE {template}" if template else ""
        if encoding:
            how = f" CHARACTER SET {encoding}"
            if kind == "postgres":
                how = f" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        self._administer(kind, f"CREATE DATABASE {name}{how}")
        self._made.append((kind, name))
        return name

    def _administer(self, kind: str, statement: str) -> None:
        connection = connect(kind, SERVERS[kind] + ("/postgres" if kind == "postgres" else ""))
        try:
            if kind == "postgres":
                connection.autocommit = True
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _named(self, kind: str, name: str, mlflow: Path) -> Fresh:
        url = f"{SERVERS[kind]}/{name}"
        driver = "postgresql+psycopg2" if kind == "postgres" else "mysql+pymysql"
        return Fresh(kind, url, driver + url[url.index("://") :], mlflow)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """One worker at a time."""
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _statements(database: Fresh) -> list[str]:
    """What makes the same tables again: MySQL has no templates, and MLflow's migrations take it many seconds."""
    tables = [name for (name,) in database.execute("SHOW TABLES")]
    made = [database.execute(f"SHOW CREATE TABLE `{name}`")[0][1] for name in tables]
    ((revision,),) = database.execute("SELECT version_num FROM alembic_version")
    return [*made, f"INSERT INTO alembic_version VALUES ('{revision}')"]


def _copy_tables(template: str, target: str) -> None:
    """Those of PostgreSQL, and the version that they are of."""
    source, made = (
        create_engine(url.replace("://", "+psycopg://"), poolclass=NullPool, connect_args={"client_encoding": "utf8"})
        for url in (template, target)
    )
    tables = MetaData()
    tables.reflect(source)
    for column in (column for table in tables.tables.values() for column in table.columns):
        if "nextval" in str(getattr(column.server_default, "arg", "")):
            column.server_default = None  # the sequence comes with the column
    tables.create_all(made)
    version = tables.tables["alembic_version"]
    with source.connect() as old, made.begin() as new:
        new.execute(version.insert(), [row._asdict() for row in old.execute(version.select())])


def _execute_all(database: Fresh, statements: Sequence[str]) -> None:
    connection = connect(database.kind, database.url)
    try:
        cursor = connection.cursor()
        cursor.execute("SET foreign_key_checks = 0")
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
    finally:
        connection.close()
