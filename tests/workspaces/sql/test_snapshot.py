"""Reading stays consistent while a server goes on writing, and hinders it for no longer than some seconds."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Timer

import pytest
from support.databases import Databases

from runsync.errors import RequestRefused, WorkspaceError
from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import Run
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.sql import aside
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]
INSERT = "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (?, 'late', 'active')"


@pytest.fixture
def filled(databases: Databases, opened: Open) -> Path:
    database = databases.fresh("sqlite")
    store = opened(database.url)
    experiment_id = store.create_experiment(Experiment("7", "vision"))
    points = points_of_key("x", list(range(1_000)), list(range(1_000)), [1.0] * 1_000)
    store.write_runs([Arrival(Run(f"{number:032x}", experiment_id), True, [points]) for number in range(3)])
    store.close()
    assert database.path is not None
    return database.path


def test_with_a_write_ahead_log_a_writer_does_not_wait(filled: Path, opened: Open) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    store = opened(f"sqlite:///{filled}")
    assert len(store.experiments()) == 1
    with closing(sqlite3.connect(filled, timeout=300)) as writer, writer:
        writer.execute(INSERT, (8,))
    assert len(store.experiments()) == 1
    store.refresh()
    assert len(store.experiments()) == 2


def test_without_one_a_writer_waits_only_until_a_copy_is_made(
    filled: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_for_long = Event()

    class WhenTold(Timer):
        def run(self) -> None:
            read_for_long.wait()
            super().run()

    monkeypatch.setattr(aside, "AFTER", 0)
    monkeypatch.setattr(aside, "Timer", WhenTold)
    store = opened(f"sqlite:///{filled}")
    with store.histories([f"{0:032x}"]) as histories:
        begun = histories.of(f"{0:032x}")
        count = next(begun).num_rows
        assert len(store.experiments()) == 1
        with closing(sqlite3.connect(filled, timeout=0)) as writer:
            writer.execute(INSERT, (8,))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                writer.commit()
        read_for_long.set()
        count += sum(batch.num_rows for batch in begun)
        with closing(sqlite3.connect(filled, timeout=300)) as writer, writer:
            writer.execute(INSERT, (8,))
        assert count == 1_000
        assert len(store.experiments()) == 1
        assert sum(batch.num_rows for batch in histories.of(f"{0:032x}")) == 1_000
    store.refresh()
    assert len(store.experiments()) == 2


def test_a_file_is_read_without_any_right_to_write(filled: Path, opened: Open) -> None:
    """Of a user who may only read: root may do anything."""
    code = (
        "import os, sys, sqlalchemy.dialects.sqlite.pysqlite, pyarrow.compute\n"
        "from runsync.workspaces.sql.store import open_store\n"
        "from runsync.workspaces.sql import leftovers, rights\n"
        "from runsync.errors import RunsyncError\n"
        "os.setuid(65534)\n"
        "store = open_store(sys.argv[1]); print(len(store.experiments()))\n"
        "try: store.check_writable()\n"
        "except RunsyncError as error: print(type(error).__name__)\n"
    )
    import os

    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = Path("/var/tmp") / f"runsync-{time.time_ns()}"
    for mode in ("DELETE", "WAL"):
        folder.mkdir()
        try:
            target = folder / "mlflow.db"
            with closing(sqlite3.connect(filled)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
                copy.execute(f"PRAGMA journal_mode = {mode}")
            target.chmod(0o444)
            folder.chmod(0o555)
            done = subprocess.run(
                [sys.executable, "-c", code, f"sqlite:///{target}"], capture_output=True, text=True, check=False
            )
            assert done.stdout.split() == ["1", "AccessDenied"], done.stderr
            assert sorted(path.name for path in folder.iterdir()) == ["mlflow.db"]
        finally:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def test_what_a_killed_writer_left_is_not_read_as_if_it_were_whole(filled: Path, opened: Open) -> None:
    code = (
        "import sqlite3, sys, os; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN'); c.execute(\"UPDATE metrics SET value = 2.0\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(filled)], check=False)
    assert filled.with_name(filled.name + "-journal").stat().st_size
    store = opened(f"sqlite:///{filled}")
    with store.histories([f"{0:032x}"]) as histories:
        values = {value for batch in histories.of(f"{0:032x}") for value in batch["value"].to_pylist()}
    assert values == {1.0}


def test_a_store_that_is_closed_reads_no_more(filled: Path, opened: Open) -> None:
    from runsync.errors import Interrupted

    store = opened(f"sqlite:///{filled}")
    batches = store.batches(Query(("7",)))
    store.close()
    with pytest.raises(Interrupted):
        next(batches)
    with pytest.raises(Interrupted):
        store.experiments()


@pytest.mark.parametrize("column", ["value", "step", "timestamp"])
def test_points_that_are_no_numbers_are_refused(filled: Path, opened: Open, column: str) -> None:
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute(f"UPDATE metrics SET {column} = 'abc' WHERE run_uuid = ? AND step = 5", (f"{1:032x}",))
    ids = [f"{number:032x}" for number in range(3)]
    with opened(f"sqlite:///{filled}").histories(ids) as told:
        assert sum(batch.num_rows for batch in told.of(ids[0])) == 1_000
        with pytest.raises(RequestRefused, match="text where a number belongs"):
            list(told.of(ids[1]))
        assert sum(batch.num_rows for batch in told.of(ids[2])) == 1_000


def test_a_file_that_went_away_is_told(filled: Path, opened: Open) -> None:
    store = opened(f"sqlite:///{filled}")
    store.refresh()
    filled.unlink()
    with pytest.raises(WorkspaceError, match="no such file"):
        store.experiments()
