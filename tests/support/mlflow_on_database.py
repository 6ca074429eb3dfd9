"""Runs in the environment of an MLflow release: makes, fills and reads a database by MLflow itself.

`initialise URI`, `upgrade URI REVISION`, `fill URI`, `read URI [PREFIX]`: the last line printed is JSON.
"""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag, ViewType

IS_OLD = mlflow.__version__.startswith("1.")


def initialise(uri: str, revision: str | None = None) -> None:
    """All tables, of the newest revision or of another."""
    from mlflow.store.db import utils

    engine = utils.create_sqlalchemy_engine_with_retry(uri)
    if revision is None:
        utils._initialize_tables(engine)
        return
    from alembic import command

    utils.InitialBase.metadata.create_all(engine)
    upgrade(uri, revision, command, engine, utils)


def upgrade(uri: str, revision: str, command: Any, engine: Any, utils: Any) -> None:
    """As `mlflow db upgrade`, but to a revision."""
    config = utils._get_alembic_config(uri)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def stages(folder: str, *revisions: str) -> None:
    """A SQLite file of each revision: FOLDER/REVISION.db."""
    import shutil

    from alembic import command
    from mlflow.store.db import utils

    before = ""
    for revision in revisions:
        path = f"{folder}/{revision}.db"
        if before:
            shutil.copyfile(before, path)
        uri = f"sqlite:///{path}"
        engine = utils.create_sqlalchemy_engine_with_retry(uri)
        if not before:
            utils.InitialBase.metadata.create_all(engine)
        upgrade(uri, revision, command, engine, utils)
        engine.dispose()
        before = path


def fill(uri: str) -> None:
    """Two experiments with runs of all kinds."""
    client = mlflow.MlflowClient(uri) if hasattr(mlflow, "MlflowClient") else mlflow.tracking.MlflowClient(uri)
    first = client.create_experiment("first", artifact_location="s3://bucket/first", tags={"team": "vision é 😀"})
    second = client.create_experiment("second")
    made = []
    for number in range(7):
        run = client.create_run(first, start_time=1_700_000_000_000 + number // 2, tags={"n": str(number)})
        made.append(run.info.run_id)
    rich = made[0]
    points = [Metric("loss", value, 1_700_000_000_000 + i, i) for i, value in enumerate([0.1, 1 / 3, 5e-324, -1e300])]
    points += [Metric("loss", math.nan, 1_700_000_000_009, 9), Metric("odd/näme 1", math.inf, 1, -5)]
    points += [Metric("back", float(i), 1_700_000_000_000, 10 - i) for i in range(5)]
    params = [Param("lr", "0.1"), Param("näme", "välue 😀"), Param("empty", "")]
    client.log_batch(rich, points, params, [RunTag("mlflow.note.content", "a\nb"), RunTag("mlflow.user", "ada")])
    if not IS_OLD:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset("train", "d1g3st", "local", '{"uri": "x"}', '{"schema": 1}', '{"rows": 2}')
        client.log_inputs(rich, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
        client.log_inputs(made[1], [DatasetInput(data, [])])
    client.set_terminated(rich, "FINISHED", 1_700_000_100_000)
    client.set_terminated(made[1], "FAILED", 1_700_000_100_001)
    client.delete_run(made[2])
    client.delete_experiment(second)
    print(json.dumps({"first": first, "second": second, "runs": made}))


def read(uri: str, prefix: str = "") -> None:
    """Everything that the client tells of experiments whose names begin so."""
    client = mlflow.MlflowClient(uri) if hasattr(mlflow, "MlflowClient") else mlflow.tracking.MlflowClient(uri)
    if IS_OLD:
        experiments = client.list_experiments(view_type=ViewType.ALL)
    else:
        experiments = client.search_experiments(view_type=ViewType.ALL)
    experiments = [experiment for experiment in experiments if experiment.name.startswith(prefix)]
    told: dict[str, dict[str, Any]] = {"experiments": {}, "runs": {}}
    for experiment in experiments:
        told["experiments"][experiment.experiment_id] = {
            "name": experiment.name,
            "lifecycle_stage": experiment.lifecycle_stage,
            "artifact_location": experiment.artifact_location,
            "creation_time": experiment.creation_time,
            "last_update_time": experiment.last_update_time,
            "tags": dict(experiment.tags),
        }
    ids = [experiment.experiment_id for experiment in experiments]
    token = None
    while True:
        page = client.search_runs(ids, run_view_type=ViewType.ALL, max_results=1000, page_token=token)
        for run in page:
            told["runs"][run.info.run_id] = document(client, run)
        token = page.token
        if not token:
            break
    print(json.dumps(told))


def in_order(points: list[Metric]) -> list[Metric]:
    """MLflow 1 gives them in any order."""
    return sorted(points, key=lambda m: (m.timestamp, m.step, m.value)) if IS_OLD else points


def document(client: mlflow.tracking.MlflowClient, run: Run) -> dict[str, Any]:
    """One run, with its whole metric history."""
    info = run.info
    found = {
        "experiment_id": info.experiment_id,
        "name": info.run_name,
        "user_id": info.user_id,
        "status": info.status,
        "start_time": info.start_time,
        "end_time": info.end_time,
        "lifecycle_stage": info.lifecycle_stage,
        "artifact_uri": info.artifact_uri,
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "latest": sorted([m.key, repr(m.value), m.timestamp, m.step] for m in run.data._metric_objs),
        "history": {
            key: [[repr(m.value), m.timestamp, m.step] for m in in_order(client.get_metric_history(info.run_id, key))]
            for key in run.data.metrics
        },
        "datasets": [],
        "model_inputs": [],
        "model_outputs": [],
    }
    if IS_OLD:
        return found
    for used in run.inputs.dataset_inputs if run.inputs else []:
        data = used.dataset
        texts = [data.name, data.digest, data.source_type, data.source, data.schema, data.profile]
        found["datasets"].append([*texts, {tag.key: tag.value for tag in used.tags}])
    found["datasets"].sort(key=lambda one: one[:2])
    full = client.get_run(info.run_id)
    found["model_inputs"] = sorted(m.model_id for m in getattr(full.inputs, "model_inputs", None) or [])
    outputs = getattr(full, "outputs", None)
    found["model_outputs"] = sorted([m.model_id, m.step] for m in outputs.model_outputs) if outputs else []
    return found


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {"initialise": initialise, "stages": stages, "fill": fill, "read": read}
    verbs[sys.argv[1]](*sys.argv[2:])
