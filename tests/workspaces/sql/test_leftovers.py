"""What stays behind is named and counted; registered and logged models that hang off a run are told."""

from collections.abc import Callable

from support.databases import Fresh

from runsync.model.experiment import Experiment
from runsync.model.run import ModelVersion
from runsync.workspaces.sql.store import SqlStore

Open = Callable[[str], SqlStore]


def test_what_stays_behind_is_counted_for_the_workspace_in_question(database: Fresh, opened: Open) -> None:
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
    secret = (
        "INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version, masked_value,"
        " created_at, last_updated_at, workspace) VALUES (?, ?, ?, ?, 1, '{}', 1, 1, ?)"
    )
    for name, workspace in (("one", "default"), ("two", "other"), ("three", "default")):
        database.execute(secret, f"s-{name}", name, b"x", b"x", workspace)
    store.refresh()

    found = {left.what: (left.count, left.names) for left in store.left_behind(["7", "not one of this database"])}
    assert found == {"gateway secrets": (2, ("one", "three"))}
    assert store.model_versions(run) == (ModelVersion("m1", "1", "Production"), ModelVersion("m1", "2", ""))
    assert store.model_versions("b" * 32) == ()


def test_the_artifact_root_is_beside_the_experiments_that_are_there(database: Fresh, opened: Open) -> None:
    store = opened(database.url)
    assert store.default_artifact_root("{experiment_id}") == "mlflow-artifacts:/{experiment_id}"
    store.create_experiment(Experiment("3", "custom", artifact_location="s3://elsewhere/custom"))
    store.create_experiment(Experiment("4", "plain", artifact_location="s3://bucket/place/4"))
    store.refresh()
    assert store.default_artifact_root("9") == "s3://bucket/place/9"
