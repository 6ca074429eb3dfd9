"""Copies that were written straight into the database of a server, and are looked at through it after that."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from conftest import Runner
from support.proxy import FaultProxy
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import START, Filler, empty_sqlite, opened, run_id

from runsync.model.experiment import Experiment
from runsync.model.run import Run

DIRECT = b"runsync.copy"


def filled(file: Path) -> str:
    """Two runs in Default and two in “shop”."""
    address = empty_sqlite(file)
    with opened(address, str(file.parent / "artifacts")) as workspace:
        filler = Filler(workspace)
        filler.default()
        filler.experiment(Experiment("7", "shop", creation_time=1, last_update_time=2))
        for age, (label, home) in enumerate((("a", "0"), ("b", "0"), ("c", "7"), ("d", "7"))):
            filler.run(Run(run_id(label), home, label, "ann", "FINISHED", START + age, START + 50, params={"lr": "1"}))
    return address


def purge(file: Path, *labels: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for label in labels:
            for table in ("tags", "params", "runs"):
                database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id(label),))


def test_a_sync_that_deletes_finds_them_in_experiments_that_are_at_home_there(
    tmp_path: Path, start_server: Callable[..., MlflowServer], runsync: Runner
) -> None:
    source, server = filled(tmp_path / "source.db"), start_server("3").wait()
    with Seeder(server.url) as seeder:
        seeder.create_experiment("shop")
    database = f"sqlite:///{server.folder}/mlflow.db"
    assert runsync("sync", source, database, "--no-artifacts").returncode == 0
    purge(tmp_path / "source.db", "b", "d")
    with FaultProxy(server.url) as proxy:
        done = runsync("sync", source, proxy.url, "--no-artifacts", "--delete", "--max-delete", "2")
    assert done.returncode == 0, done.stderr
    with opened(database) as workspace:
        experiments = workspace.store.experiments()
        assert not [e for e in experiments if "runsync.copy" in e.tags]
        from runsync.model.selection import Selection

        runs = [run for batch in workspace.batches(experiments, Selection()) for run in batch.runs]
    assert {run.run_id: run.lifecycle_stage for run in runs} == {
        run_id("a"): "active",
        run_id("b"): "deleted",
        run_id("c"): "active",
        run_id("d"): "deleted",
    }


def test_where_there_are_none_one_search_tells(
    tmp_path: Path, start_server: Callable[..., MlflowServer], runsync: Runner
) -> None:
    source, server = filled(tmp_path / "source.db"), start_server("3").wait()
    with FaultProxy(server.url) as proxy:
        for _ in range(2):
            before = len(proxy.requests)
            assert runsync("sync", source, proxy.url, "--no-artifacts", "--delete").returncode == 0
    asked = [request for request in proxy.requests[before:] if DIRECT in request.body]
    assert len(asked) == 1
