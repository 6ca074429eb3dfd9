"""Run by an MLflow's own Python: `told_models.py URL MODEL...` prints what its client tells of all models, without
the ids that each server gives itself, and what the named ones predict."""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient

url, *uris = sys.argv[1:]
IS_3 = mlflow.__version__.startswith("3")
mlflow.set_tracking_uri(url)
client = MlflowClient(url)


def own(tags: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in tags.items() if not k.startswith("runsync.") and k != "mlflow.modelVersions"}


def told() -> dict[str, Any]:
    experiments = client.search_experiments(view_type=3)
    ids = [e.experiment_id for e in experiments]
    runs = {r.info.run_id: r for r in client.search_runs(ids, run_view_type=3)}
    names = {run_id: run.info.run_name for run_id, run in runs.items()}
    logged = client.search_logged_models(ids) if IS_3 else []
    called = {m.model_id: f"{m.name} of {names.get(m.source_run_id, m.source_run_id)}" for m in logged}
    links = {}
    for run_id in runs if IS_3 else ():
        run = client.get_run(run_id)
        inputs = [called[m.model_id] for m in run.inputs.model_inputs]
        outputs = [[called[m.model_id], m.step] for m in run.outputs.model_outputs] if run.outputs else []
        links[names[run_id]] = [inputs, outputs, run.info.lifecycle_stage]
    models = {}
    for m in logged:
        points = [[p.key, str(p.value), p.step, p.timestamp, p.dataset_name] for p in m.metrics or []]
        models[called[m.model_id]] = [m.params, own(m.tags), str(m.status), m.model_type, sorted(points)]
    registered = {}
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name='{model.name}'")
        registered[model.name] = {
            "description": model.description or "",
            "tags": own(model.tags),
            "aliases": model.aliases,
            "versions": sorted(
                [int(v.version), names.get(v.run_id, v.run_id), v.description, own(v.tags), v.current_stage, v.status]
                for v in versions
            ),
        }
    return {"links": links, "logged": models, "registered": registered}


predicted = {uri: mlflow.pyfunc.load_model(uri).predict([1, 2, 3]) for uri in uris}
print(json.dumps({**told(), "predicted": predicted}))
