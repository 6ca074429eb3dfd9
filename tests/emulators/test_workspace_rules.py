"""Notebooks with revisions, experiments of notebooks, permissions and clusters, as the emulator has them."""

import base64
import json

import pytest

from emulators.calls import Caller
from emulators.databricks import Databricks, Doubts, SimulatedClock

EXPORT = "/api/2.0/workspace/export"
IMPORT = "/api/2.0/workspace/import"


def test_a_notebook_is_exported_as_it_was_at_a_revision(call: Caller) -> None:
    path = f"{call.workspace.home}/n"
    node = call.workspace.add_notebook(path, "one")
    first = str(node.revisions[0].at)
    second = call.workspace.save_notebook(node, "two")
    for revision, source in ((first, b"one"), (second, b"two")):
        body = {"path": path, "direct_download": True, "format": "SOURCE"}
        wanted = {"revision_timestamp": revision}
        assert call("GET", EXPORT, json=body | {"revision": wanted}).content == source
        assert call("GET", EXPORT, params=body | {"revision": json.dumps(wanted)}).content == source
    assert base64.b64decode(call.get(EXPORT, path=path)["content"]) == b"two"
    wrong = call("GET", EXPORT, json={"path": path, "revision": {"revision_timestamp": "1"}})
    assert wrong.status_code == 404
    assert not call.workspace.violations


@pytest.mark.parametrize(("doubt", "status"), [("ignored", 200), ("refused", 400)])
def test_exports_of_revisions_may_not_work(doubt: str, status: int) -> None:
    with Databricks(rates=None, doubts=Doubts(revision_exports=doubt)) as workspace:  # type: ignore[arg-type]
        node = workspace.add_notebook(f"{workspace.home}/n", "one")
        workspace.save_notebook(node, "two")
        body = {"path": node.path, "direct_download": True, "revision": {"revision_timestamp": str(node.at)}}
        answer = Caller(workspace)("GET", EXPORT, json=body)
        assert answer.status_code == status
        assert answer.content == b"two" or status == 400


def test_imports_need_a_folder_a_language_and_leave_to_overwrite(call: Caller) -> None:
    content = base64.b64encode(b"print(1)").decode()
    fields = {"path": f"{call.workspace.home}/n", "content": content}
    assert call.refused(IMPORT, **fields)[0] == 400
    assert call.refused(IMPORT, **fields | {"path": "/Users/ana@example.com/x/n"}, language="PYTHON")[0] == 404
    call.post(IMPORT, **fields, language="PYTHON")
    assert call.refused(IMPORT, **fields, language="PYTHON")[1] == "RESOURCE_ALREADY_EXISTS"
    call.post(IMPORT, **fields, language="PYTHON", overwrite=True)
    assert len(call.workspace.tree.need(fields["path"]).revisions) == 2
    large = base64.b64encode(b"x" * (10 << 20) + b"x").decode()
    refused = call.refused(IMPORT, **fields | {"content": large}, language="PYTHON", overwrite=True)
    assert refused[1] == "MAX_NOTEBOOK_SIZE_EXCEEDED"


def test_a_notebook_is_an_experiment_with_its_own_id(call: Caller) -> None:
    node = call.workspace.add_notebook(f"{call.workspace.home}/n", "one")
    experiment = call.get("experiments/get-by-name", experiment_name=node.path)["experiment"]
    assert experiment["experiment_id"] == str(node.object_id)
    assert {"key": "mlflow.experimentType", "value": "NOTEBOOK"} in experiment["tags"]
    assert call.run(str(node.object_id))
    assert call.refused("experiments/create", name=node.path)[1] == "RESOURCE_ALREADY_EXISTS"
    assert call.get(f"/api/2.0/permissions/experiments/{node.object_id}") == {}
    assert call.get(f"/api/2.0/permissions/notebooks/{node.object_id}")["object_type"] == "notebook"
    folder = call.workspace.tree.need(call.workspace.home)
    refused = call.refused("experiments/get", "GET", experiment_id=str(folder.object_id))
    assert "to be an MLflow experiment or Databricks notebook, found 'DIRECTORY'" in refused[2]
    missing = call.refused("experiments/get", "GET", experiment_id="1")
    assert missing == (404, "RESOURCE_DOES_NOT_EXIST", "Node ID 1 does not exist.")


def test_a_notebook_in_a_git_folder_gets_an_experiment_of_another_kind(call: Caller) -> None:
    call.workspace.add_repo("/Repos/ana@example.com/models")
    node = call.workspace.add_notebook("/Repos/ana@example.com/models/train", "one")
    tags = [
        {"key": "mlflow.experiment.sourceType", "value": "REPO_NOTEBOOK"},
        {"key": "mlflow.experiment.sourceId", "value": str(node.object_id)},
    ]
    experiment = call.post("experiments/create", name=node.path, tags=tags)["experiment_id"]
    assert len(experiment) == 32
    assert call.post("experiments/create", name=node.path, tags=tags)["experiment_id"] == experiment
    told = {tag["key"] for tag in call.get("experiments/get", experiment_id=experiment)["experiment"]["tags"]}
    assert "mlflow.experimentType" not in told
    tags[1]["value"] = "123"
    name = f"{call.workspace.home}/x"
    assert call.refused("experiments/create", name=name, tags=tags)[2] == "Node ID 123 does not exist."
    assert call.refused("experiments/create", name=name, tags=tags[:1])[2].startswith("Cannot update tag")


def test_folders_of_users_are_protected_and_full_ones_are_not_deleted(call: Caller) -> None:
    delete = "/api/2.0/workspace/delete"
    assert call.refused(delete, path=call.workspace.home, recursive=True)[1] == "DIRECTORY_PROTECTED"
    call.post("/api/2.0/workspace/mkdirs", path=f"{call.workspace.home}/a/b")
    assert call.refused(delete, path=f"{call.workspace.home}/a")[1] == "DIRECTORY_NOT_EMPTY"
    call.post("/api/2.0/workspace/mkdirs", path=f"{call.workspace.home}/a")
    experiment = call.post("experiments/create", name=f"{call.workspace.home}/a/e")["experiment_id"]
    listed = call.get("/api/2.0/workspace/list", path=f"{call.workspace.home}/a")["objects"]
    assert [each["object_type"] for each in listed] == ["DIRECTORY", "MLFLOW_EXPERIMENT"]
    call.post(delete, path=f"{call.workspace.home}/a", recursive=True)
    found = call.get("experiments/get", experiment_id=experiment)["experiment"]
    assert found["lifecycle_stage"] == "deleted"


def test_permissions_know_what_is_inherited_and_who_there_is(call: Caller) -> None:
    experiment = call.experiment()
    path = f"/api/2.0/permissions/experiments/{experiment}"
    told = call.get(path)
    assert told["object_id"] == f"/experiments/{experiment}"
    entries = {each.get("user_name") or each["group_name"]: each for each in told["access_control_list"]}
    assert entries["ana@example.com"]["all_permissions"][0]["inherited"]
    assert entries["admins"]["all_permissions"][0]["inherited"]
    for wrong in (
        {"user_name": "nobody@example.com", "permission_level": "CAN_READ"},
        {"group_name": "users", "permission_level": "CAN_RUN"},
        {"group_name": "users", "user_name": "ana@example.com", "permission_level": "CAN_READ"},
    ):
        assert not call("PUT", path, json={"access_control_list": [wrong]}).ok
    assert not call.workspace.violations
    shared = call.workspace.tree.need("/Shared").object_id
    assert (
        call("PATCH", f"/api/2.0/permissions/directories/{shared}", json={"access_control_list": []}).status_code == 500
    )
    inherited = {"group_name": "users", "all_permissions": [{"permission_level": "CAN_READ"}]}
    assert call("PUT", path, json={"access_control_list": [inherited]}).status_code == 400
    assert call.workspace.violations


def test_clusters_are_started_only_when_they_have_ended(call: Caller) -> None:
    get, start = "/api/2.1/clusters/get", "/api/2.1/clusters/start"
    missing = call.refused(get, "GET", cluster_id="x")
    assert missing == (400, "INVALID_PARAMETER_VALUE", "Cluster x does not exist")
    cluster = call.workspace.add_cluster(cluster_name="c", spark_version="1", node_type_id="t", num_workers=1)
    call.post(start, cluster_id=cluster)
    assert call.refused(start, cluster_id=cluster)[1] == "INVALID_STATE"
    states = [call.get(get, cluster_id=cluster)["state"] for _ in range(2)]
    assert states == ["PENDING", "RUNNING"]
    whole = {"spark_version": "1", "node_type_id": "t", "num_workers": 1, "disk_spec": {"disk_count": 0}}
    assert call.refused("/api/2.1/clusters/create", **whole)[1] == "MALFORMED_REQUEST"
    assert "disk_spec" in call.workspace.violations[0]


def test_revisions_have_times_of_the_clock() -> None:
    clock = SimulatedClock(start=1_700_000_000)
    with Databricks(clock=clock, rates=None) as workspace:
        node = workspace.add_notebook(f"{workspace.home}/n", "one")
        clock.advance(60)
        assert workspace.save_notebook(node, "two") == "1700000060000"


def test_others_may_do_what_the_lists_let_them_do(call: Caller) -> None:
    experiment = call.experiment()
    run = call.run(experiment)
    _, token = call.workspace.add_user("bob@example.com")
    bob = Caller(call.workspace, token)
    refused = bob.refused("runs/get", "GET", run_id=run)
    assert refused[:2] == (403, "PERMISSION_DENIED")
    assert bob.refused("runs/search", experiment_ids=[experiment])[0] == 403
    assert bob.post("experiments/search") == {}
    path = f"/api/2.0/permissions/experiments/{experiment}"
    for level, statuses in (("CAN_READ", (200, 403, 403)), ("CAN_EDIT", (200, 200, 403)), ("CAN_MANAGE", (200,) * 3)):
        grant = {"user_name": "bob@example.com", "permission_level": level}
        assert call("PATCH", path, json={"access_control_list": [grant]}).ok
        asked = (
            bob("POST", "runs/search", json={"experiment_ids": [experiment]}),
            bob("POST", "runs/set-tag", json={"run_id": run, "key": "a", "value": "b"}),
            bob("PATCH", path, json={"access_control_list": []}),
        )
        assert tuple(each.status_code for each in asked) == statuses
    mine = bob.post("experiments/create", name="/Users/bob@example.com/mine")["experiment_id"]
    assert bob.run(mine)
    shared = bob.post("experiments/create", name="/Shared/ours")["experiment_id"]
    assert bob.run(shared)
    assert bob.refused("experiments/create", name=f"{call.workspace.home}/theirs")[1] == "PERMISSION_DENIED"
    assert bob.refused("/api/2.0/workspace/mkdirs", path="/anywhere")[1] == "PERMISSION_DENIED"
