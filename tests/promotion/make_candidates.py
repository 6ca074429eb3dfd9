"""Run by an MLflow's own Python: `make_candidates.py URI FOLDER` logs three models and registers them as churn.

FOLDER is where their experiment has its artifacts, `-` for where the server has them. The last line printed is JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

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


def make(uri: str, folder: str) -> dict[str, Any]:
    """Version 1 predicts 2 times its input, version 2 three times, version 3 four times."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    where = {"artifact_location": Path(folder, "train").as_uri()} if folder != "-" else {}
    mlflow.set_experiment(experiment_id=client.create_experiment("train", **where))
    Path("scaled.py").write_text(CODE)
    runs = []
    for factor in (2, 3, 4):
        with mlflow.start_run(run_name=f"times {factor}") as run:
            Path("factor.txt").write_text(str(factor))
            kept: dict[str, Any] = {"artifacts": {"factor": "factor.txt"}, "pip_requirements": ["mlflow"]}
            logged = mlflow.pyfunc.log_model(name="net", python_model="scaled.py", **kept)
            mlflow.log_metrics({"auc": 0.5 + factor / 10, "loss": 1 / factor, "odd": float("nan")})
            mlflow.log_text("by hand", "notes.txt")
            mlflow.set_tag("mlflow.source.git.commit", f"c0ffee{factor}")
        mlflow.register_model(logged.model_uri, "churn", tags={"reviewed": "yes" if factor > 2 else "no"})
        runs.append(run.info.run_id)
    client.set_registered_model_alias("churn", "candidate", "3")
    return {"runs": runs}


print(json.dumps(make(*sys.argv[1:])))
