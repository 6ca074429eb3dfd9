"""What stays behind is named and counted; registered and logged models that hang off a run are told."""

from collections.abc import Callable

import pytest
from support.databases import Fresh

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.run import ModelVersion
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]


def test_what_stays_behind_is_counted_for_the_experiments_in_question(database: Fresh, opened: Open) -> None:
    store = opened(database.url)
    store.create_experiment(Experiment("7", "vision"))
    store.create_experiment(Experiment("8", "other"))
    run = "a" * 32
    for name in ("m1", "m2", "prompt"):
        database.execute("INSERT INTO registered_models (name) VALUES (?)", name)
    key = "`key`" if database.kind == "mysql" else "key"
    is_prompt = f"INSERT INTO registered_model_tags (name, {key}, value) VALUES (?, ?, ?)"
    database.execute(is_prompt, "prompt", "mlflow.prompt.is_prompt", "true")
    version = "INSERT INTO model_versions (name, version, current_stage, run_id) VALUES (?, ?, ?, ?)"
    for name, number, stage in (("m1", 1, "Production"), ("m1", 2, "None"), ("m2", 1, "Deleted_Internal")):
        database.execute(version, name, number, stage, run)
    logged = (
        "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
        " last_updated_timestamp_ms, status, lifecycle_stage) VALUES (?, ?, ?, 's3://b/m', 1, 1, 2, 'active')"
    )
    database.execute(logged, "m-1", 7, "model")
    database.execute(logged, "m-2", 8, "model")
    trace = "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES (?, ?, 1, 'OK')"
    for request_id, experiment_id in (("t1", 7), ("t2", 7), ("t3", 8)):
        database.execute(trace, request_id, experiment_id)
    database.execute("INSERT INTO scorers (experiment_id, scorer_name, scorer_id) VALUES (7, 's', 'id')")
    dataset = "INSERT INTO evaluation_datasets (dataset_id, name) VALUES (?, ?)"
    for name in "123":
        database.execute(dataset, f"d-{name}", f"data {name}")
    link = (
        "INSERT INTO entity_associations (association_id, source_type, source_id, destination_type, destination_id)"
        " VALUES (?, 'evaluation_dataset', ?, 'experiment', ?)"
    )
    database.execute(link, "1", "d-1", "7")
    database.execute(link, "2", "d-2", "8")
    store.refresh()

    found = {left.what: (left.count, left.names) for left in store.left_behind(["7", "not one of this database"])}
    assert found == {
        "prompts": (1, ("prompt",)),
        "traces": (2, ()),
        "scorers": (1, ()),
        "evaluation datasets": (2, ("data 1", "data 3")),
    }
    assert store.model_versions(run) == (ModelVersion("m1", "1", "Production"), ModelVersion("m1", "2", ""))
    assert store.model_versions("b" * 32) == ()
    assert store.model_folder("m-1") == ("model", "s3://b/m")
    with pytest.raises(RequestRefused, match="no logged model"):
        store.model_folder("m-3")


def test_the_artifact_root_is_beside_the_experiments_that_are_there(database: Fresh, opened: Open) -> None:
    store = opened(database.url)
    assert store.default_artifact_root("{experiment_id}") == "mlflow-artifacts:/{experiment_id}"
    store.create_experiment(Experiment("3", "custom", artifact_location="s3://elsewhere/custom"))
    store.create_experiment(Experiment("4", "plain", artifact_location="s3://bucket/place/4"))
    store.refresh()
    assert store.default_artifact_root("9") == "s3://bucket/place/9"
