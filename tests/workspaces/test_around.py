"""What a server cannot answer with is gone around in few requests."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.model.fields import NEWEST_FIRST
from runsync.model.run import UNTOLD
from runsync.model.selection import Selection
from runsync.workspaces.rest.workspace import RestWorkspace

COUNT, START = 40, 1_700_000_000_000


@pytest.fixture
def workspace(start_server: Callable[..., MlflowServer]) -> Iterator[RestWorkspace]:
    """40 runs, an hour from each other; a param of one of them is not UTF-8."""
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment("home")
        runs = [seeder.create_run(home, f"run {n}", start_time=START + n * 3_600_000) for n in range(COUNT)]
        seeder.log_batch(runs[17], params={"lr": "0.1"})
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database, database:
        database.execute("UPDATE params SET value = CAST(x'ff' AS TEXT)")
    opened = runsync.open_workspace(server.url)
    assert isinstance(opened, RestWorkspace)
    yield opened
    opened.close()


@pytest.mark.slow
def test_one_broken_row_takes_about_as_many_requests_as_its_place_has_digits(workspace: RestWorkspace) -> None:
    experiments = workspace.experiments(Selection())
    before = workspace.requests
    batches = list(workspace.batches(experiments, Selection()))
    assert sorted(run.name for batch in batches for run in batch.runs) == sorted(
        f"run {n}" for n in range(COUNT) if n != 17
    )
    (odd,) = [one for batch in batches for one in batch.unreadable]
    assert odd.id == UNTOLD
    assert f"({START + 17 * 3_600_000})" in odd.reason
    assert workspace.requests - before < 120
    newest = [run.name for run in workspace.in_order(experiments, Selection(), NEWEST_FIRST, None)]
    assert newest == [f"run {n}" for n in reversed(range(COUNT)) if n != 17]
