"""Makes a file store with a real MLflow client: run by the Python of an MLflow release with the folder as argument."""

import sys
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

RELEASE = int(mlflow.__version__.split(".")[0])
START = 1_700_000_000_000


def main(folder: str) -> None:
    uri = Path(folder).absolute().as_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    churn = client.create_experiment("churn", tags={"team": "growth", "note": "ümläut\nline", "a/b": "nested"})
    rich = client.create_run(churn, start_time=START + 2, tags={"mlflow.runName": "rich run", "mlflow.user": "ann"})
    run_id = rich.info.run_id
    client.log_batch(
        run_id,
        [Metric("loss", 1.0 / (i + 1), START + 10 * i, i) for i in range(50)]
        + [Metric("val/acc", 0.5, START + 7, 1), Metric("val/acc", 0.5, START + 7, 1)]
        + [Metric("odd", v, START + i, -i) for i, v in enumerate((float("nan"), float("inf"), -float("inf"), -0.0))]
        + [Metric("back", 1.0, START + 9, 5), Metric("back", 2.0, START + 1, 5), Metric("back", 9.0, START + 99, 4)]
        + [Metric("few bits.x-y", 1e-310, START, 0)],
        [Param("lr", "0.1"), Param("deep/er/key", "x"), Param("empty", ""), Param("uni code", "žluťoučký\n kůň ")],
        [RunTag("k", "v"), RunTag("a/b", " spaces "), RunTag("empty", "")],
    )
    client.set_terminated(run_id, "FAILED", START + 5000)
    late = client.create_run(churn, start_time=START + 3)
    client.set_terminated(late.info.run_id, "FINISHED", START + 6000)
    deleted = client.create_run(churn, start_time=START + 1)
    client.delete_run(deleted.info.run_id)
    back = client.create_run(churn, start_time=START + 4)
    client.delete_run(back.info.run_id)
    client.restore_run(back.info.run_id)
    if RELEASE >= 2:
        datasets(client, run_id)
    if RELEASE >= 3:
        models(client, churn, run_id, late.info.run_id)
    gone = client.create_experiment("gone")
    client.create_run(gone, start_time=START)
    client.delete_experiment(gone)
    renamed = client.create_experiment("old name", artifact_location="s3://bucket/x")
    client.rename_experiment(renamed, "new: name #1")
    if RELEASE >= 2:
        registered(client, uri, folder, churn, run_id)


def registered(client: MlflowClient, uri: str, folder: str, churn: str, run_id: str) -> None:
    client.create_registered_model("churner")
    (Path(folder) / churn / run_id / "artifacts" / "note.txt").write_text("hello")
    client.create_model_version("churner", f"{uri}/{churn}/{run_id}/artifacts", run_id)


def datasets(client: MlflowClient, run_id: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    train = Dataset("train", "abc123", "local", '{"uri": "x"}', '{"columns": []}', '{"rows": 3}')
    bare = Dataset("bare", "d1", "code", "{}")
    tag = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(train, [tag]), DatasetInput(bare, [])])


def models(client: MlflowClient, experiment_id: str, writer: str, reader: str) -> None:
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    model = client.create_logged_model(experiment_id, name="net", source_run_id=writer)
    client.log_outputs(writer, [LoggedModelOutput(model.model_id, 7)])
    client.log_inputs(reader, models=[LoggedModelInput(model.model_id)])
    client.log_metric(
        writer, "on data", 0.25, timestamp=START, step=3, model_id=model.model_id, dataset_name="d", dataset_digest="1"
    )


main(sys.argv[1])
