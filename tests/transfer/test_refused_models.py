"""A param or a tag of a model that the target does not take is named, and the model arrives with all else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.databases import Databases, Fresh
from support.proxy import FaultProxy, Rule, respond
from support.seed import Seeder
from support.servers import MlflowServer

import runsync

OF_MODELS = ("param of logged model", "tag of logged model", "tag of model version", "tag of registered model")
ODD = "odd"
REFUSED = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no such key here"}'


def fill(database: Fresh, folder: Path, odd: str) -> None:
    """One of each kind, with params and tags that the target takes, and one of each that it refuses."""
    model_id, made = "m-" + "1" * 32, 1_700_000_000_000
    home = (folder / "1").as_uri()
    add = "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES (1, 'home', ?, ?)"
    database.execute(add, home, "active")
    place = folder / "1" / "models" / model_id / "artifacts"
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}\n")
    add = "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,"
    add += " last_updated_timestamp_ms, status, lifecycle_stage) VALUES (?, 1, 'net', ?, ?, ?, 2, 'active')"
    database.execute(add, model_id, place.as_uri(), made, made)
    database.execute("INSERT INTO registered_models (name, creation_time) VALUES ('churn', ?)", made)
    add = "INSERT INTO model_versions (name, version, source, storage_location, current_stage, status, creation_time)"
    database.execute(
        f"{add} VALUES ('churn', 1, ?, ?, 'None', 'READY', ?)", f"models:/{model_id}", place.as_uri(), made
    )
    database.execute("INSERT INTO registered_model_aliases (name, alias, version) VALUES ('churn', 'champion', 1)")
    for key in ("good", odd):
        database.execute("INSERT INTO registered_model_tags (name, key, value) VALUES ('churn', ?, 'x')", key)
        add = "INSERT INTO model_version_tags (name, version, key, value) VALUES ('churn', 1, ?, 'x')"
        database.execute(add, key)
        for what in ("param", "tag"):
            add = f"INSERT INTO logged_model_{what}s (model_id, experiment_id, {what}_key, {what}_value)"
            database.execute(f"{add} VALUES (?, 1, ?, 'x')", model_id, key)


def own(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in entries if not each["key"].startswith(("runsync.", "mlflow."))}


def test_a_server_gets_models_without_the_pieces_that_it_refuses(
    databases: Databases, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    target, source = start_server("3"), databases.fresh("sqlite")
    fill(source, tmp_path / "artifacts", ODD)
    target.wait()
    # What it refuses differs from release to release, and by kind: here it is one key everywhere.
    odd = Rule(respond(400, body=REFUSED), of=lambda body: b'"key":"odd"' in body, count=None)
    for number in range(2):
        with FaultProxy(target.url, odd) as proxy:
            report = runsync.sync(source.url, proxy.url, source_artifacts=str(tmp_path / "artifacts"))
        problems = sorted((each["kind"], each["name"]) for each in report.problems)
        assert problems == [(kind, ODD) for kind in OF_MODELS]
        assert (report.exit_code, report.failed) == (3, [])
        counts = {name: (tally.created, tally.updated) for name, tally in report.objects.items()}
        named = ("logged-models", "registered-models", "model-versions")
        assert {counts[name] for name in named} == {(0, 1) if number else (1, 0)}
    with Seeder(target.url) as seeder:
        (logged,) = seeder.post("logged-models/search", experiment_ids=list(report.id_map["experiments"].values()))[
            "models"
        ]
        model = seeder.call("GET", "registered-models/get", name="churn")["registered_model"]
        version = seeder.call("GET", "model-versions/get", name="churn", version="1")["model_version"]
    assert (logged["info"]["status"], own(logged["info"]["tags"])) == ("LOGGED_MODEL_READY", {"good": "x"})
    assert own(logged["data"]["params"]) == {"good": "x"}
    assert (own(model["tags"]), [each["alias"] for each in model["aliases"]]) == ({"good": "x"}, ["champion"])
    assert own(version["tags"]) == {"good": "x"}


def test_a_database_gets_models_without_the_pieces_that_do_not_fit(databases: Databases, tmp_path: Path) -> None:
    source, target, odd = databases.fresh("sqlite"), databases.fresh("postgres"), "k" * 300
    fill(source, tmp_path / "artifacts", odd)
    (tmp_path / "there").mkdir()
    for number in range(2):
        access, here = runsync.Access(artifacts=str(tmp_path / "there")), str(tmp_path / "artifacts")
        report = runsync.sync(source.url, target.url, source_artifacts=here, access=access)
        problems = sorted((each["kind"], each["name"]) for each in report.problems)
        assert problems == [(kind, odd) for kind in OF_MODELS]
        assert (report.exit_code, report.failed) == (3, [])
        assert report.objects["model-aliases"].created == 1 - number
    for table, key in (
        *(("registered_model_tags", "key"), ("model_version_tags", "key")),
        *(("logged_model_params", "param_key"), ("logged_model_tags", "tag_key")),
    ):
        assert target.execute(f"SELECT {key} FROM {table} WHERE {key} NOT LIKE 'runsync.%%'") == [("good",)]
    assert target.execute("SELECT alias, version FROM registered_model_aliases") == [("champion", 1)]
