"""Which databases are read, which are written, and what is said of the others."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support.databases import Databases, Fresh, run_script

from runsync.errors import AccessDenied, WorkspaceUnreachable, WrongUsage
from runsync.kinds.assessments import Assessment
from runsync.kinds.logged_models import LOGGED_MODELS, LoggedModel, ModelMetric
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.spans import Span
from runsync.kinds.traces import TRACES, Trace
from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, Run
from runsync.workspaces.direct.models import Write
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.direct.traces import StoredTrace, TraceWrite
from runsync.workspaces.sql import schema
from runsync.workspaces.sql.store import SqlStore, open_store

pytestmark = pytest.mark.long

Open = Callable[[str], SqlStore]


ALL = [*schema.OLDER, *schema.WRITABLE]
SOME = [*schema.OLDER[:: len(schema.OLDER) - 1], *schema.WRITABLE[::8], schema.WRITABLE[-1]]


@pytest.mark.parametrize(
    "revisions", [pytest.param(SOME, id="some"), pytest.param(ALL, id="all", marks=pytest.mark.slow)]
)
def test_every_revision_since_mlflow_1_30_is_read_and_each_known_one_since_2_22_is_written(
    revisions: list[str], tmp_path: Path, opened: Open
) -> None:
    run_script(executable("3"), "stages", str(tmp_path), *revisions)
    points = [points_of_key("loss", [1, 2], [1, 2], [0.5, 0.25])]
    for revision in revisions:
        store = opened(f"sqlite:///{tmp_path / revision}.db")
        assert store.place.version == revision
        assert store.experiments() == []
        assert store.left_behind([]) == []
        if revision in schema.OLDER:
            with pytest.raises(WrongUsage, match="mlflow db upgrade"):
                store.check_writable()
            continue
        store.check_writable()
        experiment_id = store.create_experiment(Experiment("9", "vision", artifact_location="s3://b/9"))
        used = DatasetInput("train", "d1", "local", "{}", "[]", "{}", {"context": "training"})
        run = Run("a" * 32, experiment_id, "one", dataset_inputs=(used,), tags={"mlflow.runName": "one"})
        assert store.write_runs([Arrival(run, True, points)]) == {}
        store.refresh()
        (found,) = [run for batch in store.batches(Query(("9",))) for run in batch.runs]
        assert found.dataset_inputs == (used,)
        assert [metric.value for metric in found.latest_metrics] == [0.25]
        written_and_read(store, experiment_id, run.run_id)
        traces_are_written_and_read(store, experiment_id, run.run_id)


def written_and_read(store: SqlStore, experiment_id: str, run_id: str) -> None:
    """Models of each kind that a schema has room for."""
    models = store.models
    assert (LOGGED_MODELS.name in models.kinds) == (store.place.version != schema.WRITABLE[0])
    registered = RegisteredModel("churn", "who leaves", {"team": "growth"}, 1, 2, 3)
    version = ModelVersion("churn", 2, "s3://b/net", tags={"n": "x" * 3000}, run_id=run_id, created_at=5, updated_at=6)
    alias = ModelAlias("churn", "champion", 2)
    point = ModelMetric("loss", 0.5, 1, 1, run_id)
    told: dict[str, Any] = {
        "params": {"depth": "3"},
        "tags": {"t": "v"},
        "metrics": (point,),
        "created_at": 7,
        "updated_at": 8,
    }
    logged = LoggedModel(f"m-{run_id}", experiment_id, "net", source_run_id=run_id, **told)
    models.write_registered_models([Write(registered)])
    models.write_model_versions([Write(version, version.source)])
    models.write_model_aliases([alias])
    if LOGGED_MODELS.name in models.kinds:
        models.write_logged_models([Write(logged, "s3://b/net")])
        assert [one.item for one in models.logged_models([experiment_id])] == [logged]
    models.refresh()
    assert list(models.registered_models()) == [registered]
    assert [one.item for one in models.model_versions()] == [models.fitted(version).item]
    assert list(models.model_aliases()) == [alias]
    for kind, key in ((MODEL_ALIASES, alias.key), (MODEL_VERSIONS, version.key), (REGISTERED_MODELS, registered.key)):
        models.delete(kind.name, key)
    models.refresh()
    assert list(models.registered_models()) == []


def traces_are_written_and_read(store: SqlStore, experiment_id: str, run_id: str) -> None:
    """One with all that a trace may have, as far as a schema has room for it."""
    usage, cost = '{"input_tokens": 3, "output_tokens": 4}', '{"total_cost": 0.5}'
    attributes = {"mlflow.traceRequestId": "tr-1", "mlflow.spanType": "LLM", "mlflow.llm.cost": {"total_cost": 0.5}}
    spans = [
        Span("a" * 16, "b" * 32, "root", start=5, end=9, status="OK", attributes={**attributes, "x": [1, None, "é"]}),
        Span("c" * 16, "b" * 32, "leaf", "a" * 16, start=6, attributes={"mlflow.traceRequestId": "tr-1"}),
    ]
    trace = Trace(
        "tr-1",
        experiment_id,
        7,
        8,
        "OK",
        "client",
        "question",
        "answer",
        {"mlflow.trace.session": "s", "mlflow.trace.tokenUsage": usage, "mlflow.trace.cost": cost, "own": "1"},
        {"mlflow.traceName": "chain", "team": "ops"},
        (Assessment("a-1", "quality", value="yes", source_type="HUMAN", created_at=1, updated_at=2),),
        (run_id,),
        ("greeting/1",),
    ).with_spans(spans)
    traces = store.traces
    assert traces.has_room
    fitted = traces.fitted(trace)
    lost = {problem.kind for problem in fitted.left_out}
    assert ("assessment" in lost, "field" in lost) == ("assessments" not in tables(store), not has_previews(store))
    for there in (None, StoredTrace(fitted.item, "s3://b/9/traces/tr-1/artifacts")):
        traces.write([TraceWrite(fitted.item, "s3://b/9/traces/tr-1/artifacts", there)])
        traces.refresh()
        (found,) = traces.traces([experiment_id])
        assert not list(TRACES.lacks(replace(fitted.item, spans=None, span_count=None), found.item))
    if traces.keeps_spans:
        ((_, read),) = traces.spans(["tr-1"])
        assert read.spans == trace.spans
    traces.delete(["tr-1"])
    traces.refresh()
    assert list(traces.traces([experiment_id])) == []


def tables(store: SqlStore) -> frozenset[str]:
    return store._schema.names


def has_previews(store: SqlStore) -> bool:
    return "request_preview" in store._schema.tables["trace_info"].c


def test_a_newer_revision_is_read_but_not_written(databases: Databases, opened: Open) -> None:
    database = databases.fresh("sqlite")
    database.script("fill")
    database.execute("UPDATE alembic_version SET version_num = 'cafe00000000'")
    store = opened(database.url)
    assert len(store.experiments()) == 3
    with pytest.raises(WrongUsage, match=r"cafe00000000.*newer runsync"):
        store.check_writable()


def test_a_column_that_is_not_known_and_must_be_given_keeps_a_database_from_being_written(
    databases: Databases, opened: Open
) -> None:
    database = databases.fresh("sqlite")
    with sqlite3.connect(str(database.path)) as connection:
        connection.execute("DROP TABLE input_tags")
        connection.execute("CREATE TABLE input_tags (input_uuid TEXT, name TEXT, value TEXT, owner TEXT NOT NULL)")
    with pytest.raises(WrongUsage, match=r"input_tags\.owner"):
        opened(database.url).check_writable()


@pytest.mark.older
def test_an_older_database_gets_told_how_to_upgrade(databases: Databases, opened: Open) -> None:
    database = databases.fresh("sqlite", "1")
    with pytest.raises(WrongUsage, match="mlflow db upgrade sqlite:///"):
        opened(database.url).check_writable()


def test_options_that_the_driver_does_not_know_are_told() -> None:
    with pytest.raises(WrongUsage, match="behind"):
        open_store("mysql://root@127.0.0.1:1/db?bogus=1")


def test_a_file_that_is_no_database_is_told_from_one(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but some text that is long enough to be looked at" * 99)
    with pytest.raises(WorkspaceUnreachable, match="is no SQLite database"):
        open_store(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_database_of_something_else_is_told_from_mlflow(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    with pytest.raises(WrongUsage, match="no database of MLflow"):
        open_store(f"sqlite:///{tmp_path / 'x.db'}")


def test_rights_that_are_missing_are_found_before_anything_is_written(databases: Databases, opened: Open) -> None:
    database = databases.fresh("postgres")
    database.execute("CREATE ROLE runsync_reader LOGIN") if not database.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = 'runsync_reader'"
    ) else None
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO runsync_reader")
    store = opened(database.url.replace("postgres@", "runsync_reader@"))
    assert store.experiments() == []
    with pytest.raises(AccessDenied, match="permission denied"):
        store.check_writable()
    opened(database.url).check_writable()


@pytest.mark.usefixtures("aside_at_once")
def test_only_one_workspace_of_mlflow_is_seen_and_written(database: Fresh, opened: Open) -> None:
    here, there = opened(database.url), opened(f"{database.url}?workspace=team-a")
    here.create_experiment(Experiment("5", "same name"))
    made = there.create_experiment(Experiment("5", "same name"))
    assert made != "5"
    for store, expected in ((here, ["5"]), (there, [made])):
        store.refresh()
        assert [e.experiment_id for e in store.experiments()] == expected
    assert there.write_runs([Arrival(Run("a" * 32, "5"), True)]) == {"a" * 32: "there is no experiment 5: run it again"}
    assert there.write_runs([Arrival(Run("a" * 32, made), True)]) == {}
    here.refresh()
    assert list(here.batches(Query(("5", made)))) == []
    assert here.run_counts() == {"5": 0}
    assert there.place.address.endswith("?workspace=team-a")
