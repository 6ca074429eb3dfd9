"""Run by MLflow 2's own Python: `fill FOLDER`, `read FOLDER`, `next FOLDER` of a file store; prints JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

verb, folder = sys.argv[1:]
mlflow.set_tracking_uri(folder)
client = MlflowClient()
NAME = "a b-c.d (1)"


def fill() -> str:
    mlflow.set_experiment("two")
    with mlflow.start_run() as run:
        mlflow.log_text("of the model", "model/MLmodel")
    source = f"runs:/{run.info.run_id}/model"
    client.create_registered_model(NAME, {"k/e": "v", "empty": ""}, "about")
    for number in "123":
        client.create_model_version(NAME, source, run.info.run_id, {"n": number}, "http://x/y", "one\ntwo: ümlaut")
    client.delete_model_version(NAME, "3")
    client.set_registered_model_alias(NAME, "best", "1")
    client.transition_model_version_stage(NAME, "1", "Staging")
    client.create_registered_model("empty")
    return str(run.info.run_id)


def own(tags: dict[str, str]) -> dict[str, str]:
    """Without those of a copy."""
    return {key: value for key, value in tags.items() if not key.startswith("runsync.")}


def read() -> dict[str, Any]:
    told: dict[str, Any] = {}
    for model in client.search_registered_models():
        found = client.search_model_versions(f"name='{model.name}'")
        told[model.name] = {
            **{name: getattr(model, name) for name in ("description", "aliases")},
            "tags": own(model.tags),
            "times": [model.creation_timestamp, model.last_updated_timestamp],
            "versions": {
                version.version: {**dict(version), "aliases": list(version.aliases), "tags": own(version.tags)}
                for version in found
            },
        }
    path = mlflow.artifacts.download_artifacts(f"models:/{NAME}@best")
    told["loaded"] = Path(path, "MLmodel").read_text(encoding="utf-8")
    return told


def following() -> int:
    return int(client.create_model_version(NAME, "s3://elsewhere/next").version)


print(json.dumps({"fill": fill, "read": read, "next": following}[verb]()))
