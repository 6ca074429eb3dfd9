"""Runs in the environment of MLflow 3: fills a workspace with models of all kinds, and tells them by its client.

`fill URI FOLDER`, `prompts URI`, `told URI`, `read URI`, `next URI NAME`, `predict URI MODEL…`: the last line
printed is JSON.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
    register_prompts(client, run_id)
    ids = {"experiment": experiment_id, "run": run_id, "evaluated": other.info.run_id, "model": model_id}
    print(json.dumps({**ids, "checkpoint": checkpoint, "pending": pending}))


def register_prompts(client: MlflowClient, run_id: str) -> None:
    """A prompt with versions 1, 2 and 4: of the numbers up to 5 two were deleted."""
    register = mlflow.genai.register_prompt
    register("greeting", "Hello {{name}}", commit_message="first", tags={"by": "ada"})
    register(
        "greeting",
        [{"role": "system", "content": "Grüße {{name}} 😀"}, {"role": "user", "content": "{{question}}"}],
        "for chats",
        {"language": "de"},
        {"type": "object", "properties": {"answer": {"type": "string"}}},
        {"model_name": "m-1", "temperature": 0.2},
    )
    for number in (3, 4, 5):
        register("greeting", f"Dear {{{{name}}}}, {'x' * 6000}{number}")
    client.delete_prompt_version("greeting", "3")
    client.delete_prompt_version("greeting", "5")
    mlflow.genai.set_prompt_alias("greeting", "production", 2)
    mlflow.genai.set_prompt_tag("greeting", "team", "growth")
    client.link_prompt_version_to_run(run_id, "prompts:/greeting/1")
    while "_mlflow_experiment_ids" not in client.get_prompt("greeting").tags:
        time.sleep(0.05)  # a thread sets it


def prompts(client: MlflowClient) -> dict[str, Any]:
    """Everything that the client tells of prompts; experiments by their names."""
    told: dict[str, Any] = {}
    for prompt in mlflow.genai.search_prompts():
        tags = own(prompt.tags)
        ids = tags.pop("_mlflow_experiment_ids", "").strip(",").split(",")
        homes = sorted(client.get_experiment(id).name for id in ids if id)
        fields = ("template", "response_format", "model_config", "commit_message", "creation_timestamp")
        versions = {}
        for number in range(1, 7):
            with suppress(mlflow.MlflowException):  # to load one would put it into the experiment Default
                version = client.get_prompt_version(prompt.name, str(number))
                versions[number] = [
                    own(version.tags),
                    sorted(version.aliases),
                    *(getattr(version, name) for name in fields),
                ]
        told[prompt.name] = [tags, homes, prompt.description or "", prompt.creation_timestamp, versions]
    return told


def fill_prompts(uri: str) -> None:
    """A run in an experiment of its own, and a prompt."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("first")
    with mlflow.start_run() as run:
        register_prompts(MlflowClient(), run.info.run_id)
    print(json.dumps(run.info.run_id))


def tell_prompts(uri: str) -> None:
    """Everything that the client tells of prompts, and what runs tell of them."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    linked = [run.data.tags.get("mlflow.linkedPrompts") for run in client.search_runs(ids)]
    print(json.dumps({"prompts": prompts(client), "linked": linked}))


def own(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith("runsync.")}


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
            "tags": own(model.tags),
            "metrics": sorted(
                [m.key, repr(m.value), m.timestamp, m.step, m.run_id, m.dataset_name or "", m.dataset_digest or ""]
                for m in model.metrics or []
            ),
        }
    for model in client.search_registered_models():
        times = (model.creation_timestamp, model.last_updated_timestamp)
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        told["registered"][model.name] = [model.description or "", own(model.tags), aliases, *times]
        for version in client.search_model_versions(f"name='{model.name}'"):
            told["versions"][f"{model.name}/{version.version}"] = {
                name: getattr(version, name) or ""  # a server tells no None
                for name in (
                    *("creation_timestamp", "last_updated_timestamp", "description", "user_id", "current_stage"),
                    *("run_id", "run_link", "status", "status_message"),
                )
            } | {"tags": own(version.tags)}
    for run in client.search_runs(ids, run_view_type=ViewType.ALL):
        full = client.get_run(run.info.run_id)
        outputs = [[m.model_id, m.step] for m in full.outputs.model_outputs] if full.outputs else []
        told["links"][run.info.run_id] = [[m.model_id for m in full.inputs.model_inputs], sorted(outputs)]
    told["prompts"] = prompts(client)
    told["linked"] = {run: client.get_run(run).data.tags.get("mlflow.linkedPrompts") for run in told["links"]}
    print(json.dumps(told))


def following(uri: str, name: str) -> None:
    """The number that the next version of a registered model gets."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    print(json.dumps(int(client.create_model_version(name, "s3://elsewhere/next").version)))


def predict(uri: str, *models: str) -> None:
    """What models predict for 1 and 2."""
    mlflow.set_tracking_uri(uri)
    print(json.dumps({model: mlflow.pyfunc.load_model(model).predict([1.0, 2.0]) for model in models}))


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"fill": fill, "read": read, "next": following, "predict": predict}
    verbs |= {"prompts": fill_prompts, "told": tell_prompts}
    verbs[sys.argv[1]](*sys.argv[2:])
