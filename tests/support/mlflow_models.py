"""Runs in the environment of MLflow 3: fills a workspace with models of all kinds, and tells them by its client.

`fill URI FOLDER`, `read URI`, `next URI NAME`, `predict URI MODEL…`: the last line printed is JSON.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput, LoggedModelOutput, LoggedModelStatus, Metric, ViewType


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that predicts."""

    def __init__(self, times: int) -> None:
        self.times = times

    def predict(self, context: Any, model_input: list[float]) -> list[float]:
        """So many times what is given."""
        return [value * self.times for value in model_input]


def fill(uri: str, folder: str) -> None:
    """Two runs with models, and registered models with versions of all kinds of sources."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    made = {"artifact_location": Path(folder, "first").as_uri()} if folder != "-" else {}
    experiment_id = client.create_experiment("first", **made)
    mlflow.set_experiment(experiment_id=experiment_id)
    with mlflow.start_run(run_name="train") as run:
        run_id = run.info.run_id
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=Doubled(2), pip_requirements=[], params={"depth": "3", "long": "x" * 6000}
        )
        model_id = logged.model_id
        plain = Path(folder if folder != "-" else ".", "saved").absolute()
        mlflow.pyfunc.save_model(plain, python_model=Doubled(3), pip_requirements=[])
        mlflow.log_artifacts(str(plain), "plain")
        points = [("auc", 0.5, 1, 1), ("auc", 0.75, 2, 2), ("loss", math.nan, 3, 0), ("gain", math.inf, 4, 0)]
        client.log_batch(run_id, [Metric(*p, model_id=model_id, run_id=run_id) for p in points])
        data = ("train", "d1g3st")
        client.log_batch(run_id, [Metric("auc", 0.8, 9, 9, model_id, *data, run_id=run_id)])
        checkpoint = client.create_logged_model(experiment_id, "checkpoint", run_id, model_type="ckpt").model_id
        client.log_outputs(run_id, [LoggedModelOutput(checkpoint, 7)])
        client.finalize_logged_model(checkpoint, LoggedModelStatus.FAILED)
        pending = client.create_logged_model(experiment_id, "pending", tags={"näme": "välue"}).model_id
    client.set_logged_model_tags(model_id, {"team": "growth", "empty": ""})
    with mlflow.start_run(run_name="evaluate") as other:
        client.log_inputs(other.info.run_id, models=[LoggedModelInput(model_id)])
        mlflow.log_metric("accuracy", 0.9, model_id=model_id)
    client.delete_run(other.info.run_id)
    client.create_registered_model("churn", {"owner": "ada"}, "who leaves")
    root = client.get_run(run_id).info.artifact_uri
    sources = [f"models:/{model_id}", f"runs:/{run_id}/plain", "models:/gone", f"models:/{model_id}", f"{root}/plain"]
    for number, source in enumerate(sources, 1):
        has_run = not source.startswith("models:")
        source = f"models:/{model_id}" if source == "models:/gone" else source
        source = "models:/churn/1" if number == 4 else source
        client.create_model_version(
            "churn",
            source,
            run_id if has_run else None,
            {"n": str(number)},
            description=f"the {number}th",
            model_id=model_id if source.startswith("models:/m-") else None,
        )
    client.create_model_version("churn", f"runs:/{run_id}/plain", run_id)
    client.create_model_version("churn", "s3://elsewhere/model")
    client.create_model_version("churn", f"runs:/{run_id}/plain", run_id)
    client.delete_model_version("churn", "3")
    client.delete_model_version("churn", "8")
    client.transition_model_version_stage("churn", "2", "Production")
    client.set_registered_model_alias("churn", "champion", "1")
    client.set_registered_model_alias("churn", "challenger", "5")
    client.set_registered_model_alias("churn", "copy", "4")
    client.create_registered_model("empty")
    mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    ids = {"experiment": experiment_id, "run": run_id, "evaluated": other.info.run_id, "model": model_id}
    print(json.dumps({**ids, "checkpoint": checkpoint, "pending": pending}))


def read(uri: str) -> None:
    """Everything that the client tells of models."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    ids = [experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ALL)]
    told: dict[str, Any] = {"logged": {}, "registered": {}, "versions": {}, "links": {}}
    for model in mlflow.search_logged_models(ids, output_format="list"):
        told["logged"][model.model_id] = {
            **{name: getattr(model, name) or "" for name in ("name", "model_type", "source_run_id", "status_message")},
            **{name: getattr(model, name) for name in ("creation_timestamp", "last_updated_timestamp")},
            "experiment_id": model.experiment_id,
            "status": str(model.status),
            "params": dict(model.params),
            "tags": {key: value for key, value in model.tags.items() if not key.startswith("runsync.")},
            "metrics": sorted(
                [m.key, repr(m.value), m.timestamp, m.step, m.run_id, m.dataset_name or "", m.dataset_digest or ""]
                for m in model.metrics or []
            ),
        }
    for model in client.search_registered_models():
        times = (model.creation_timestamp, model.last_updated_timestamp)
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        told["registered"][model.name] = [model.description or "", dict(model.tags), aliases, *times]
        for version in client.search_model_versions(f"name='{model.name}'"):
            told["versions"][f"{model.name}/{version.version}"] = {
                name: getattr(version, name) or ""  # a server tells no None
                for name in (
                    *("creation_timestamp", "last_updated_timestamp", "description", "user_id", "current_stage"),
                    *("run_id", "run_link", "status", "status_message", "tags"),
                )
            }
    for run in client.search_runs(ids, run_view_type=ViewType.ALL):
        full = client.get_run(run.info.run_id)
        outputs = [[m.model_id, m.step] for m in full.outputs.model_outputs] if full.outputs else []
        told["links"][run.info.run_id] = [[m.model_id for m in full.inputs.model_inputs], sorted(outputs)]
    print(json.dumps(told))


def following(uri: str, name: str) -> None:
    """The number that the next version of a registered model gets."""
    client = MlflowClient(uri)
    print(json.dumps(int(client.create_model_version(name, "s3://elsewhere/next").version)))


def predict(uri: str, *models: str) -> None:
    """What models predict for 1 and 2."""
    mlflow.set_tracking_uri(uri)
    print(json.dumps({model: mlflow.pyfunc.load_model(model).predict([1.0, 2.0]) for model in models}))


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"fill": fill, "read": read, "next": following, "predict": predict}
    verbs[sys.argv[1]](*sys.argv[2:])
