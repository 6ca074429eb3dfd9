"""Prints as JSON what a real MLflow client reads in a file store: run by the Python of an MLflow release."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

DATASET = ("name", "digest", "source_type", "source", "schema", "profile")


def main(folder: str) -> None:
    uri = Path(folder).absolute().as_uri()
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    experiments = {}
    runs = {}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        experiments[experiment.experiment_id] = {
            "name": experiment.name,
            "stage": experiment.lifecycle_stage,
            "location": experiment.artifact_location,
            "created": experiment.creation_time,
            "updated": experiment.last_update_time,
            "tags": experiment.tags,
        }
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
            runs[run.info.run_id] = told(client, client.get_run(run.info.run_id))
    print(json.dumps({"experiments": experiments, "runs": runs}))


def told(client: MlflowClient, run: Run) -> dict[str, Any]:
    inputs = getattr(run, "inputs", None)
    outputs = getattr(run, "outputs", None)
    return {
        "experiment": run.info.experiment_id,
        "name": run.info.run_name,
        "user": run.info.user_id,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "stage": run.info.lifecycle_stage,
        "uri": run.info.artifact_uri,
        "params": run.data.params,
        "tags": run.data.tags,
        "latest": {k: repr(v) for k, v in run.data.metrics.items()},
        "history": {
            key: [[m.timestamp, repr(m.value), m.step] for m in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        },
        "datasets": sorted(
            [
                [*(getattr(d.dataset, name) or "" for name in DATASET), {t.key: t.value for t in d.tags}]
                for d in (inputs.dataset_inputs if inputs else [])
            ],
            key=str,
        ),
        "model_inputs": sorted(m.model_id for m in getattr(inputs, "model_inputs", None) or []),
        "model_outputs": sorted([m.model_id, m.step] for m in getattr(outputs, "model_outputs", None) or []),
    }


main(sys.argv[1])
