"""Traces between servers: all that MLflow's own client tells of them, by sync and by way of a bundle."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Pair, executable
from support.servers import MlflowServer
from support.traces_client import client

import runsync
from runsync.bundle.snapshot import open_snapshot
from runsync.kinds.traces import TRACES

pytestmark = pytest.mark.server

OWN = ("mlflow.artifactLocation", "mlflow.trace.spansLocation")
ACCEPT = ("prompts", "issues", "missing-pieces")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers of their own: ids of traces are global."""
    with (
        MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("one")) as one,
        MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("two")) as two,
    ):
        yield Pair(one, two)


@pytest.fixture(scope="module")
def ids(pair: Pair) -> dict[str, str]:
    filled: dict[str, str] = client("fill", pair.source.url, "-")
    return filled


@pytest.fixture(scope="module")
def synced(pair: Pair, ids: dict[str, str]) -> runsync.TransferReport:
    return runsync.sync(pair.source.url, pair.target.url, accept=ACCEPT)


def told(server: MlflowServer, renamed: dict[str, str] | None = None) -> dict[str, Any]:
    """What the client tells, with ids of the target put in place of those of the source."""
    text = json.dumps(client("read", server.url))
    for old, new in (renamed or {}).items():
        text = text.replace(old, new)
    found: dict[str, Any] = json.loads(text)
    for one in found.values():
        one["tags"] = {key: value for key, value in one["tags"].items() if key not in OWN}
        one["trace_metadata"].pop("mlflow.trace.infoFinalized", None)
        one.pop("trace_location")
    return found


def new_ids(report: runsync.TransferReport, ids: dict[str, str]) -> dict[str, str]:
    """Runs, logged models and issues have new ids in the target."""
    made = {ids[one]: report.id_map[kind][ids[one]] for one, kind in (("run", "runs"), ("model", "logged-models"))}
    return made | report.id_map["issues"]


def test_a_sync_brings_all_that_the_client_tells(
    pair: Pair, ids: dict[str, str], synced: runsync.TransferReport
) -> None:
    renamed = new_ids(synced, ids)
    here, there = told(pair.source, renamed), told(pair.target)
    assert here.keys() == there.keys()
    assert len(here) == 6
    differing = {
        f"{id}.{name}": (wanted[name], there[id].get(name))
        for id, wanted in here.items()
        for name in wanted
        if wanted[name] != there[id].get(name)
    }
    assert differing == {}


def test_a_second_sync_writes_nothing(pair: Pair, synced: runsync.TransferReport) -> None:
    again = runsync.sync(pair.source.url, pair.target.url, accept=ACCEPT)
    assert (again.objects["traces"].unchanged, again.objects["traces"].created) == (6, 0)
    assert again.objects["traces"].updated == 0


def test_verify_finds_nothing_and_a_bundle_says_the_same(
    pair: Pair, synced: runsync.TransferReport, tmp_path: Path
) -> None:
    verified = runsync.verify(pair.source.url, pair.target.url, accept=ACCEPT)
    assert verified.differences == []
    assert verified.objects["traces"] == 6
    runsync.export(pair.source.url, tmp_path / "bundle", accept=ACCEPT)
    side = open_snapshot(tmp_path / "bundle").entities(TRACES)
    assert sorted(side.complete(item).span_count or 0 for item in side.all()) == [0, 0, 1, 1, 2, 5]
    brought = runsync.import_(tmp_path / "bundle", pair.target.url, accept=ACCEPT)
    assert (brought.objects["traces"].unchanged, brought.objects["traces"].updated) == (6, 0)
    again = runsync.export(pair.source.url, tmp_path / "bundle", accept=ACCEPT)
    assert again.objects["traces"].unchanged == 6


def test_what_people_change_later_is_seen_from_the_search_page(
    pair: Pair, ids: dict[str, str], synced: runsync.TransferReport
) -> None:
    client("change", pair.source.url, ids["rich"])
    report = runsync.sync(pair.source.url, pair.target.url, accept=ACCEPT)
    assert (report.objects["traces"].unchanged, report.objects["traces"].updated) == (5, 1)
    renamed = new_ids(synced, ids)
    here, there = told(pair.source, renamed)[ids["rich"]], told(pair.target)[ids["rich"]]
    assert {key: value for key, value in there["tags"].items() if not key.startswith("runsync.")} == here["tags"]
    kept = {one["assessment_id"]: one for one in there["assessments"]}
    for one in here["assessments"]:
        found = kept[one["assessment_id"]]
        assert (found["assessment_name"], found["valid"], found["last_update_time"]) == (
            one["assessment_name"],
            one["valid"],
            one["last_update_time"],
        )
