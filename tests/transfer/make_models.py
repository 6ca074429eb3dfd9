"""Run by an MLflow's own Python: `make_models.py URL PREFIX` logs and registers models, and prints their ids."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

url, prefix = sys.argv[1:]
IS_3 = mlflow.__version__.startswith("3")
mlflow.set_tracking_uri(url)
client = MlflowClient(url)
CODE = """
import mlflow
from mlflow.models import set_model

class Scaled(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        with open(context.artifacts["factor"]) as file:
            self.factor = int(file.read())

    def predict(self, context, model_input, params=None):
        return [self.factor * each for each in model_input]

set_model(Scaled())
"""
Path("scaled.py").write_text(CODE)


def log(factor: int) -> Any:
    Path("factor.txt").write_text(str(factor))
    where = {"name": "net"} if IS_3 else {"artifact_path": "net"}
    kept = {"artifacts": {"factor": "factor.txt"}, "pip_requirements": ["mlflow"]}
    return mlflow.pyfunc.log_model(python_model="scaled.py", **kept, **where)


def make() -> dict[str, Any]:
    mlflow.set_experiment(prefix + "train")
    with mlflow.start_run(run_name="first") as one:
        mlflow.log_param("depth", 3)
        first = log(2)
    with mlflow.start_run(run_name="second") as two:
        second = log(3)
        if IS_3:
            points(second.model_id)
    with mlflow.start_run(run_name="use") as use:
        if IS_3:
            mlflow.set_experiment(prefix + "train")
            model = mlflow.entities.LoggedModelInput(first.model_id)
            client.log_inputs(use.info.run_id, models=[model])
    name = prefix + "churn"
    mlflow.register_model(first.model_uri, name, tags={"by": "hand"})
    mlflow.register_model(f"runs:/{one.info.run_id}/net", name)
    mlflow.register_model(f"runs:/{one.info.run_id}/net", name)
    client.delete_model_version(name, "3")
    mlflow.register_model(second.model_uri, name)
    client.update_registered_model(name, "Who leaves")
    client.set_registered_model_tag(name, "team", "growth")
    client.update_model_version(name, "4", "The better one")
    client.set_model_version_tag(name, "4", "checked", "yes")
    client.set_registered_model_alias(name, "champion", "4")
    client.set_registered_model_alias(name, "old", "1")
    client.transition_model_version_stage(name, "4", "Production")
    client.create_registered_model(prefix + "empty", tags={"a": "b"}, description="Nothing yet")
    client.copy_model_version(f"models:/{name}/4", prefix + "served")
    return {
        "runs": [run.info.run_id for run in (one, two, use)],
        "models": [first.model_id, second.model_id] if IS_3 else [],
        "name": name,
    }


def points(model_id: str) -> None:
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    data = MetaDataset(HTTPDatasetSource("https://example.com/held-out.csv"), name="held out", digest="abc")
    mlflow.log_metric("loss", 0.5, step=1, model_id=model_id, dataset=data, timestamp=1_700_000_000_000)
    mlflow.log_metric("loss", 0.25, step=2, model_id=model_id, timestamp=1_700_000_001_000)
    mlflow.log_metric("loss", float("nan"), step=3, model_id=model_id, timestamp=1_700_000_002_000)
    client.set_logged_model_tags(model_id, {"stage": "trial"})


print(json.dumps(make()))
