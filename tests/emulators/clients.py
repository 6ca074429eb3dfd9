"""Clients that are not ours, for the cross-check: MLflow's, in a process of its own."""

import json
import os
from pathlib import Path
from typing import Any

from support import forks
from support.forks import clean_environment

from emulators.databricks import Databricks

ROOT = Path(__file__).resolve().parents[2]
MLFLOW = {
    release: Path(os.environ.get(f"RUNSYNC_TEST_MLFLOW_{release}", ROOT / f".venvs/mlflow-{release}/bin/mlflow"))
    for release in "23"
}
"""The mlflow commands of releases 2 and 3 (read before any test cleans the environment)."""

BEFORE = """
import json, math, pathlib, sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import *
client = MlflowClient()
def tell(**values):
    print("TOLD " + json.dumps(values))
"""


def with_mlflow(
    workspace: Databricks, script: str, folder: Path, *, release: str = "3", **environment: str
) -> dict[str, Any]:
    """Runs a script with MLflow's client set on a workspace; returns what the script gave to `tell`.

    `HOME` in the script stands for the owner's folder.
    """
    variables = (
        clean_environment()
        | workspace.environment
        | {
            "MLFLOW_TRACKING_URI": "databricks",
            "MLFLOW_REGISTRY_URI": "databricks",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HOME": str(folder),
            "PYTHONPATH": "",
            **environment,
        }
    )
    code = BEFORE + script.replace("HOME", workspace.home)
    done = forks.run(MLFLOW[release], ["-c", code], variables, folder, ["databricks.sdk"])
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("TOLD "):
            told |= json.loads(line[5:])
    return told
