"""`null` in the answers of a server: what may be absent is absent, and what must be there is one failed item."""

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.hostile_answers import changed
from support.hostile_server import OTHER_KINDS, RUNS, Fault, HostileServer

import runsync
from runsync.bundle.parts import MetricsWriter
from runsync.errors import WorkspaceUnreachable

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


REQUIRED: Mapping[str, tuple[str, list[tuple[str | int, ...]]]] = {
    "id of a run": ("runs/search$", [("runs", 0, "info", "run_id"), ("runs", 0, "info", "run_uuid")]),
    "experiment of a run": ("runs/search$", [("runs", 0, "info", "experiment_id")]),
    "info of a run": ("runs/search$", [("runs", 0, "info")]),
    "key of a param": ("runs/search$", [("runs", 0, "data", "params", 0, "key")]),
    "value of a metric": ("runs/search$", [("runs", 0, "data", "metrics", 0, "value")]),
    "name of a dataset": ("runs/search$", [("runs", 0, "inputs", "dataset_inputs", 0, "dataset", "name")]),
    "name of an experiment": ("experiments/search$", [("experiments", 0, "name")]),
    "id of an experiment": ("experiments/search$", [("experiments", 0, "experiment_id")]),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_field_that_must_be_there_and_is_null_is_one_failed_item(
    name: str, server: HostileServer, tmp_path: Path
) -> None:
    where, paths = REQUIRED[name]

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


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("metrics", 0, "value"), "“metrics.loss” has no value"),
        (("metrics", 0, "key"), "“metrics” has a key that is missing or not a string"),
        (("metrics", 0), "“metrics” is not a list of objects"),
        (("params", 0), "“params” is not a list of keys and values"),
        (("tags", 0, "key"), "“tags” has a key that is not a string"),
    ],
)
def test_what_is_null_is_named(path: tuple[str | int, ...], told: str, server: HostileServer, tmp_path: Path) -> None:
    fault = Fault("value", "runs/search$", changed(with_null("runs", 0, "data", *path)))
    (failed,) = exported(server, fault, tmp_path / "bundle").failed
    assert failed["error"] == f"unexpected answer from the server: {told}"


def test_a_point_without_a_value_names_its_metric(server: HostileServer, tmp_path: Path) -> None:
    done = exported(server, Fault("points", "get-history", changed(with_null("metrics", 0, "value"))), tmp_path / "b")
    assert done.failed
    assert all("“metrics.loss” has an invalid point" in one["error"] for one in done.failed)


@pytest.mark.parametrize("chosen", [(), ("1",)])
def test_a_tag_of_an_experiment_without_a_key_is_lost_alone(
    chosen: tuple[str, ...], server: HostileServer, tmp_path: Path
) -> None:
    def change(document: dict[str, Any]) -> None:
        for experiment in document["experiments"]:
            if experiment["experiment_id"] == "1":
                experiment["tags"] = [{"key": None, "value": "x"}, {"key": "team", "value": "vision"}]

    server.meet(Fault("tag", "experiments/search$", changed(change)))
    selection = runsync.Selection(experiments=chosen)
    done = runsync.export(server.url, tmp_path / "bundle", selection=selection, accept=OTHER_KINDS)
    server.meet(None)
    assert (done.stopped, done.exit_code, done.runs.created) == ("", 3, len(RUNS))
    assert [(one["kind"], one["id"]) for one in done.failed] == [("tag of experiment", "1")]
    assert runsync.show_experiment(str(tmp_path / "bundle"), "1").experiment.tags == {"team": "vision"}


@pytest.mark.parametrize("name", ["runs", "experiments"])
def test_a_null_in_a_list_is_one_failed_item(name: str, server: HostileServer, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        if document.get(name):
            document[name].insert(1, None)

    done = exported(server, Fault("null", f"{name}/search$", changed(change)), tmp_path / "bundle")
    assert (done.stopped, done.exit_code, done.runs.created) == ("", 3, len(RUNS))
    assert [(one["kind"], one["id"]) for one in done.failed] == [(name[:-1], "?")]


def test_an_export_that_stops_lets_go_of_its_metrics_part(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the Parquet library would end it later, and tell of its failure on stderr."""
    add, unraisable = MetricsWriter.add, list[object]()

    def interrupted(writer: MetricsWriter, run_id: str, history: Any) -> int:
        add(writer, run_id, history)
        raise WorkspaceUnreachable("gone")

    monkeypatch.setattr(MetricsWriter, "add", interrupted)
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with suppress(WorkspaceUnreachable):
        assert runsync.export(server.url, tmp_path / "bundle").stopped
    gc.collect()
    assert unraisable == []
