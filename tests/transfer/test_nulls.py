"""`null` in the answers of a server: what may be absent is absent, and what must be there is one failed item."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hostile_answers import changed
from support.hostile_server import OTHER_KINDS, RUNS, Fault, HostileServer

import runsync

OPTIONAL = frozenset(
    (
        *("tags", "params", "metrics", "inputs", "outputs", "dataset_inputs", "model_inputs", "model_outputs", "data"),
        *("next_page_token", "lifecycle_stage", "status", "start_time", "end_time", "creation_time"),
        *("last_update_time", "artifact_location", "user_id", "run_name", "run_uuid", "digest", "source_type"),
        *("source", "schema", "profile", "files", "experiments_enabled", "workspaces_enabled", "store_type", "models"),
        *("registered_models", "traces", "model_versions", "runs_deleted"),
    )
)


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


def nulled(document: Any, names: frozenset[str]) -> None:
    """Null wherever one of these names stands."""
    for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        nulled(each, names)
    if isinstance(document, dict):
        document.update((name, None) for name in names.intersection(document))


def with_null(*path: str | int) -> Callable[[dict[str, Any]], object]:
    """Null at one place, where that is there."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place.get(step) if isinstance(step, str) else (place or [None])[step]
            if not place:
                return
        place[path[-1]] = None

    return change


def exported(server: HostileServer, fault: Fault, folder: Path) -> runsync.TransferReport:
    server.meet(fault)
    try:
        return runsync.export(server.url, folder, accept=OTHER_KINDS)
    finally:
        server.meet(None)


def test_every_field_that_may_be_absent_may_be_null(server: HostileServer, tmp_path: Path) -> None:
    done = exported(server, Fault("null", ".", changed(lambda document: nulled(document, OPTIONAL))), tmp_path / "all")
    assert (done.stopped, done.failed, done.problems, done.exit_code) == ("", [], [], 0)
    assert (done.runs.created, done.experiments.created) == (len(RUNS), 2)


def test_points_of_a_history_may_lack_their_step_and_time(server: HostileServer, tmp_path: Path) -> None:
    lacking = frozenset({"step", "timestamp"})
    fault = Fault("history", "get-history", changed(lambda document: nulled(document, lacking)))
    done = exported(server, fault, tmp_path / "bundle")
    assert (done.stopped, done.failed, done.exit_code, done.runs.created) == ("", [], 0, len(RUNS))


VALUES = {
    "value of a param": ("data", "params", 0, "value"),
    "value of a tag": ("data", "tags", 1, "value"),
    "step of a metric": ("data", "metrics", 0, "step"),
    "time of a metric": ("data", "metrics", 0, "timestamp"),
    "step of an output": ("outputs", "model_outputs", 0, "step"),
    "tags of an input": ("inputs", "dataset_inputs", 0, "tags"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_may_be_absent_may_be_null(name: str, server: HostileServer, tmp_path: Path) -> None:
    fault = Fault(name, "runs/search$", changed(with_null("runs", 0, *VALUES[name])))
    done = exported(server, fault, tmp_path / "bundle")
    assert (done.stopped, done.failed, done.exit_code, done.runs.created) == ("", [], 0, len(RUNS))


REQUIRED = {
    "id of a run": ("runs/search$", ("runs", 0, "info", "run_id"), ("runs", 0, "info", "run_uuid")),
    "experiment of a run": ("runs/search$", ("runs", 0, "info", "experiment_id")),
    "info of a run": ("runs/search$", ("runs", 0, "info")),
    "key of a param": ("runs/search$", ("runs", 0, "data", "params", 0, "key")),
    "value of a metric": ("runs/search$", ("runs", 0, "data", "metrics", 0, "value")),
    "name of a dataset": ("runs/search$", ("runs", 0, "inputs", "dataset_inputs", 0, "dataset", "name")),
    "name of an experiment": ("experiments/search$", ("experiments", 0, "name")),
    "id of an experiment": ("experiments/search$", ("experiments", 0, "experiment_id")),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_field_that_must_be_there_and_is_null_is_one_failed_item(
    name: str, server: HostileServer, tmp_path: Path
) -> None:
    where, *paths = REQUIRED[name]

    def change(document: dict[str, Any]) -> None:
        for path in paths:
            with_null(*path)(document)

    done = exported(server, Fault(name, where, changed(change)), tmp_path / "bundle")
    assert (done.stopped, done.exit_code) == ("", 3)
    (failed,) = done.failed
    kind = "experiment" if name.endswith("an experiment") else "run"
    assert failed["kind"] == kind
    assert done.runs.created == len(RUNS) - (kind == "run")


def test_a_file_without_a_path_is_one_failed_item(server: HostileServer, tmp_path: Path) -> None:
    done = exported(
        server, Fault("path", "artifacts/list", changed(with_null("files", 0, "path"))), tmp_path / "bundle"
    )
    assert (done.stopped, done.exit_code, done.runs.created) == ("", 3, len(RUNS))
    assert {(one["kind"], one["name"]) for one in done.problems} == {("artifact", "?")}
    assert done.artifacts > 0
