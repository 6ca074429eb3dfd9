"""Run by an MLflow's own Python: `make_parts.py URI FOLDER` logs two models of one run, and one of no run.

The last line printed is JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, LoggedModelOutput


def make(uri: str, folder: str) -> dict[str, Any]:
    """The run of pair/1 and pair/2 has a parent and a dataset; loose/1 is of none, in an experiment without runs."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    homes = {name: client.create_experiment(name, Path(folder, name).as_uri()) for name in ("runs", "loose")}
    parent = client.create_run(homes["runs"], run_name="parent").info.run_id
    run = client.create_run(homes["runs"], run_name="pair", tags={"mlflow.parentRunId": parent}).info.run_id
    client.log_inputs(run, [DatasetInput(Dataset("data", "d1g3st", "local", "{}"))])
    made: dict[str, str] = {}
    for name, version_of, run_id in (("left", "pair", run), ("right", "pair", run), ("loose", "loose", None)):
        logged = client.create_logged_model(homes["runs" if run_id else "loose"], name, run_id).model_id
        files = Path(folder, "files", name)
        files.mkdir(parents=True)
        (files / "MLmodel").write_text(f"flavors: {{none: {{}}}}\nmodel_id: {logged}\n")
        (files / "weights.bin").write_bytes(name.encode() * 100)
        client.log_model_artifacts(logged, str(files))
        client.finalize_logged_model(logged, "READY")
        if run_id:
            client.log_outputs(run_id, [LoggedModelOutput(logged, 0)])
        if not made.get(version_of):
            client.create_registered_model(version_of)
        client.create_model_version(version_of, f"models:/{logged}", run_id, model_id=logged)
        made |= {name: logged, version_of: "made"}
    return {**made, "run": run}


print(json.dumps(make(*sys.argv[1:])))
