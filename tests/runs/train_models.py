"""Run by an MLflow's own Python: logs models into a server, and prints what they predict for the snippets' examples."""

import json
import sys

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(sys.argv[2])
COLUMNS = ["plain", "a 'b'", "count"]
data = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.0], [4.0, 4.0, 1.0], [0.0, 3.0, 2.0]])
answers = np.array([1.0, 2.0, 5.0, 7.0])
frame = pd.DataFrame(data, columns=COLUMNS).astype({"count": "int64"})


def log(model: LinearRegression, given: object, name: str) -> None:
    where = {"name": name} if mlflow.__version__.startswith("3") else {"artifact_path": name}
    kept = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
    mlflow.sklearn.log_model(model, signature=infer_signature(given, model.predict(given)), **kept, **where)


told = {}
of_frames, of_tensors = LinearRegression().fit(frame, answers), LinearRegression().fit(data, answers)
with mlflow.start_run(run_name="frame") as run:
    log(of_frames, frame, "model")
    ones = pd.DataFrame([[1.0, 1.0, 1]], columns=COLUMNS)
    told["frame"] = {"run_id": run.info.run_id, "expected": of_frames.predict(ones).tolist()}
with mlflow.start_run(run_name="tensor") as run:
    log(of_tensors, data, "model")
    told["tensor"] = {"run_id": run.info.run_id, "expected": of_tensors.predict(np.zeros((1, 3))).tolist()}
with mlflow.start_run(run_name="two") as run:
    log(of_frames, frame, "first")
    log(of_tensors, data, "second")
    told["two"] = {"run_id": run.info.run_id, "expected": of_tensors.predict(np.zeros((1, 3))).tolist()}
print(json.dumps(told))
