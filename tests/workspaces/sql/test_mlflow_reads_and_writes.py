"""What MLflow itself wrote is read as it is, and what is written here MLflow reads."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from support.databases import KINDS, Databases, Fresh

from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, ModelLink, Run
from runsync.workspaces.direct.store import Arrival, DirectStore, Query
from runsync.workspaces.sql.store import SqlStore

RUN_COLUMNS = (
    "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version,"
    " lifecycle_stage, artifact_uri, experiment_id, deleted_time"
)
Open = Callable[[str], SqlStore]


def as_mlflow_tells(store: DirectStore) -> dict[str, Any]:
    """All of a store in the shape of the script that asks MLflow's own client."""
    store.refresh()
    experiments = {}
    runs = {}
    for experiment in store.experiments():
        experiments[experiment.experiment_id] = {
            name: getattr(experiment, name)
            for name in ("name", "lifecycle_stage", "artifact_location", "creation_time", "last_update_time")
        } | {"tags": dict(experiment.tags)}
    for batch in store.batches(Query(tuple(experiments))):
        for run in batch.runs:
            runs[run.run_id] = one_run(store, run)
    return {"experiments": experiments, "runs": runs}


def one_run(store: DirectStore, run: Run) -> dict[str, Any]:
    histories: dict[str, list[Any]] = {}
    with store.histories([run.run_id]) as opened:
        for batch in opened.of(run.run_id):
            for row in batch.to_pylist():
                histories.setdefault(row["key"], []).append([repr(row["value"]), row["timestamp"], row["step"]])
    names = ("experiment_id", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri")
    return {name: getattr(run, name) for name in names} | {
        "params": dict(run.params),
        "tags": dict(run.tags),
        "latest": sorted([m.key, repr(m.value), m.timestamp, m.step] for m in run.latest_metrics),
        "history": histories,
        "datasets": sorted(
            (
                [d.name, d.digest, d.source_type, d.source, d.schema, d.profile, dict(d.tags)]
                for d in run.dataset_inputs
            ),
            key=lambda one: one[:2],
        ),
        "model_inputs": sorted(link.model_id for link in run.model_inputs),
        "model_outputs": sorted([link.model_id, link.step] for link in run.model_outputs),
    }


@pytest.mark.parametrize(
    ("kind", "release"),
    [
        *((kind, "3") for kind in KINDS),
        *(("sqlite", "2"), ("mysql", "2")),
        *(pytest.param(kind, "1", marks=pytest.mark.older) for kind in ("sqlite", "postgres")),
    ],
)
def test_what_mlflow_wrote_is_read_exactly(databases: Databases, opened: Open, kind: str, release: str) -> None:
    database = databases.fresh(kind, release)
    filled = database.script("fill")
    told = database.script("read")
    store = opened(database.url)
    found = as_mlflow_tells(store)
    assert found == told
    assert set(filled["runs"]) == set(found["runs"])
    deleted = [
        run for batch in store.batches(Query(tuple(found["experiments"]), state="deleted")) for run in batch.runs
    ]
    assert [run.run_id for run in deleted] == [filled["runs"][2]]
    assert deleted[0].deleted_time is not None


@pytest.mark.parametrize(
    ("kind", "release"), [*((kind, "3") for kind in KINDS), pytest.param("sqlite", "2", marks=pytest.mark.slow)]
)
def test_what_is_written_here_mlflow_reads(databases: Databases, opened: Open, kind: str, release: str) -> None:
    database = databases.fresh(kind, release)
    store = opened(database.url)
    location = "s3://bucket/{experiment_id}"
    first = store.create_experiment(
        Experiment("0", "Default", "active", location, 1_600_000_000_001, 1_600_000_000_002, {"team": "vision 😀"})
    )
    gone = store.create_experiment(Experiment("44", "gone", "deleted", location, 1, 2))
    plain = Run("f" * 32, first, "plain", "bob", "RUNNING", 1_700_000_000_000, None, artifact_uri="s3://bucket/0/f")
    rich = Run(
        *("a" * 32, first, "rich", "ada", "FAILED", 1_700_000_000_001, 1_700_000_000_999),
        artifact_uri="s3://bucket/0/" + "a" * 32 + "/artifacts",
        params={"lr": "0.1", "näme": "välue 😀", "empty": ""},
        tags={"mlflow.note.content": "a\nb", "mlflow.runName": "rich"},
        dataset_inputs=(
            DatasetInput("train", "d1", "local", "{}", "[1]", "{}", {"mlflow.data.context": "training"}),
            DatasetInput("train", "d2", "local", "{}", "[1]", "{}"),
        ),
        model_inputs=(ModelLink("m-" + "1" * 32),) if release == "3" else (),
        model_outputs=(ModelLink("m-" + "2" * 32, 5),) if release == "3" else (),
    )
    again = dataclasses.replace(plain, run_id="b" * 32, dataset_inputs=rich.dataset_inputs[:1])
    deleted = Run(
        *("d" * 32, gone, "deleted", "ada", "FINISHED", 1, 2, "deleted"),
        deleted_time=77,
        artifact_uri="s3://bucket/44/d",
    )
    points = [
        points_of_key("loss", [0, 1, 2], [10, 11, 12], [0.1, math.nan, 1 / 3]),
        points_of_key("odd/näme 1", [-5], [1], [math.inf]),
    ]
    assert store.write_runs([Arrival(rich, True, points), *(Arrival(r, True) for r in (plain, again, deleted))]) == {}
    told = database.script("read")
    assert told == as_mlflow_tells(store)
    assert set(told["runs"]) == {rich.run_id, plain.run_id, again.run_id, deleted.run_id}
    assert told["experiments"]["0"]["name"] == "Default"
    found = told["runs"][rich.run_id]
    assert found["history"]["loss"] == [["0.1", 10, 0], ["nan", 11, 1], ["0.3333333333333333", 12, 2]]
    assert [one[:2] for one in found["datasets"]] == [["train", "d1"], ["train", "d2"]]
    assert database.execute("SELECT count(*) FROM datasets")[0][0] == 2

    # And MLflow goes on where this ended.
    filled = database.script("fill")
    assert int(filled["first"]) > 44
    assert as_mlflow_tells(store) == database.script("read")


def test_rows_are_as_mlflow_makes_them(database: Fresh, opened: Open) -> None:
    filled = database.script("fill")
    store = opened(database.url)
    (by_mlflow,) = [
        run for batch in store.batches(Query((filled["first"],), (filled["runs"][0],))) for run in batch.runs
    ]
    copy = dataclasses.replace(by_mlflow, run_id="c" * 32)
    with store.histories([by_mlflow.run_id]) as histories:
        points = list(histories.of(by_mlflow.run_id))
    assert store.write_runs([Arrival(copy, True, points)]) == {}
    for table in ("runs", "params", "tags", "latest_metrics", "metrics"):
        columns = RUN_COLUMNS if table == "runs" else "*"
        rows = [
            sorted(
                tuple(str(value) for value in row if value not in {by_mlflow.run_id, copy.run_id})
                for row in database.execute(f"SELECT {columns} FROM {table} WHERE run_uuid = ?", run_id)
            )
            for run_id in (by_mlflow.run_id, copy.run_id)
        ]
        assert rows[0] == rows[1]
    edges = "SELECT source_id, source_type, destination_type, step FROM inputs WHERE destination_id = ?"
    assert database.execute(edges, by_mlflow.run_id) == database.execute(edges, copy.run_id)


def test_an_experiment_called_default_does_not_keep_mlflow_from_opening_the_database(
    databases: Databases, opened: Open
) -> None:
    database = databases.fresh("sqlite")
    default = Experiment("7", "Default", artifact_location="/there/{experiment_id}")
    made = opened(database.url).create_experiment(default)
    told = database.script("read")["experiments"]
    assert {id: (e["name"], e["artifact_location"]) for id, e in told.items()} == {made: ("Default", "/there/0")}
