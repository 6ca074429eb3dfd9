"""Goes on working in a store with a real MLflow client: run by the Python of an MLflow release."""

import sys
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient


def main(folder: str) -> None:
    uri = Path(folder).absolute().as_uri()
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run() as run:  # in the experiment that a new store has
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_text("hello", "note.txt")
    assert mlflow.get_run(run.info.run_id).info.experiment_id == "0"
    client = MlflowClient(uri)
    client.log_metric("live", "loss", 0.125, timestamp=99, step=9)
    client.log_param("live", "later", "1")
    client.set_tag("live", "a/b", "changed")
    client.set_terminated("live", "KILLED", 123)
    client.delete_run("gone")
    client.restore_run("back")
    client.delete_experiment("7")
    client.restore_experiment("8")
    client.rename_experiment("8", "renamed")
    client.set_experiment_tag("8", "x", "y")


main(sys.argv[1])
