"""Trains a few small models and logs them to MLFLOW_TRACKING_URI, as a team would: the data that the demo moves.

Run by the Python of an MLflow installation (scikit-learn and matplotlib come with it), never by runsync's own. With
--no-models the models themselves are not logged, only what was measured.
"""

import csv
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import mlflow
import mlflow.sklearn
from matplotlib import pyplot
from mlflow.entities import Metric, Param
from mlflow.models import Model
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

EPOCHS = 60
TREES = 150
SEED = 7
WITH_MODELS = "--no-models" not in sys.argv[1:]
AS_MODEL = {"pip_requirements": ["scikit-learn"], "serialization_format": "cloudpickle"}

Curve = Sequence[tuple[str, float, int]]


def main() -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    breast_cancer()
    diabetes()


def breast_cancer() -> None:
    """A parent run, a child for each step width, and what goes wrong in any team: one failed, one thrown away."""
    mlflow.set_experiment("breast-cancer")
    mlflow.set_experiment_tags({"mlflow.note.content": "Malignant or benign, from cell images", "team": "health"})
    data, kinds = load_breast_cancer(return_X_y=True)
    train, test, train_kinds, test_kinds = train_test_split(StandardScaler().fit_transform(data), kinds, random_state=7)
    best = 0.0
    with mlflow.start_run(run_name="step widths", description="Which step width learns best?"):
        for width in (0.0001, 0.001, 0.01):
            with mlflow.start_run(run_name=f"eta0={width}", nested=True, tags={"candidate": "yes"}) as run:
                model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=width, random_state=SEED)
                curve: list[tuple[str, float, int]] = []
                for epoch in range(EPOCHS):
                    model.partial_fit(train, train_kinds, classes=[0, 1])
                    curve.append(("train/loss", log_loss(train_kinds, model.predict_proba(train)), epoch))
                    curve.append(("test/loss", log_loss(test_kinds, model.predict_proba(test)), epoch))
                    curve.append(("test/accuracy", accuracy_score(test_kinds, model.predict(test)), epoch))
                log(run.info.run_id, model.get_params(), curve)
                log_files(run.info.run_id, model, curve, confusion_matrix(test_kinds, model.predict(test)))
                best = max(best, curve[-1][1])
        mlflow.log_metric("best accuracy", best)
    with mlflow.start_run(run_name="diverged") as run:
        log(run.info.run_id, {"eta0": 1e9}, [("train/loss", float("nan"), 0), ("train/loss", float("inf"), 1)])
        mlflow.end_run("FAILED")
    with mlflow.start_run(run_name="wrong data set") as run:
        log(run.info.run_id, {"eta0": 0.01}, [("train/loss", 0.7, 0)])
    mlflow.delete_run(run.info.run_id)


def diabetes() -> None:
    """Boosted trees of several depths; the last one is also logged as an MLflow 3 logged model."""
    mlflow.set_experiment("diabetes")
    data, progress = load_diabetes(return_X_y=True, as_frame=True)
    train, test, train_progress, test_progress = train_test_split(data, progress, random_state=SEED)
    for depth in (1, 2, 3):
        with mlflow.start_run(run_name=f"depth {depth}") as run:
            source = mlflow.data.from_pandas(train.assign(progress=train_progress), name="diabetes", targets="progress")
            mlflow.log_input(source, context="training")
            model = GradientBoostingRegressor(max_depth=depth, n_estimators=TREES, random_state=SEED)
            model.fit(train, train_progress)
            guesses = enumerate(model.staged_predict(test))
            curve = [("test/mse", mean_squared_error(test_progress, guess), tree) for tree, guess in guesses]
            curve.append(("test/r2", r2_score(test_progress, model.predict(test)), 0))
            log(run.info.run_id, model.get_params(), curve)
            log_files(run.info.run_id, model, curve, None)
            if depth == 3 and WITH_MODELS:
                mlflow.sklearn.log_model(model, name="regressor", **AS_MODEL)


def log(run_id: str, params: dict[str, object], curve: Curve) -> None:
    now = int(time.time() * 1000)
    points = [Metric(key, value, now + step, step) for key, value, step in curve]
    pairs = [Param(key, str(value)) for key, value in params.items()]
    mlflow.MlflowClient().log_batch(run_id, metrics=points, params=pairs)


def log_files(run_id: str, model: object, curve: Curve, confusion: Sequence[Sequence[int]] | None) -> None:
    """A plot, tables, and the model with an MLmodel file that names its run."""
    with folder() as place:
        plot(curve, place / "plots" / "curves.png")
        table(place / "curves.csv", [("metric", "value", "step"), *curve])
        if confusion is not None:
            table(place / "confusion matrix.csv", confusion)
        if WITH_MODELS:
            of_run = Model(artifact_path="model", run_id=run_id)
            mlflow.sklearn.save_model(model, place / "model", mlflow_model=of_run, **AS_MODEL)
        mlflow.log_artifacts(str(place))


def plot(curve: Curve, file: Path) -> None:
    file.parent.mkdir()
    figure, axes = pyplot.subplots(figsize=(5, 3), layout="constrained")
    for key in sorted({key for key, _, _ in curve}):
        points = [(step, value) for each, value, step in curve if each == key]
        axes.plot(*zip(*points, strict=True), label=key)
    axes.legend()
    figure.savefig(file)
    pyplot.close(figure)


def table(file: Path, rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


if __name__ == "__main__":
    main()
