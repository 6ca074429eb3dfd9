"""Traces in file stores of MLflow 3 and 2, between them and databases, as MLflow's own client tells them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner, executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.traces_client import client

from transfer.commands import export, import_, sync
from transfer.test_traces_on_databases import PLACES, own, traces

pytestmark = pytest.mark.server

OTHERS = ("--accept", "prompts")
OF_MLFLOW_2 = """
import json, mlflow, pathlib, sys
from mlflow.entities.trace_status import TraceStatus

mlflow.set_tracking_uri(sys.argv[1])
experiment_id = mlflow.create_experiment("old")
store = mlflow.MlflowClient()._tracking_client.store
info = store.start_trace(experiment_id, 1_700_000_000_000, {"mlflow.trace_schema.version": "2"}, {"team": "ops"})
request_id = info.request_id
store.end_trace(request_id, 1_700_000_000_009, TraceStatus.OK, {}, {"mlflow.traceName": "outer"})
ids = {"span_id": "0x" + "a" * 16, "trace_id": "0x" + "b" * 32}
texts = {"mlflow.traceRequestId": request_id, "mlflow.spanInputs": {"q": "où ?"}, "depth": 3}
outer = {
    "name": "outer", "context": ids, "parent_id": None, "start_time": 1_700_000_000_000_000_001,
    "end_time": 1_700_000_000_009_000_002, "status_code": "OK", "status_message": "",
    "attributes": {key: json.dumps(value) for key, value in texts.items()},
    "events": [{"name": "tick", "timestamp": 1_700_000_000_001_000_000, "attributes": {"n": 1}}],
}
inner = {**outer, "name": "inner", "context": {**ids, "span_id": "0x" + "c" * 16}, "parent_id": ids["span_id"]}
folder = pathlib.Path(info.tags["mlflow.artifactLocation"].removeprefix("file://"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "traces.json").write_text(json.dumps({"spans": [outer, inner], "request": None, "response": None}))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, Any]]:
    """A file store that MLflow's client filled, the ids of what it made, and all that the client tells."""
    folder = tmp_path_factory.mktemp("files") / "mlruns"
    ids = client("fill", folder.as_uri(), "-")
    return folder, ids, read(folder)


def read(folder: Path) -> dict[str, Any]:
    """What the client tells, but for where spans and attachments lie."""
    told: dict[str, Any] = client("read", folder.as_uri())
    for trace in told.values():
        trace["tags"] = {key: value for key, value in trace["tags"].items() if key not in PLACES}
    return told


def test_a_file_store_has_all_traces_of_another_one(
    filled: tuple[Path, dict[str, str], dict[str, Any]], runsync: Runner, tmp_path: Path
) -> None:
    folder, ids, told = filled
    target = tmp_path / "copy" / "mlruns"
    assert traces(sync(runsync, str(folder), str(target), "--init", *OTHERS)) == {"created": len(told)}
    assert read(target) == told
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    assert traces(sync(runsync, str(folder), str(target), *OTHERS)) == {"unchanged": len(told)}
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()} == before
    client("change", target.as_uri(), ids["rich"])
    changed = client("read", target.as_uri())[ids["rich"]]
    again = tmp_path / "again"
    sync(runsync, str(target), str(again), "--init", *OTHERS)
    assert own(client("read", again.as_uri())[ids["rich"]]) == own(changed)


def test_traces_go_from_files_into_a_database_and_through_a_bundle_back(
    filled: tuple[Path, dict[str, str], dict[str, Any]],
    databases: Databases,
    runsync: Runner,
    bundle: Path,
    tmp_path: Path,
) -> None:
    folder, _, told = filled
    database, back = databases.fresh("sqlite"), tmp_path / "back"
    place = ("--artifacts", tmp_path / "artifacts")
    assert traces(sync(runsync, str(folder), database.url, *place, *OTHERS)) == {"created": len(told)}
    assert database.execute("SELECT count(*) FROM spans") == [(sum(len(t["spans"]) for t in with_spans(told)),)]
    assert traces(export(runsync, database.url, bundle, *place, *OTHERS)) == {"created": len(told)}
    assert traces(import_(runsync, bundle, str(back), "--init", *OTHERS)) == {"created": len(told)}
    assert read(back) == told
    assert traces(export(runsync, database.url, bundle, *place, *OTHERS)) == {"unchanged": len(told)}
    assert traces(import_(runsync, bundle, str(back), *OTHERS)) == {"unchanged": len(told)}


def with_spans(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for trace in told.values() if isinstance(trace["spans"], list)]


@pytest.mark.slow
def test_traces_of_mlflow_2_are_read(databases: Databases, runsync: Runner, tmp_path: Path) -> None:
    script = tmp_path / "old.py"
    script.write_text(OF_MLFLOW_2)
    store = tmp_path / "mlruns"
    done = forks.run(executable("2"), [str(script), store.as_uri()], clean_environment() | forks.QUIET, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    database = databases.fresh("sqlite")
    told = sync(runsync, str(store), database.url, "--artifacts", tmp_path / "artifacts")
    assert traces(told) == {"created": 1}
    (trace,) = client("read", database.for_mlflow).values()
    assert {span["name"] for span in trace["spans"]} == {"outer", "inner"}
    outer = next(span for span in trace["spans"] if span["name"] == "outer")
    assert json.loads(outer["attributes"]["mlflow.spanInputs"]) == {"q": "où ?"}
    assert json.loads(outer["attributes"]["depth"]) == 3
    assert (trace["state"], trace["tags"]["mlflow.traceName"]) == ("OK", "outer")
