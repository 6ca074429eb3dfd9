"""What doctor tells of a database itself: by statements that read, in the snapshot that all reading is done in."""

import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runsync.model.finding import Finding, ok, warning
from runsync.workspaces.clock import clock
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE, POSTGRESQL, SQLITE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

TRIES = 5
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB"}
_VERSION = {"sqlite": "SELECT sqlite_version()", "postgresql": "SHOW server_version", "mysql": "SELECT VERSION()"}
_USER = {"postgresql": "SELECT current_user", "mysql": "SELECT CURRENT_USER()"}
_NOW = {"postgresql": "SELECT extract(epoch FROM clock_timestamp())", "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))"}
_CIPHER = {
    "postgresql": "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'",
}


def examine(database: Database, schema: Schema) -> Iterator[Finding]:
    """See `DirectStore.examine`."""
    kind = database.kind
    with database.reading() as connection:
        server = f"{_NAMES[kind]} {_asked(connection, _VERSION[kind])}"
        yield ok("store", f"{server}, with MLflow's tables of revision {schema.revision}")
        if kind != SQLITE:
            yield ok("identity", f"user “{_asked(connection, _USER[kind])}” of the database")
            yield _way(database, connection)
            begun = time.time()
            there = float(_asked(connection, _NOW[kind]))
            yield clock(there - (begun + time.time()) / 2)
            yield ok("speed", f"{_median(connection) * 1000:.1f} ms a statement, the way there and back")
        yield from _workspaces(database, schema, connection)


def _way(database: Database, connection: "Connection") -> Finding:
    host = database.address.host
    if host in ("", "localhost", "127.0.0.1", "[::1]", "::1"):
        return ok("connection", "on this machine")
    cipher = _asked(connection, _CIPHER[database.kind])
    if cipher:
        return ok("connection", f"encrypted ({cipher})")
    option = "?sslmode=require" if database.kind == POSTGRESQL else "?ssl_ca=FILE"
    return warning(
        "connection",
        "not encrypted: everyone on the way can read what is carried",
        f"put {option} at the end of the address, where the database allows it",
    )


def _workspaces(database: Database, schema: Schema, connection: "Connection") -> Iterator[Finding]:
    table = schema.table("experiments")
    if table is None or "workspace" not in table.c:
        return
    here = database.address.workspace or DEFAULT_WORKSPACE
    rows = connection.exec_driver_sql("SELECT DISTINCT workspace FROM experiments ORDER BY workspace")
    others = [str(row[0]) for row in rows if row[0] != here]
    if others:
        few = ", ".join(others[:10]) + (" …" if len(others) > 10 else "")
        count = "is 1 other" if len(others) == 1 else f"are {len(others):,} others"
        yield ok("workspace", f"“{here}”; there {count}: {few} (?workspace=NAME names one)")


def _median(connection: "Connection") -> float:
    seconds = []
    for _ in range(TRIES):
        begun = time.monotonic()
        _asked(connection, "SELECT 1")
        seconds.append(time.monotonic() - begun)
    return statistics.median(seconds)


def _asked(connection: "Connection", statement: str) -> Any:
    return connection.exec_driver_sql(statement).scalar()
