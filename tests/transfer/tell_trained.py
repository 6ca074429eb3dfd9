"""Run by an MLflow's own Python: `tell_trained.py URL` prints what its client tells of all runs and models of a
server, by names instead of the ids that each server gives itself, and what each champion predicts."""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris

(url,) = sys.argv[1:]
IS_3 = mlflow.__version__.startswith("3")
mlflow.set_tracking_uri(url)
client = MlflowClient(url)
DATA = load_iris(as_frame=True).data
OF_IDS = ("mlflow.parentRunId", "mlflow.log-model.history", "mlflow.rootRunId")


def tell() -> dict[str, Any]:
    """Params, tags, whole histories, datasets, files, parents, and the models that go in and out."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments)
    names = {run.info.run_id: run.info.run_name for run in runs}
    models = client.search_logged_models(experiments) if IS_3 else []
    called = {model.model_id: f"{model.name} of {names[model.source_run_id]}" for model in models}

    def plain(text: str) -> str:
        for an_id, name in [*names.items(), *called.items()]:
            text = text.replace(an_id, name)
        return text

    told: dict[str, Any] = {}
    for run in runs:
        run_id, tags = run.info.run_id, run.data.tags
        points = [[key, p.step, p.timestamp, str(p.value)] for key in run.data.metrics for p in
                  client.get_metric_history(run_id, key)]  # fmt: skip
        told[names[run_id]] = {
            "of": [run.info.status, run.info.start_time, run.info.end_time, run.data.params],
            "tags": {k: v for k, v in tags.items() if k not in OF_IDS and not k.startswith("runsync.")},
            "parent": names.get(tags.get("mlflow.parentRunId", "")),
            "points": sorted(points),
            "datasets": [plain(str(each)) for each in run.inputs.dataset_inputs],
            "files": files(run_id),
            "inputs": sorted(called[each.model_id] for each in run.inputs.model_inputs) if IS_3 else [],
            "outputs": sorted(called[each.model_id] for each in run.outputs.model_outputs) if IS_3 else [],
        }
    for model in models:
        metrics = [
            [m.key, m.step, m.timestamp, str(m.value), m.dataset_name, names[m.run_id]] for m in model.metrics or []
        ]
        told[called[model.model_id]] = [str(model.status), model.params, model.model_type, sorted(metrics)]
    predicted = {}
    for model in client.search_registered_models():
        version = client.get_model_version_by_alias(model.name, "champion")
        told[f"models:/{model.name}"] = [version.version, names[version.run_id], version.status]
        rows = mlflow.pyfunc.load_model(f"models:/{model.name}@champion").predict(DATA)
        predicted[model.name] = [str(row) for row in rows][::10]
    search = next(run_id for run_id, name in names.items() if name == "search")
    rows = mlflow.sklearn.load_model(f"runs:/{search}/best_estimator").predict(DATA)
    return {"told": told, "predicted": predicted | {"runs:": [str(row) for row in rows][::10]}}


def files(run_id: str, path: str = "") -> list[Any]:
    """All of a run, with their sizes; the ids in a model's own file may be of other lengths."""
    found: list[Any] = []
    for file in client.list_artifacts(run_id, path):
        found += files(run_id, file.path) if file.is_dir else [[file.path, file.file_size]]
    return found


print(json.dumps(tell()))
