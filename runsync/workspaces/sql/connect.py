"""How a connection to each kind of database is made, for reading and for writing."""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runsync.errors import WrongUsage
from runsync.secrecy import keep
from runsync.workspaces.sql import faults
from runsync.workspaces.sql.address import MYSQL, POSTGRESQL, SQLITE, DatabaseAddress
from runsync.workspaces.sql.no_tables import no_file

if TYPE_CHECKING:
    from sqlalchemy import Engine

PATIENCE = 30
"""Seconds that a statement waits for a lock that another program holds."""
CONNECT_TIMEOUT = 15
"""Seconds for a connection to be made."""

_DRIVERS = {POSTGRESQL: "postgresql+psycopg", MYSQL: "mysql+pymysql"}


def engine(address: DatabaseAddress, *, read_only: bool) -> "Engine":
    """Makes connections that are not kept. Raises MissingDriver."""
    try:
        from sqlalchemy import URL, NullPool, create_engine

        kept: dict[str, Any] = {"poolclass": NullPool, "pool_reset_on_return": None}
        if address.kind == SQLITE:
            return create_engine("sqlite://", creator=_sqlite(address, read_only), **kept)
        url = URL.create(
            _DRIVERS[address.kind],
            address.user or None,
            address.password or None,
            address.host or None,
            address.port,
            address.database,
            dict(address.options or {}),
        )
        for variable in ("PGPASSWORD", "MYSQL_PWD"):
            keep(os.environ.get(variable, ""), address.user)
        return create_engine(url, connect_args=_arguments(address), **kept)
    except ImportError as error:
        raise faults.MissingDriver(address, error.name or str(error)) from None


def with_own_driver(url: str, address: DatabaseAddress) -> str:
    """A URI of that database as SQLAlchemy takes it, by the driver that is used here."""
    rest = url.partition("://")[2]
    return f"{_DRIVERS.get(address.kind, address.kind)}://{rest}"


def _arguments(address: DatabaseAddress) -> dict[str, Any]:
    given = address.options or {}
    if address.kind == POSTGRESQL:
        arguments: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "runsync",
            "client_encoding": "utf8",  # of a database without an encoding (SQL_ASCII) psycopg would give bytes
        }
        return {name: value for name, value in arguments.items() if name not in given}
    arguments = {"connect_timeout": CONNECT_TIMEOUT, "charset": "utf8mb4"}
    return {name: value for name, value in arguments.items() if name not in given}


_SESSION = {
    SQLITE: (),
    POSTGRESQL: (
        "SET extra_float_digits = 3",
        "SET work_mem = '64MB'",
        "SET statement_timeout = 0",
        "SET idle_in_transaction_session_timeout = 0",
        f"SET lock_timeout = '{PATIENCE}s'",
    ),
    # Strict: else MySQL cuts what is too long. Zero: an experiment of MLflow has the id 0.
    MYSQL: (
        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO')",
        "SET SESSION group_concat_max_len = 67108864",
        f"SET SESSION innodb_lock_wait_timeout = {PATIENCE}",
        "SET SESSION net_write_timeout = 3600",
        "SET SESSION wait_timeout = 28800",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    ),
}


def session_settings(address: DatabaseAddress) -> tuple[str, ...]:
    """Statements that a new connection begins with."""
    return _SESSION[address.kind]


def _sqlite(address: DatabaseAddress, read_only: bool) -> Callable[[], sqlite3.Connection]:
    path = Path(address.database)
    return partial(_open_to_read, path, address) if read_only else partial(_open_to_write, path, address)


def _open(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.resolve()))}?{how}"
    return sqlite3.connect(uri, PATIENCE, isolation_level=None, check_same_thread=False, uri=True)


def _open_to_read(path: Path, address: DatabaseAddress) -> sqlite3.Connection:
    """Needs no right to write, neither on the file nor on its folder."""
    _require(path, address)
    # A database in WAL mode wants files beside it, which cannot be made in a folder that is read-only; without a log
    # nobody writes to it, and it may be read as it is. What a writer that was killed left must be rolled back first.
    left = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
    is_at_rest = not any(file.exists() and file.stat().st_size for file in left)
    try:
        return _that_answers(path, "mode=ro")
    except sqlite3.OperationalError:
        return _that_answers(path, "immutable=1" if is_at_rest else "mode=rw")


def _that_answers(path: Path, how: str) -> sqlite3.Connection:
    connection = _open(path, how)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _open_to_write(path: Path, address: DatabaseAddress) -> sqlite3.Connection:
    _require(path, address)
    connection = _open(path, "mode=rw")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MB: new points go all over an index by key
    return connection


def _require(path: Path, address: DatabaseAddress) -> None:
    if path.is_dir():
        raise WrongUsage(f"{address.printable} is a folder, not a SQLite file")
    if not path.exists():
        raise no_file(address)
