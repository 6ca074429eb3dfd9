"""Run by an MLflow's own Python: `train_models.py URL` trains models as people do, and prints the ids of their runs.

A search over hyperparameters with autologging (a parent run and its children), an evaluation of a registered model, a
model that was fitted by hand with a signature, and a registry over them.
"""

import json
import sys
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

(url,) = sys.argv[1:]
IS_3 = mlflow.__version__.startswith("3")
mlflow.set_tracking_uri(url)
client = MlflowClient(url)
DATA = load_iris(as_frame=True)


def search() -> str:
    """The run of a grid search: autologging makes a child for each setting."""
    mlflow.sklearn.autolog(log_datasets=True, max_tuning_runs=None)
    with mlflow.start_run(run_name="search") as run:
        GridSearchCV(LogisticRegression(max_iter=200), {"C": [0.1, 1.0]}, cv=2).fit(DATA.data, DATA.target)
    mlflow.sklearn.autolog(disable=True)
    return str(run.info.run_id)


def nested() -> None:
    """A run of three levels; the innermost logs a model."""
    with (
        mlflow.start_run(run_name="pipeline"),
        mlflow.start_run(run_name="prepare", nested=True),
        mlflow.start_run(run_name="group", nested=True),
    ):
        groups = KMeans(3, random_state=0, n_init=1).fit(DATA.data)
        signature = mlflow.models.infer_signature(DATA.data, groups.predict(DATA.data))
        where = {"name": "groups"} if IS_3 else {"artifact_path": "groups"}
        logged = mlflow.sklearn.log_model(groups, signature=signature, **where)
        mlflow.register_model(logged.model_uri, "groups")


def evaluate(uri: str) -> None:
    """The run of an evaluation, which takes the model as an input."""
    rows: Any = pd.concat([DATA.data, DATA.target], axis=1)
    evaluators = {"evaluators": "default", "evaluator_config": {"log_explainer": False}}
    with mlflow.start_run(run_name="evaluation"):
        mlflow.models.evaluate(uri, rows, targets="target", model_type="classifier", **evaluators)


mlflow.set_experiment("iris")
found = search()
mlflow.register_model(f"runs:/{found}/best_estimator", "iris")
client.set_registered_model_alias("iris", "champion", "1")
nested()
evaluate("models:/iris@champion")
client.set_registered_model_alias("groups", "champion", "1")
print(json.dumps({"runs": len(client.search_runs([client.get_experiment_by_name("iris").experiment_id]))}))
