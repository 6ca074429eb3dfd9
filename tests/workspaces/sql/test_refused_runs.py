"""What a database cannot hold is refused by name, and the runs beside it are in."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from support.databases import Databases, Fresh

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, ModelLink, Run
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]
PLAIN = Run("b" * 32, "", "bad one", status="FINISHED", start_time=1)


def written_beside(store: SqlStore, bad: Run, points: Any = ()) -> dict[str, str]:
    """Writes it between others, which must be in; what was said of it."""
    experiment_id = store.create_experiment(Experiment("", "vision"))
    good = [Run(letter * 32, experiment_id, letter, start_time=1) for letter in "acd"]
    bad = dataclasses.replace(bad, experiment_id=experiment_id)
    arrivals = [Arrival(run, True, [points_of_key("x", [1], [1], [1.0])]) for run in good]
    refused: dict[str, str] = dict(store.write_runs([*arrivals[:1], Arrival(bad, True, points), *arrivals[1:]]))
    store.refresh()
    found = [run.run_id for batch in store.batches(Query((experiment_id,))) for run in batch.runs]
    assert found == sorted([run.run_id for run in good] + ([] if refused else [bad.run_id]))
    return refused


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"artifact_uri": "s3://b/" + "x" * 200}, "its artifact URI has 207 characters, and this database takes 200"),
        ({"tags": {"k" * 251: "v"}}, f"tag “{'k' * 251}”: its name has 251 characters, and this database takes 250"),
        ({"params": {"lr": "x" * 8001}}, "param “lr”: it has 8001 characters, and this database takes 8000"),
        ({"dataset_inputs": (DatasetInput("n", "d" * 40, "t", "s"),)}, "input “n”: its digest has 40 characters"),
        ({"model_outputs": (ModelLink("m" * 37),)}, f"output “{'m' * 37}”: its id has 37 characters"),
        ({"name": "n" * 251}, "field “run_name”: it has 251 characters, and this database takes 250"),
    ],
)
def test_a_text_that_is_too_long(databases: Databases, opened: Open, kind: str, bad: Any, said: str) -> None:
    refused = written_beside(opened(databases.fresh(kind).url), dataclasses.replace(PLAIN, **bad))
    assert refused[PLAIN.run_id].startswith(said)


def test_sqlite_holds_texts_of_any_length_and_mlflow_reads_them(databases: Databases, opened: Open) -> None:
    database = databases.fresh("sqlite")
    long = dataclasses.replace(PLAIN, params={"lr": "x" * 9000}, artifact_uri="s3://b/" + "x" * 300)
    assert written_beside(opened(database.url), long) == {}
    assert database.script("read")["runs"][PLAIN.run_id]["params"] == {"lr": "x" * 9000}


def test_a_nul_character(databases: Databases, opened: Open) -> None:
    bad = dataclasses.replace(PLAIN, tags={"note": "a\0b"})
    refused = written_beside(opened(databases.fresh("postgres").url), bad)
    assert refused == {PLAIN.run_id: "tag “note”: it holds a NUL character, which PostgreSQL does not take"}


def test_half_a_character(database: Fresh, opened: Open) -> None:
    refused = written_beside(opened(database.url), dataclasses.replace(PLAIN, tags={"note": "a\ud800"}))
    assert refused[PLAIN.run_id].startswith("tag “note”: it has characters that ")


def test_a_time_out_of_range(database: Fresh, opened: Open) -> None:
    refused = written_beside(opened(database.url), dataclasses.replace(PLAIN, start_time=2**63))
    assert set(refused) == {PLAIN.run_id}


def test_a_status_that_mlflow_does_not_know(database: Fresh, opened: Open) -> None:
    refused = written_beside(opened(database.url), dataclasses.replace(PLAIN, status="ODD"))
    assert set(refused) == {PLAIN.run_id}


def test_the_key_of_a_metric_that_is_too_long(databases: Databases, opened: Open) -> None:
    points = [points_of_key("k" * 251, [1], [1], [1.0])]
    refused = written_beside(opened(databases.fresh("postgres").url), PLAIN, points)
    assert "its name has 251 characters" in refused[PLAIN.run_id]


def test_keys_that_mysql_cannot_tell_apart(databases: Databases, opened: Open) -> None:
    bad = dataclasses.replace(PLAIN, params={"lr": "1", "LR": "2"})
    refused = written_beside(opened(databases.fresh("mysql").url), bad)
    assert refused == {PLAIN.run_id: "param “lr”: to this database it is the same as another one of this run"}


def test_metrics_that_mysql_cannot_tell_apart(databases: Databases, opened: Open) -> None:
    points = [points_of_key(key, [1, 2], [1, 2], [1.0, 2.0]) for key in ("loss", "Loss")]
    refused = written_beside(opened(databases.fresh("mysql").url), PLAIN, points)
    why = "to this database it is the same as another one of this run"
    assert refused[PLAIN.run_id] in {f"metric “Loss”: {why}", f"metric “loss”: {why}"}


def test_datasets_that_mysql_cannot_tell_apart(databases: Databases, opened: Open) -> None:
    bad = dataclasses.replace(
        PLAIN, dataset_inputs=(DatasetInput("a", "d", "t", "s"), DatasetInput("A", "d", "t", "s"))
    )
    refused = written_beside(opened(databases.fresh("mysql").url), bad)
    assert refused == {PLAIN.run_id: "input “a”: to this database it is the same as another dataset of its experiment"}


def test_a_character_that_an_old_mysql_table_does_not_take(databases: Databases, opened: Open) -> None:
    database = databases.fresh("mysql")
    database.execute("SET foreign_key_checks = 0")
    database.execute("ALTER TABLE tags MODIFY value VARCHAR(8000) CHARACTER SET utf8mb3")
    refused = written_beside(opened(database.url), dataclasses.replace(PLAIN, tags={"note": "😀"}))
    assert refused == {PLAIN.run_id: "tag “note”: it has characters that the encoding utf8mb3 does not have"}


def test_points_that_are_one_to_the_database_are_written_once(database: Fresh, opened: Open) -> None:
    points = [points_of_key("x", [1, 1, 1], [1, 1, 1], [0.0, -0.0, 0.0])]
    store = opened(database.url)
    assert written_beside(store, PLAIN, points) == {}
    assert database.execute("SELECT count(*) FROM metrics WHERE run_uuid = ?", PLAIN.run_id) == [(1,)]


def test_an_experiment_whose_name_is_too_long(databases: Databases, opened: Open) -> None:
    store = opened(databases.fresh("postgres").url)
    with pytest.raises(RequestRefused, match="its name has 257 characters, and this database takes 256"):
        store.create_experiment(Experiment("", "n" * 257))


@pytest.mark.parametrize(("kind", "is_kept"), [("sqlite", True), ("postgres", False), ("mysql", False)])
def test_an_id_of_a_file_store_is_kept_where_it_fits(
    databases: Databases, opened: Open, kind: str, is_kept: bool
) -> None:
    database = databases.fresh(kind)
    store = opened(database.url)
    made = store.create_experiment(
        Experiment("471711471711471711", "vision", artifact_location="s3://b/{experiment_id}")
    )
    assert (made == "471711471711471711") is is_kept
    told = database.script("read")["experiments"]
    assert told[made]["artifact_location"] == f"s3://b/{made}"
