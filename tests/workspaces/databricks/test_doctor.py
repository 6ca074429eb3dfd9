"""doctor on Databricks: who we are there, what we may do, which endpoints answer, and that nothing is written."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from emulators.databricks import Databricks, Fault
from support.databricks import DatabricksSeeder
from support.secrets import SEARCH, new_secret

import runsync
from runsync.bundle import schemas
from runsync.transfer.doctor import DoctorReport
from workspaces.databricks.conftest import Start

HOME = "/Users/ana@example.com"
BOB = "bob@example.com"
READS = ("/search", "credentials-for-read")


def seed(workspace: Databricks) -> list[str]:
    """Two experiments, the second one with a run that has a file."""
    with DatabricksSeeder(workspace) as seeder:
        experiments = [seeder.create_experiment(f"{HOME}/{name}") for name in ("old", "new")]
        run = seeder.create_run(experiments[1], "run")
        seeder.put_artifact(run, "model/weights.bin", b"w" * 100)
    workspace.requests.clear()
    return experiments


def examined(where: str = "databricks://lake", code: int = 0) -> DoctorReport:
    told = runsync.doctor(where)
    schemas.check("doctor-report", told.to_document(), "doctor")
    assert told.exit_code == code, told.findings
    return told


def of(told: DoctorReport, topic: str) -> list[tuple[str, str]]:
    """What was found on one topic: state, and words with what to do."""
    return [(each.state, f"{each.told} → {each.remedy}") for each in told.findings if each.topic == topic]


def as_user(place: Path, workspace: Databricks, token: str) -> None:
    """`databricks://lake` is the user of this token from now on."""
    place.write_text(f"[lake]\nhost = {workspace.url}\ntoken = {token}\n")


def test_a_workspace_is_told_with_identity_versions_endpoints_rights_and_quotas_and_is_not_written_to(
    start: Start,
) -> None:
    lake = start("lake")
    seed(lake)
    told = examined()
    assert not [seen for seen in lake.requests if seen.endpoint.split()[0] != "GET" and not seen.target.endswith(READS)]
    assert len(lake.requests) == told.requests
    assert of(told, "server") == [("ok", f"Databricks workspace {lake.workspace_id} at {lake.url} → ")]
    assert of(told, "identity") == [("ok", "ana@example.com, by pat → ")]
    assert of(told, "versions") == [
        ("ok", "it does not tell which MLflow it runs: the API is 2.0; its newest Databricks Runtime is 15.4 → ")
    ]
    assert of(told, "rights") == [("ok", "an administrator of the workspace: all (entitlements: none of its own) → ")]
    assert [state for state, _ in of(told, "folder")] == ["ok", "ok"]
    assert of(told, "clusters") == [("ok", "it may make them, of any kind → ")]
    ((state, text),) = of(told, "endpoints")
    assert state == "ok"
    answering = "metric histories, credentials for artifacts, exports of notebooks, clusters, volumes, model registry"
    assert (
        f"these answer: {answering}, Unity Catalog, logged models, traces; bulk deletion and restoration are not tried"
        in text
    )
    assert "1,000,000 points a run" in of(told, "quotas")[0][1]
    assert "was read" in of(told, "artifacts")[0][1]
    assert [of(told, topic)[0][0] for topic in ("speed", "clock", "limits", "experiments")] == ["ok"] * 4
    assert not [secret for secret in lake.secrets if secret in json.dumps(asdict(told))]


def test_who_is_no_administrator_hears_what_stays_unseen_and_what_may_be_written(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    old, new = seed(lake)
    _, token = lake.add_user(BOB, "science", entitlements=("workspace-access",))
    lake.permissions["experiments", old] = {("user_name", BOB): "CAN_READ"}
    lake.permissions["experiments", new] = {("group_name", "science"): "CAN_EDIT"}
    as_user(tmp_path / "databrickscfg", lake, token)
    told = examined()
    groups, unseen, writing = of(told, "rights")
    assert groups == (
        "ok",
        "in the groups: science, users; entitlements: workspace-access (those of its groups are not told) → ",
    )
    assert unseen[0] == "warning"
    assert "bob@example.com is no administrator: experiments that it may not read are not shown to it" in unseen[1]
    assert writing[0] == "warning"
    assert "it may write to 1 of 2 experiments, and manage 0 → " in writing[1]
    assert "--prefix" in writing[1]
    lake.permissions["experiments", old] = lake.permissions["experiments", new] = {("user_name", BOB): "CAN_MANAGE"}
    assert of(examined(), "rights")[2] == (
        "ok",
        "by its own name or those groups it may write to 2 of 2 experiments, and manage 2 → ",
    )


def test_what_may_be_done_with_the_experiment_of_a_notebook_is_told_by_its_notebook(
    start: Start, tmp_path: Path
) -> None:
    lake = start("lake")
    node = lake.add_notebook(f"{HOME}/train", "# Databricks notebook source")
    with DatabricksSeeder(lake) as seeder:
        seeder.create_run(str(node.object_id), "run")
    _, token = lake.add_user(BOB)
    lake.permissions["notebooks", str(node.object_id)] = {("user_name", BOB): "CAN_EDIT"}
    as_user(tmp_path / "databrickscfg", lake, token)
    assert "it may write to 1 of 1 experiment, and manage 0" in of(examined(), "rights")[2][1]


@pytest.mark.parametrize(
    ("entitlements", "policies", "expected"),
    [
        (("allow-cluster-create",), [], "it may make them, of any kind"),
        ((), ["Personal Compute"], "by policies only (Personal Compute)"),
        ((), [], "it may make none, as far as it is told"),
    ],
)
def test_whether_clusters_may_be_made_is_told_before_a_run_is_reproduced(
    start: Start, tmp_path: Path, entitlements: tuple[str, ...], policies: list[str], expected: str
) -> None:
    lake = start("lake")
    _, token = lake.add_user(BOB, entitlements=entitlements)
    lake.add_policy("of others")
    for name in policies:
        lake.add_policy(name, BOB)
    as_user(tmp_path / "databrickscfg", lake, token)
    ((state, text),) = of(examined(), "clusters")
    assert expected in text
    assert (state, "--notebook-only" in text) == (("ok", False) if entitlements else ("warning", True))


REFUSED = {
    "GET /api/2.0/workspace/export": (403, "PERMISSION_DENIED", "--notebooks brings none", "Notebook and file export"),
    "GET /api/2.1/clusters/spark-versions": (403, "PERMISSION_DENIED", "can neither find nor start", "--notebook-only"),
    "GET /api/2.0/mlflow/metrics/get-history": (404, "ENDPOINT_NOT_FOUND", "no metrics can be exported", "let"),
    "POST *credentials-for-read": (501, "NOT_IMPLEMENTED", "files that Databricks keeps", "--no-artifacts"),
}


@pytest.mark.parametrize("endpoint", REFUSED)
def test_an_endpoint_that_does_not_answer_is_a_warning_with_what_is_lost_and_what_to_do(
    start: Start, endpoint: str
) -> None:
    lake = start("lake")
    status, code, lost, remedy = REFUSED[endpoint]
    lake.faults.add(Fault("status", endpoint, status, code, "no", times=None))
    found, warned = of(examined(), "endpoints")
    assert found[0] == "ok"
    assert warned[0] == "warning"
    assert f"do not answer ({code}): " in warned[1]
    assert lost in warned[1]
    assert remedy in warned[1]


def test_what_is_not_carried_anyway_may_be_missing_without_a_warning(start: Start) -> None:
    lake = start("lake")
    lake.faults.add(Fault("status", "* /api/3.0/mlflow/traces/search", 404, "FEATURE_DISABLED", "no", times=None))
    ((state, text),) = of(examined(), "endpoints")
    assert (state, "these do not: traces (FEATURE_DISABLED)" in text) == ("ok", True)


def test_folders_that_cannot_be_listed_are_warned_of(start: Start) -> None:
    lake = start("lake")
    lake.faults.add(Fault("status", "GET /api/2.0/workspace/list", 403, "PERMISSION_DENIED", "no", times=None))
    home, shared = of(examined(), "folder")
    assert (home[0], shared[0]) == ("warning", "warning")
    assert f"no folder {HOME} that we may see (PERMISSION_DENIED)" in home[1]
    assert "/Shared cannot be listed (PERMISSION_DENIED)" in shared[1]


def test_artifacts_out_of_reach_are_a_failure(start: Start) -> None:
    lake = start("lake")
    seed(lake)
    lake.faults.add(Fault("status", "GET /api/2.0/mlflow/artifacts/list", 403, "PERMISSION_DENIED", "no", times=None))
    ((state, text),) = of(examined(code=13), "artifacts")
    assert (state, "--no-artifacts" in text) == ("failure", True)


def test_a_token_that_is_refused_is_told_with_where_it_came_from(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    revoked = new_secret("a token", "dapi")
    as_user(tmp_path / "databrickscfg", lake, revoked)
    ((state, text),) = of(examined(code=13), "access")
    assert state == "failure"
    assert f"{lake.url} refused access (HTTP 403): check profile “lake”" in text
    assert revoked not in text


def test_another_way_to_log_in_is_told_with_the_version_of_the_sdk(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    told = {"access_token": lake.token, "token_type": "Bearer", "expiry": "2099-01-01T00:00:00Z"}
    program = SEARCH.holds_secrets(tmp_path / "databricks-cli")
    program.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    program.chmod(0o700)
    (tmp_path / "databrickscfg").write_text(
        f"[lake]\nhost = {lake.url}\nauth_type = databricks-cli\ndatabricks_cli_path = {program}\n"
    )
    ((state, text),) = of(examined(), "identity")
    assert state == "ok"
    assert "ana@example.com, by databricks-cli of databricks-sdk 0." in text
