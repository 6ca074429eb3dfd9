"""What SQLite lets stand anywhere, text that is not UTF-8 and words for numbers: named, and all else is read."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from support import stores
from support.stores import empty_sqlite

import runsync
from runsync.model.experiment import Experiment
from runsync.model.lost_points import PointsLost, readable_points
from runsync.model.points import points_of_key
from runsync.model.run import Problem, Run
from runsync.model.selection import Selection
from runsync.transfer.find import find_run
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.sql import read_points
from runsync.workspaces.sql.store import SqlStore, open_store

Open = Callable[[str], SqlStore]
IDS = tuple(f"{number:032x}" for number in range(3))
BAD = "CAST(X'6361FF' AS TEXT)"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs with a param, a tag and points, in experiment 1."""
    file = tmp_path_factory.mktemp("whole") / "mlflow.db"
    store = open_store(empty_sqlite(file))
    home = store.create_experiment(Experiment("", "vision", tags={"team": "x"}))
    runs = [
        Run(id, home, f"run {id[-1]}", "ann", "FINISHED", 10, 20, params={"lr": "1"}, tags={"a": "b"}) for id in IDS
    ]
    points = [points_of_key(key, [1, 2], [1, 2], [0.5, 0.25]) for key in ("acc", "loss")]
    assert store.write_runs([Arrival(run, True, points) for run in runs]) == {}
    store.close()
    return file


@pytest.fixture
def filled(whole: Path, tmp_path: Path) -> str:
    """A copy of it."""
    return f"sqlite:///{shutil.copy(whole, tmp_path / 'mlflow.db')}"


def broken(url: str, *statements: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        for statement in statements:
            connection.execute(statement)


OF_RUN = f"WHERE run_uuid = '{IDS[1]}'"
PIECES = {
    "param": (f"UPDATE params SET value = {BAD} {OF_RUN}", ("param", "lr")),
    "key of a param": (f"UPDATE params SET key = {BAD} {OF_RUN}", ("param", "ca\\xff")),
    "tag": (f"UPDATE tags SET value = {BAD} {OF_RUN} AND key = 'a'", ("tag", "a")),
    "key of a tag": (f"UPDATE tags SET key = {BAD} {OF_RUN} AND key = 'a'", ("tag", "ca\\xff")),
    "name": (f"UPDATE runs SET name = {BAD} {OF_RUN}", ("field", "run_name")),
    "user": (f"UPDATE runs SET user_id = {BAD} {OF_RUN}", ("field", "user_id")),
    "artifact root": (f"UPDATE runs SET artifact_uri = {BAD} {OF_RUN}", ("field", "artifact_uri")),
    "status": (f"UPDATE runs SET status = 'WEIRD' {OF_RUN}", ("field", "status")),
    "status that is not UTF-8": (f"UPDATE runs SET status = {BAD} {OF_RUN}", ("field", "status")),
    "start": (f"UPDATE runs SET start_time = 'noon' {OF_RUN}", ("field", "start_time")),
    "end": (f"UPDATE runs SET end_time = 12.5 {OF_RUN}", ("field", "end_time")),
    "latest value": (f"UPDATE latest_metrics SET value = 'abc' {OF_RUN} AND key = 'loss'", ("metric", "loss")),
    "latest step": (f"UPDATE latest_metrics SET step = 'abc' {OF_RUN} AND key = 'loss'", ("metric", "loss")),
}


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_that_cannot_be_read_is_named_and_its_run_is_read(name: str, filled: str, opened: Open) -> None:
    statement, piece = PIECES[name]
    broken(filled, statement)
    (batch,) = opened(filled).batches(Query(("1",)))
    assert sorted(run.run_id for run in batch.runs) == sorted(IDS)
    assert batch.unreadable == ()
    assert [(p.kind, p.name) for p in batch.broken[IDS[1]]] == [piece]
    assert list(batch.broken) == [IDS[1]]


def test_a_name_and_the_tag_that_repeats_it_are_one_piece(filled: str, opened: Open) -> None:
    repeated = f"INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', {BAD}, '{IDS[1]}')"
    broken(filled, f"UPDATE runs SET name = {BAD} {OF_RUN}", repeated)
    (batch,) = opened(filled).batches(Query(("1",)))
    assert [(p.kind, p.name) for p in batch.broken[IDS[1]]] == [("field", "run_name")]


def test_a_metric_whose_name_is_no_utf_8_is_named_and_the_others_of_the_run_are_read(filled: str, opened: Open) -> None:
    broken(
        filled, *(f"UPDATE {table} SET key = {BAD} {OF_RUN} AND key = 'acc'" for table in ("metrics", "latest_metrics"))
    )
    store = opened(filled)
    (batch,) = store.batches(Query(("1",)))
    assert [(p.kind, p.name) for p in batch.broken[IDS[1]]] == [("metric", "ca\\xff")]
    with store.histories(IDS) as histories:
        keys = {id: {key for b in histories.of(id) for key in b["key"].to_pylist()} for id in IDS}
        counts = {id: sum(b.num_rows for b in histories.of(id)) for id in IDS}
    assert keys == {IDS[0]: {"acc", "loss"}, IDS[1]: {"loss"}, IDS[2]: {"acc", "loss"}}
    assert counts == {IDS[0]: 4, IDS[1]: 2, IDS[2]: 4}


@pytest.mark.parametrize("rows", [1, 3, read_points.ROWS])
def test_points_with_text_for_numbers_are_counted_and_the_others_are_read(
    rows: int, filled: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_points, "ROWS", rows)
    broken(filled, f"UPDATE metrics SET value = 'abc' {OF_RUN} AND key = 'acc' AND step = 1")
    broken(filled, f"UPDATE metrics SET timestamp = 'noon' {OF_RUN} AND key = 'loss'")
    noted: list[Problem] = []
    with opened(filled).histories(IDS) as histories:
        counts = {id: sum(b.num_rows for b in readable_points(histories.of(id), noted.append)) for id in IDS}
        (left,) = (row for b in readable_points(histories.of(IDS[1]), noted.append) for row in b.to_pylist())
        with pytest.raises(PointsLost, match="metric “acc”: 1 point of it has text"):
            list(histories.of(IDS[1]))
    assert counts == {IDS[0]: 4, IDS[1]: 1, IDS[2]: 4}
    assert (left["key"], left["step"], left["value"]) == ("acc", 2, 0.25)
    assert [(p.kind, p.name, p.reason) for p in noted[:2]] == [
        ("metric", "acc", "1 point of it has text where a number belongs"),
        ("metric", "loss", "2 points of it have text where a number belongs"),
    ]


def test_points_with_text_for_numbers_are_named_by_export_sync_and_verify(filled: str, tmp_path: Path) -> None:
    broken(filled, f"UPDATE metrics SET value = 'abc' {OF_RUN} AND key = 'acc' AND step = 1")
    target = empty_sqlite(tmp_path / "target.db")
    for _ in range(2):
        for done in (
            runsync.export(filled, tmp_path / "bundle", artifacts=False),
            runsync.sync(filled, target, artifacts=False),
        ):
            assert (done.stopped, done.exit_code, done.runs.failed) == ("", 3, 0)
            assert [(one["run_id"], one["kind"], one["name"]) for one in done.problems] == [(IDS[1], "metric", "acc")]
    for there in (target, str(tmp_path / "bundle")):
        differing = runsync.verify(filled, there, artifacts=False)
        assert (differing.exit_code, [one.field for one in differing.differences]) == (4, ["metrics.acc"])


def test_a_lifecycle_stage_that_is_no_utf_8_is_one_failed_run(filled: str, opened: Open) -> None:
    broken(filled, f"UPDATE runs SET lifecycle_stage = {BAD} {OF_RUN}")
    (batch,) = opened(filled).batches(Query(("1",)))
    assert sorted(run.run_id for run in batch.runs) == [IDS[0], IDS[2]]
    assert [one.id for one in batch.unreadable] == [IDS[1]]


def test_a_run_id_that_is_no_utf_8_is_one_failed_item_of_an_export(filled: str, tmp_path: Path) -> None:
    broken(filled, f"UPDATE runs SET run_uuid = {BAD} {OF_RUN}")
    done = runsync.export(filled, tmp_path / "bundle", artifacts=False)
    assert (done.stopped, done.exit_code, done.runs.created) == ("", 3, 2)
    assert [(one["kind"], one["id"], one["error"]) for one in done.failed] == [
        ("run", "ca\\xff", "its id: it holds text that is not UTF-8")
    ]
    copied = runsync.import_(tmp_path / "bundle", str(tmp_path / "mlruns"), artifacts=False)
    assert [(left.what, left.names) for left in copied.left_behind] == [("run", ("ca\\xff",))]
    listed = runsync.list_runs(filled)
    assert (len(listed.runs), listed.exit_code, [one.id for one in listed.unreadable]) == (2, 3, ["ca\\xff"])


@pytest.mark.parametrize(
    ("statement", "piece"),
    [
        (f"UPDATE experiment_tags SET value = {BAD}", "tag of experiment"),
        (f"UPDATE experiments SET name = {BAD} WHERE experiment_id = 1", "field of experiment"),
    ],
)
def test_a_broken_piece_of_an_experiment_is_named_and_its_runs_arrive(
    statement: str, piece: str, filled: str, tmp_path: Path
) -> None:
    broken(filled, statement)
    for _ in range(2):
        done = runsync.export(filled, tmp_path / "bundle", artifacts=False)
        assert (done.stopped, done.exit_code, done.runs.total, done.runs.failed) == ("", 3, 3, 0)
        assert [(one["kind"], one["id"]) for one in done.failed] == [(piece, "1")]
    assert runsync.check(tmp_path / "bundle").faults == []


def test_runs_without_an_experiment_are_looked_for_once_until_a_refresh(filled: str) -> None:
    broken(filled, f"UPDATE runs SET experiment_id = 77 WHERE run_uuid = '{IDS[0]}'")
    statements: list[str] = []
    event.listen(Engine, "before_cursor_execute", told := lambda *given: statements.append(given[2]))
    try:
        with stores.opened(filled) as source:
            for number in range(4):
                homes = source.experiments(Selection())
                assert [one.id for batch in source.batches(homes, Selection()) for one in batch.unreadable] == [IDS[0]]
                assert find_run(source, "run 1").run_id == IDS[1]
                assert sum("EXISTS" in statement for statement in statements) == number // 2 + 1
                if number == 1:
                    source.store.refresh()
    finally:
        event.remove(Engine, "before_cursor_execute", told)
