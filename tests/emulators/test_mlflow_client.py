"""MLflow's own client, unmodified, is content with the emulator, and breaks none of its rules."""

from pathlib import Path

import pytest

from emulators.clients import with_mlflow
from emulators.databricks import Cloud, Databricks, Doubts, Limits, careful

TRACKING = """
from mlflow.entities import Metric, Param, RunTag
name = "HOME/made by mlflow"
experiment = client.create_experiment(name, tags={"team": "fraud"})
parent = client.create_run(experiment, start_time=1700000000000, run_name="parent", tags={"a": "b"})
child = client.create_run(experiment, tags={"mlflow.parentRunId": parent.info.run_id})
ids = [parent.info.run_id, child.info.run_id]
client.log_metric(ids[0], "loss", float("nan"), timestamp=1, step=1)
client.log_metric(ids[0], "loss", float("inf"), timestamp=2, step=2)
client.log_metric(ids[0], "loss", 0.5, timestamp=3, step=3)
client.log_param(ids[0], "rate", 0.1)
client.log_batch(
    ids[0],
    [Metric("acc", i / 1000, 1000 + i, i) for i in range(900)],
    [Param(f"p{i}", str(i)) for i in range(50)],
    [RunTag(f"t{i}", str(i)) for i in range(50)],
)
client.set_tag(ids[0], "later", "x")
client.delete_tag(ids[0], "later")
client.update_run(ids[0], name="renamed")
client.set_terminated(ids[0], "FAILED", end_time=1700000001000)
client.set_experiment_tag(experiment, "note", "hello")
run = client.get_run(ids[0])
found = client.search_runs([experiment], "metrics.acc > 0.5 and params.rate = '0.1' and tags.`a` = 'b'")
history = client.get_metric_history(ids[0], "acc")
client.delete_run(ids[1])
gone = [r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)]
client.restore_run(ids[1])
client.rename_experiment(experiment, name + " anew")
named = client.get_experiment_by_name(name + " anew")
searched = [e.name for e in client.search_experiments(filter_string="name LIKE '%anew'")]
client.delete_experiment(experiment)
client.restore_experiment(experiment)
tell(
    ids=ids, gone=gone, found=[r.info.run_id for r in found], history=len(history), named=named.experiment_id,
    experiment=experiment, searched=searched, loss=[str(m.value) for m in client.get_metric_history(ids[0], "loss")],
    status=run.info.status, name=run.info.run_name, end=run.info.end_time, params=len(run.data.params),
    root=client.get_run(ids[1]).data.tags["mlflow.rootRunId"], user=run.data.tags["mlflow.user"],
)
"""

ARTIFACTS = """
run = client.create_run(client.create_experiment("HOME/files")).info.run_id
up = pathlib.Path("up")
(up / "deep" / "er").mkdir(parents=True)
(up / "empty").write_bytes(b"")
(up / "deep" / "ü ñ+%20&=#?.txt").write_text("odd")
(up / "deep" / "er" / "large.bin").write_bytes(bytes(range(256)) * 4096 * 11)
client.log_artifacts(run, "up", "model")
client.log_artifact(run, "up/empty")
paths = []
def walk(path):
    for each in client.list_artifacts(run, path):
        walk(each.path) if each.is_dir else paths.append([each.path, each.file_size])
walk(None)
down = pathlib.Path(client.download_artifacts(run, "", "."))
same = all((down / "model" / f.relative_to(up)).read_bytes() == f.read_bytes() for f in up.rglob("*") if f.is_file())
tell(paths=sorted(paths), same=same, run=run)
"""


@pytest.mark.parametrize(("release", "longs_as_text"), [("3", False), ("2", True)])
def test_the_client_of_mlflow_tracks_runs(release: str, longs_as_text: bool, tmp_path: Path) -> None:
    with careful(Databricks(doubts=Doubts(longs_as_text=longs_as_text))) as workspace, workspace:
        told = with_mlflow(workspace, TRACKING, tmp_path, release=release)
    parent, child = told["ids"]
    assert told["gone"] == [child]
    assert told["found"] == [parent]
    assert told["history"] == 900
    assert told["named"] == told["experiment"]
    assert told["searched"] == [f"{workspace.home}/made by mlflow anew"]
    assert told["loss"] == ["nan", "inf", "0.5"]
    assert (told["status"], told["name"], told["end"]) == ("FAILED", "renamed", 1700000001000)
    assert told["params"] == 51
    assert told["root"] == parent
    assert told["user"] == workspace.owner.name


# For each part of a download MLflow starts a process, which loads MLflow.
@pytest.mark.parametrize("is_fetched_in_parts", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure", "adls"])
def test_the_client_of_mlflow_moves_artifacts_through_every_cloud(
    cloud: Cloud, is_fetched_in_parts: bool, tmp_path: Path
) -> None:
    limits = Limits(artifacts_page=2, credentials_page=2)
    parts = {
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "6000000",
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20),
        "MLFLOW_ENABLE_MULTIPART_DOWNLOAD": str(is_fetched_in_parts),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(6 << 20),
        "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": "6000000",
    }
    with careful(Databricks(cloud=cloud, limits=limits)) as workspace, workspace:
        told = with_mlflow(workspace, ARTIFACTS, tmp_path, **parts)
    assert told["same"]
    assert told["paths"] == [
        ["empty", 0],
        ["model/deep/er/large.bin", 11 << 20],
        ["model/deep/ü ñ+%20&=#?.txt", 3],
        ["model/empty", 0],
    ]
    assert not workspace.storage.uploads
    assert workspace.count("/api/2.0/mlflow/artifacts/complete-multipart-upload") == (cloud == "aws")


MODELS = """
experiment = client.create_experiment("HOME/models")
model = client.create_logged_model(experiment, name="m", params={"a": "b"}, tags={"t": "1"})
pathlib.Path("weights").mkdir()
pathlib.Path("weights/large.bin").write_bytes(b"w" * 7_000_000)
client.log_model_artifacts(model.model_id, "weights")
client.finalize_logged_model(model.model_id, "READY")
found = client.search_logged_models([experiment], "params.a = 'b'")
run = client.create_run(experiment)
client.log_inputs(run.info.run_id, models=[LoggedModelInput(model.model_id)])
client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 4)])
client.log_metric(run.info.run_id, "acc", 0.9, model_id=model.model_id)
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
down = get_artifact_repository(model.artifact_location).download_artifacts("", ".")
run = client.get_run(run.info.run_id)
client.create_registered_model("fraud")
version = client.create_model_version("fraud", model.artifact_location, run.info.run_id)
tell(
    found=[each.model_id for each in found], model=model.model_id,
    size=(pathlib.Path(down) / "large.bin").stat().st_size,
    inputs=[each.model_id for each in run.inputs.model_inputs],
    outputs=[each.step for each in run.outputs.model_outputs],
    metric=client.get_logged_model(model.model_id).metrics[0].value,
    versions=[each.version for each in client.search_model_versions(f"run_id='{run.info.run_id}'")],
)
"""

PLACES = """
pathlib.Path("up").mkdir()
pathlib.Path("up/a b.txt").write_text("hello")
pathlib.Path("up/empty").write_text("")
for root in ("dbfs:/mine/runs", "dbfs:/Volumes/main/default/runs"):
    experiment = client.create_experiment("HOME/" + root[-9:].replace("/", " "), artifact_location=root)
    run = client.create_run(experiment).info.run_id
    client.log_artifacts(run, "up", "in/side")
    down = pathlib.Path(client.download_artifacts(run, "in"))
    text = (down / "side" / "a b.txt").read_text()
    tell(**{root: [text, *(each.path for each in client.list_artifacts(run, "in/side"))]})
"""

SESSION = """
import mlflow.pyfunc
class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]):
        return model_input
mlflow.set_experiment("HOME/session")
with mlflow.start_run(run_name="outer") as outer:
    mlflow.log_params({"a": 1, "b": "x" * 500})
    mlflow.log_metrics({"m": 1.0}, step=3)
    mlflow.log_dict({"a": 1}, "d/conf.json")
    with mlflow.start_run(nested=True) as inner:
        mlflow.log_metric("z", float("-inf"))
    mlflow.pyfunc.log_model(python_model=Echo(), name="echo", pip_requirements=[])
inner = client.get_run(inner.info.run_id)
files = [each.path for each in client.list_artifacts(outer.info.run_id)]
tell(root=inner.data.tags["mlflow.rootRunId"], outer=outer.info.run_id, files=files)
tell(models=len(client.get_run(outer.info.run_id).outputs.model_outputs), metric=str(inner.data.metrics["z"]))
"""


UNITY = """
import mlflow.pyfunc
from mlflow.models import infer_signature
class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]):
        return model_input
mlflow.set_experiment("HOME/session")
mlflow.set_registry_uri("databricks-uc")
client = MlflowClient()
name = "prod.ml.echo"
client.create_registered_model(name, tags={"team": "x"}, description="Says it again")
with mlflow.start_run() as run:
    signature = infer_signature(["a"], ["a"])
    kept = {"name": "echo", "pip_requirements": [], "signature": signature, "python_model": Echo()}
    info = mlflow.pyfunc.log_model(**kept)
version = mlflow.register_model(info.model_uri, name)
client.set_registered_model_alias(name, "champion", version.version)
client.set_model_version_tag(name, version.version, "checked", "yes")
found = client.get_model_version_by_alias(name, "champion")
tell(
    version=version.version, status=version.status, tags=dict(found.tags),
    models=[m.name for m in client.search_registered_models()],
    versions=[v.version for v in client.search_model_versions(f"name='{name}'")], run=found.run_id == run.info.run_id,
    predicted=mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(["b"]),
)
"""


@pytest.mark.slow
def test_the_client_of_mlflow_registers_and_loads_models_of_unity_catalog(tmp_path: Path) -> None:
    with careful(Databricks()) as workspace, workspace:
        workspace.unity.add_schema("prod.ml")
        told = with_mlflow(workspace, UNITY, tmp_path)
    assert told == {
        "version": "1",
        "status": "READY",
        "tags": {"checked": "yes"},
        "models": ["prod.ml.echo"],
        "versions": ["1"],
        "run": True,
        "predicted": ["b"],
    }


def test_the_client_of_mlflow_keeps_logged_models(tmp_path: Path) -> None:
    parts = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "6000000", "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20)}
    with careful(Databricks()) as workspace, workspace:
        told = with_mlflow(workspace, MODELS, tmp_path, **parts)
    assert told["found"] == told["inputs"] == [told["model"]]
    assert told["size"] == 7_000_000
    assert told["outputs"] == [4]
    assert told["metric"] == 0.9
    assert told["versions"] == ["1"]


def test_the_client_of_mlflow_keeps_artifacts_in_places_of_its_own(tmp_path: Path) -> None:
    with careful(Databricks()) as workspace, workspace:
        workspace.add_volume("/Volumes/main/default/runs")
        told = with_mlflow(workspace, PLACES, tmp_path)
    found = ["hello", "in/side/a b.txt", "in/side/empty"]
    assert told == {"dbfs:/mine/runs": found, "dbfs:/Volumes/main/default/runs": found}


def test_a_session_as_people_write_them_works(tmp_path: Path) -> None:
    with careful(Databricks()) as workspace, workspace:
        told = with_mlflow(workspace, SESSION, tmp_path)
    assert told["root"] == told["outer"]
    assert told["files"] == ["d"]
    assert told["models"] == 1
    assert told["metric"] == "-inf"
