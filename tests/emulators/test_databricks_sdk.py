"""The Databricks SDK, unmodified, is content with the emulator, and breaks none of its rules."""

import base64
import dataclasses
import io
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests

from emulators.databricks import Databricks, careful

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


@pytest.fixture
def workspace() -> Iterator[Databricks]:
    with careful(Databricks(rates=None)) as workspace, workspace:
        yield workspace


def connect(workspace: Databricks, **credentials: Any) -> "WorkspaceClient":
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    credentials = credentials or {"token": workspace.token}
    return WorkspaceClient(config=Config(host=workspace.url, retry_timeout_seconds=5, **credentials))


@pytest.fixture
def sdk(workspace: Databricks, monkeypatch: pytest.MonkeyPatch) -> "WorkspaceClient":
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nowhere")
    return connect(workspace)


def test_it_learns_who_it_is_and_where(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    assert sdk.current_user.me().user_name == workspace.owner.name
    assert sdk.get_workspace_id() == int(workspace.workspace_id)


def test_a_service_principal_is_let_in_by_oauth(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    client = connect(workspace, client_id=workspace.client_id, client_secret=workspace.client_secret)
    assert client.current_user.me().user_name == workspace.client_id
    headers = client.config.authenticate()
    assert headers["Authorization"].removeprefix("Bearer ") in workspace.secrets


def test_a_wrong_token_is_refused_with_a_number_as_the_code(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.errors import PermissionDenied

    with pytest.raises(PermissionDenied, match="Invalid access token"):
        connect(workspace, token="dapi" + "0" * 32).current_user.me()
    answer = requests.get(f"{workspace.url}/api/2.0/preview/scim/v2/Me", timeout=300)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == 401


def test_it_deletes_and_restores_runs_in_bulk(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    experiment = sdk.experiments.create_experiment(f"{workspace.home}/bulk").experiment_id
    assert experiment
    for start in range(5):
        sdk.experiments.create_run(experiment_id=experiment, start_time=start)
    later = int(time.time() * 1000) + 1000
    assert sdk.experiments.delete_runs(experiment, later, max_runs=3).runs_deleted == 3
    assert sdk.experiments.delete_runs(experiment, later, max_runs=3).runs_deleted == 2
    assert not list(sdk.experiments.search_runs(experiment_ids=[experiment]))
    assert sdk.experiments.restore_runs(experiment, 0, max_runs=4).runs_restored == 4
    assert len(list(sdk.experiments.search_runs(experiment_ids=[experiment]))) == 4


def test_it_logs_what_it_can_log(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.service import ml

    experiment = sdk.experiments.create_experiment(
        f"/Workspace{workspace.home}/sdk", tags=[ml.ExperimentTag("a", "b")]
    ).experiment_id
    assert experiment
    created = sdk.experiments.create_run(experiment_id=experiment, run_name="x").run
    assert created
    assert created.info
    run = created.info.run_id
    assert run
    model = sdk.experiments.create_logged_model(
        experiment, name="m", source_run_id=run, params=[ml.LoggedModelParameter("k", "v")]
    ).model
    assert model
    assert model.info
    assert model.info.model_id
    sdk.experiments.log_metric("loss", 0.5, 7, step=1, run_id=run, model_id=model.info.model_id)
    sdk.experiments.log_batch(run_id=run, metrics=[ml.Metric(key="loss", step=2, timestamp=8, value=0.25)])
    dataset = ml.Dataset(name="d", digest="1", source_type="s", source="{}")
    sdk.experiments.log_inputs(run, datasets=[ml.DatasetInput(dataset)], models=[ml.ModelInput(model.info.model_id)])
    sdk.experiments.log_outputs(run, models=[ml.ModelOutput(model.info.model_id, 3)])
    sdk.experiments.finalize_logged_model(model.info.model_id, ml.LoggedModelStatus.LOGGED_MODEL_READY)
    sdk.experiments.set_logged_model_tags(model.info.model_id, tags=[ml.LoggedModelTag("t", "1")])
    found = sdk.experiments.search_logged_models(experiment_ids=[experiment], filter="params.k = 'v'").models
    assert found
    assert found[0].as_dict()["data"]["metrics"][0]["value"] == 0.5
    assert [point.value for point in sdk.experiments.get_history("loss", run_id=run)] == [0.5, 0.25]
    got = sdk.experiments.get_run(run).run
    assert got
    assert got.inputs
    assert got.as_dict()["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "d"
    assert got.as_dict()["data"]["metrics"] == [{"key": "loss", "value": 0.25, "timestamp": 8, "step": 2}]
    sdk.experiments.set_tag("z", "1", run_id=run)
    sdk.experiments.update_run(run_id=run, status=ml.UpdateRunStatus.FINISHED, end_time=9)
    sdk.experiments.log_model(run_id=run, model_json='{"artifact_path": "m"}')
    names = [each.name for each in sdk.experiments.list_experiments(max_results=1)]
    assert names == [f"{workspace.home}/sdk"]
    assert [each.name for each in sdk.experiments.search_experiments(filter="tags.a = 'b'")] == names


def test_it_moves_notebooks(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language

    folder = f"{workspace.home}/a/b"
    sdk.workspace.mkdirs(folder)
    source = b"# Databricks notebook source\nprint(1)\n\n# COMMAND ----------\n\nprint(2)"
    content = base64.b64encode(source).decode()
    sdk.workspace.import_(f"{folder}/n", content=content, format=ImportFormat.SOURCE, language=Language.PYTHON)
    for form in (ExportFormat.SOURCE, ExportFormat.JUPYTER, ExportFormat.HTML, ExportFormat.DBC):
        exported = sdk.workspace.export(f"{folder}/n", format=form).content
        assert exported
        sdk.workspace.import_(
            f"{folder}/{form.value}", content=exported, format=ImportFormat(form.value), language=Language.PYTHON
        )
        assert base64.b64decode(sdk.workspace.export(f"{folder}/{form.value}").content or "") == source
    sdk.workspace.upload(f"{folder}/up", io.BytesIO(source), language=Language.PYTHON, overwrite=True)
    assert sdk.workspace.download(f"{folder}/up").read() == source
    assert sdk.workspace.get_status(f"{folder}/n").language is Language.PYTHON
    assert len(list(sdk.workspace.list(folder))) == 6
    sdk.workspace.delete(f"{workspace.home}/a", recursive=True)
    assert not list(sdk.workspace.list(workspace.home))


def test_it_starts_clusters_and_puts_libraries_on_them(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.errors import ResourceDoesNotExist
    from databricks.sdk.service.compute import Library, PythonPyPiLibrary, State

    made = sdk.clusters.create(
        spark_version="15.4.x-scala2.12", cluster_name="c", node_type_id="i3.xlarge", num_workers=1
    )
    assert made.cluster_id
    sdk.libraries.install(made.cluster_id, [Library(pypi=PythonPyPiLibrary("numpy==1.26"))])
    assert len(list(sdk.libraries.cluster_status(made.cluster_id))) == 1
    assert sdk.clusters.get(made.cluster_id).state is State.PENDING
    assert sdk.clusters.get(made.cluster_id).state is State.RUNNING
    assert [each.cluster_name for each in sdk.clusters.list()] == ["c"]
    assert "15.4.x-scala2.12" in {each.key for each in sdk.clusters.spark_versions().versions or ()}
    workspace.add_policy("Personal Compute")
    assert [each.name for each in sdk.cluster_policies.list()] == ["Personal Compute"]
    with pytest.raises(ResourceDoesNotExist):
        sdk.clusters.get("0000-000000-nowhere")
    ended = workspace.add_cluster(spark_version="15.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=1)
    sdk.clusters.start(ended)


def test_it_submits_a_notebook(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.service.jobs import NotebookTask, SubmitTask

    cluster = workspace.add_cluster(spark_version="15.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=1)
    node = workspace.add_notebook(f"{workspace.home}/n", "print(1)")
    task = SubmitTask("main", existing_cluster_id=cluster, notebook_task=NotebookTask(node.path))
    run: Any = sdk.jobs.submit(run_name="again", tasks=[task]).response
    assert sdk.jobs.get_run(run.run_id).as_dict()["state"]["result_state"] == "SUCCESS"


def test_it_reads_and_writes_permissions(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.errors import NotFound
    from databricks.sdk.service.ml import ExperimentAccessControlRequest, ExperimentPermissionLevel

    workspace.add_user("bob@example.com", "science")
    experiment = sdk.experiments.create_experiment(f"{workspace.home}/p").experiment_id
    assert experiment
    request = ExperimentAccessControlRequest(
        user_name="bob@example.com", permission_level=ExperimentPermissionLevel.CAN_EDIT
    )
    sdk.experiments.set_permissions(experiment, access_control_list=[request])
    request = ExperimentAccessControlRequest(group_name="science", permission_level=ExperimentPermissionLevel.CAN_READ)
    told = sdk.experiments.update_permissions(experiment, access_control_list=[request]).as_dict()
    direct = {
        each.get("user_name") or each["group_name"]: each["all_permissions"][0]["permission_level"]
        for each in told["access_control_list"]
        if not each["all_permissions"][0]["inherited"]
    }
    assert direct == {"bob@example.com": "CAN_EDIT", "science": "CAN_READ"}
    assert told == sdk.experiments.get_permissions(experiment).as_dict() | {"object_type": "mlflowExperiment"}
    levels = sdk.experiments.get_permission_levels(experiment).as_dict()["permission_levels"]
    assert [each["permission_level"] for each in levels] == ["CAN_READ", "CAN_EDIT", "CAN_MANAGE"]
    request = ExperimentAccessControlRequest(
        user_name="nobody@example.com", permission_level=ExperimentPermissionLevel.CAN_READ
    )
    with pytest.raises(NotFound, match="nobody"):
        sdk.experiments.update_permissions(experiment, access_control_list=[request])


def test_it_moves_files_of_dbfs_and_of_volumes(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    with sdk.dbfs.open("/mine/x.bin", write=True, overwrite=True) as file:
        file.write(b"0123456789" * 200_000)
    assert sdk.dbfs.open("/mine/x.bin", read=True).read() == b"0123456789" * 200_000
    assert [each.path for each in sdk.dbfs.list("/mine")] == ["/mine/x.bin"]
    volume = workspace.add_volume("/Volumes/main/default/runs")
    sdk.files.create_directory(f"{volume}/a b")
    sdk.files.upload(f"{volume}/a b/ü.txt", io.BytesIO(b"hello"), overwrite=True)
    downloaded = sdk.files.download(f"{volume}/a b/ü.txt").contents
    assert downloaded
    assert downloaded.read() == b"hello"
    assert sdk.files.get_metadata(f"{volume}/a b/ü.txt").content_length == 5
    assert [each.path for each in sdk.files.list_directory_contents(f"{volume}/a b")] == [f"{volume}/a b/ü.txt"]
    sdk.files.delete(f"{volume}/a b/ü.txt")
    sdk.files.delete_directory(f"{volume}/a b")


def test_an_experiment_can_keep_its_artifacts_in_a_volume(sdk: "WorkspaceClient", workspace: Databricks) -> None:
    volume = workspace.add_volume("/Volumes/main/default/runs")
    made = sdk.experiments.create_experiment(f"{workspace.home}/v", artifact_location=f"dbfs:{volume}/x").experiment_id
    run = sdk.experiments.create_run(experiment_id=made).run
    assert run
    assert run.info
    assert run.info.artifact_uri
    sdk.files.upload(f"{run.info.artifact_uri.removeprefix('dbfs:')}/f", io.BytesIO(b"1"))
    assert [each.path for each in sdk.experiments.list_artifacts(run_id=run.info.run_id)] == ["f"]


def test_it_waits_as_long_as_a_busy_workspace_says(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from emulators.databricks import too_many

    fault = workspace.faults.add(too_many("GET */Me", times=1, retry_after=1))
    assert sdk.current_user.me().user_name == workspace.owner.name
    assert fault.met == 1


def test_a_service_principal_of_entra_is_let_in() -> None:
    from databricks.sdk.environments import ARM_DATABRICKS_RESOURCE_ID, ENVIRONMENTS, Cloud, DatabricksEnvironment

    with careful(Databricks(cloud="azure", rates=None)) as workspace, workspace:
        public = dataclasses.replace(ENVIRONMENTS["PUBLIC"], active_directory_endpoint=f"{workspace.login_url}/")
        client = connect(
            workspace,
            azure_client_id=workspace.client_id,
            azure_client_secret=workspace.client_secret,
            azure_tenant_id=workspace.tenant,
            azure_workspace_resource_id=workspace.azure_resource_id,
            databricks_environment=DatabricksEnvironment(
                Cloud.AZURE, ".local", azure_application_id=ARM_DATABRICKS_RESOURCE_ID, azure_environment=public
            ),
        )
        assert client.config.auth_type == "azure-client-secret"
        assert client.current_user.me().user_name == workspace.client_id
        assert "X-Databricks-Azure-SP-Management-Token" in client.config.authenticate()


def test_it_keeps_a_model_registry(workspace: Databricks, sdk: "WorkspaceClient") -> None:
    from databricks.sdk.service.ml import ModelTag

    sdk.model_registry.create_model("fraud", tags=[ModelTag("a", "b")])
    for _ in range(2):
        sdk.model_registry.create_model_version("fraud", "dbfs:/databricks/mlflow-tracking/1/2/artifacts/m")
    sdk.model_registry.transition_stage("fraud", "1", "Production", archive_existing_versions=True)
    (model,) = sdk.model_registry.search_models(filter="name LIKE 'fra%'")
    assert [(each.version, each.current_stage) for each in model.latest_versions or []] == [
        ("1", "Production"),
        ("2", "None"),
    ]
    versions = [each.version for each in sdk.model_registry.search_model_versions(filter="name='fraud'")]
    assert versions == ["2", "1"]
    found = sdk.model_registry.get_model("fraud").registered_model_databricks
    assert found
    assert found.id
    levels = sdk.model_registry.get_permission_levels(found.id).permission_levels
    assert len(levels or []) == 5
