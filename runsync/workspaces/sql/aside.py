"""A copy of a SQLite file, made when it is read for long.

Without a write-ahead log (as MLflow makes its files), nobody can write while somebody reads. A server gives up after
20 seconds: so whoever reads for longer than some seconds goes on in a copy of what he reads.
"""

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from runsync.workspaces.sql.snapshot import Snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection

AFTER = 5.0
"""Seconds of reading, until the copy is made."""


def watch(snapshot: Snapshot, path: Path) -> None:
    """Makes the copy when this snapshot is still read after a while."""
    timer = Timer(AFTER, _go_aside, (snapshot, path))
    timer.daemon = True
    snapshot.at_end(timer.cancel)
    timer.start()


def has_log(connection: "Connection") -> bool:
    """Whether it is in WAL mode, in which readers and writers do not wait for each other."""
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()).lower() == "wal"


def _go_aside(snapshot: Snapshot, path: Path) -> None:
    """Without room for a copy, reading goes on as it is."""
    with suppress(Exception), snapshot.used() as connection:
        if snapshot.is_retired or shutil.disk_usage(tempfile.gettempdir()).free < 1.2 * path.stat().st_size:
            return
        snapshot.go_on_in(_copied(connection))
        connection.exec_driver_sql("ROLLBACK")


def _copied(connection: "Connection") -> "Connection":
    from sqlalchemy import NullPool, create_engine

    handle, name = tempfile.mkstemp(prefix="runsync-", suffix=".db")
    os.close(handle)
    try:
        copy = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        driver: Any = connection.connection.driver_connection
        driver.backup(copy)
        made = create_engine("sqlite://", creator=lambda: copy, poolclass=NullPool, pool_reset_on_return=None).connect()
        made.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    finally:
        with suppress(OSError):  # it stays open, and is gone when this process is
            Path(name).unlink()
    return made
