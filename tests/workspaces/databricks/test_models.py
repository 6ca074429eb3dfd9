"""Logged and registered models in Databricks' workspace registry: out of servers, into them, and between workspaces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault
from emulators.databricks.unity_storage import files_of
from support import models_by_rest
from support.databricks import DatabricksSeeder
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from workspaces.databricks.conftest import Start

FOLDER = "/Users/ana@example.com/"
EVERYTHING = {"logged-models": 2, "registered-models": 2, "model-versions": 3}
ACCEPT = ("permissions",)


def counts(report: runsync.TransferReport, action: str = "created") -> dict[str, int]:
    """Of models."""
    return {kind: count for kind in EVERYTHING if (count := getattr(report.objects[kind], action))}


def done(report: runsync.TransferReport) -> runsync.TransferReport:
    assert (report.problems, report.failed, report.left_behind, report.exit_code) == ([], [], [], 0)
    return report


def told(workspace: Databricks) -> dict[str, Any]:
    def below(root: str) -> dict[str, bytes]:
        start = f"{root.removeprefix('dbfs:')}/"
        objects = workspace.storage.objects.items()
        return {key.removeprefix(start): body for key, body in objects if key.startswith(start)}

    with DatabricksSeeder(workspace) as seeder:
        return models_by_rest.told(seeder, below)


@pytest.fixture
def dev(start: Start) -> Databricks:
    workspace = start("dev")
    with DatabricksSeeder(workspace) as seeder:
        models_by_rest.fill(seeder, FOLDER, aliases=False)
    return workspace


def test_models_go_from_one_workspace_to_another_by_a_bundle(start: Start, dev: Databricks, tmp_path: Path) -> None:
    prod, bundle = start("prod", cloud="adls"), tmp_path / "bundle"
    assert counts(done(runsync.export("databricks://dev", bundle))) == EVERYTHING
    assert counts(done(runsync.import_(bundle, "databricks://prod", accept=ACCEPT))) == EVERYTHING
    there = told(prod)
    assert there == told(dev)
    assert list(there["versions"]) == ["churn/4", "churn/3", "churn/1"]
    for one, other in (("databricks://dev", "databricks://prod"), (str(bundle), "databricks://prod")):
        verified = runsync.verify(one, other, verify_artifacts=True, accept=ACCEPT)
        assert (verified.exit_code, verified.differences) == (0, [])
        assert verified.objects.items() >= EVERYTHING.items()
    again = done(runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT))
    assert (counts(again), counts(again, "unchanged")) == ({}, EVERYTHING)
    assert told(prod) == there


@pytest.mark.slow
def test_models_of_a_server_go_to_databricks_and_on_to_another_server(
    start: Start, start_server: Callable[..., MlflowServer]
) -> None:
    here, there = start_server("3"), start_server("3")
    start("lake", cloud="gcp")
    with Seeder(here.wait().url) as seeder:
        models_by_rest.fill(seeder)
        of_server = models_by_rest.told(seeder, lambda root: {})
    report = runsync.sync(here.url, "databricks://lake", prefix=FOLDER, accept=ACCEPT)
    assert {(left.kind, left.count) for left in report.left_behind} == {("model-aliases", 2)}
    assert (counts(report), report.exit_code) == (EVERYTHING, 3)
    done(runsync.sync("databricks://lake", there.wait().url, accept=ACCEPT))
    with Seeder(there.url) as seeder:
        found = models_by_rest.told(seeder, lambda root: {})
    assert found == of_server | {"aliases": []}


@pytest.mark.slow
def test_a_sync_that_ends_after_any_write_is_finished_by_the_next(
    start: Start, dev: Databricks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
    prod, stops = start("prod"), 0
    while True:
        prod.faults.add(Fault("drop", "P* /api/2.0/mlflow/[!s]*[!h]", skip=3 + stops // 8, times=None))
        report = runsync.sync("databricks://dev", "databricks://prod", workers=2, accept=ACCEPT)
        prod.faults.clear()
        if not report.stopped and not report.failed:
            break
        stops += 1
        assert stops < 60
    assert stops > 3
    assert told(prod) == told(dev)


@pytest.mark.slow
def test_nothing_is_made_twice_where_answers_are_lost(start: Start, dev: Databricks) -> None:
    prod = start("prod")
    lost = prod.faults.add(Fault("lose", "P* /api/2.0/mlflow/*", chance=0.3, times=None))
    done(runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT))
    prod.faults.clear()
    assert lost.met
    assert told(prod) == told(dev)


def test_a_version_that_is_another_one_in_the_target_is_named_and_left(start: Start, dev: Databricks) -> None:
    prod = start("prod")
    with DatabricksSeeder(prod) as seeder:
        seeder.post("registered-models/create", name="churn")
        seeder.post("model-versions/create", name="churn", source="s3://another/model")
    report = runsync.sync("databricks://dev", "databricks://prod", accept=ACCEPT)
    assert [one["id"] for one in report.failed] == ["churn/1"]
    assert list(told(prod)["versions"]) == ["churn/4", "churn/3", "churn/1"]
    assert prod.registry["churn"].versions[1].source == "s3://another/model"


def test_a_version_whose_run_is_purged_has_the_files_that_the_registry_keeps(start: Start, tmp_path: Path) -> None:
    dev, prod, bundle = start("dev"), start("prod"), tmp_path / "bundle"
    with DatabricksSeeder(dev) as seeder:
        run_id = models_by_rest.fill(seeder, FOLDER, logged=False, aliases=False).runs[0]
    del dev.tracking.experiments[dev.tracking.runs[run_id].experiment_id].runs[run_id], dev.tracking.runs[run_id]
    prod.unity.add_schema("prod.ml")
    report = runsync.export("databricks://dev", bundle)
    assert (report.problems, report.failed) == ([], [])
    got = runsync.get_model(str(bundle), "churn/1", into=tmp_path / "model")
    assert (len(got.files), (tmp_path / "model" / "data" / "weights.bin").read_bytes()) == (2, b"first" * 100)
    names = {"churn": "prod.ml.churn", "empty": "prod.ml.empty"}
    for source in ("databricks://dev", str(bundle)):
        bring = runsync.sync if source.startswith("databricks") else runsync.import_
        report = bring(source, "databricks://prod", rename=names, accept=ACCEPT)
        assert (report.problems, report.failed) == ([], [])
    assert files_of(prod, "prod.ml.churn", 1)["data/weights.bin"] == b"first" * 100
    anew = runsync.import_(bundle, "databricks://dev", rename={"churn": "anew"}, prefix=FOLDER, accept=ACCEPT)
    assert (anew.problems, anew.failed) == ([], [])
    got = runsync.get_model("databricks://dev", "anew/1", into=tmp_path / "anew")
    assert (len(got.files), (tmp_path / "anew" / "data" / "weights.bin").read_bytes()) == (2, b"first" * 100)
