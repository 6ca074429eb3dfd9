"""Models in databases: ids, numbers, times, aliases and files are the same wherever they are brought, as MLflow's own
client tells them."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Runner, executable
from support.databases import Databases, Fresh
from support.killing import run_until
from support.models_client import client
from support.servers import MlflowServer

from transfer.commands import export, import_, sync, verify

TARGETS = pytest.mark.parametrize("kind", ["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
PROMPTS = {"prompts": 1, "prompt-versions": 3, "prompt-aliases": 1}
WHOLE = {"logged-models": 3, "registered-models": 2, "model-versions": 6, "model-aliases": 3, **PROMPTS}
PROMPT = "mlflow.prompt.is_prompt"


class Filled(NamedTuple):
    """A database that MLflow's client filled, with the ids of what it made, and all that the client tells of it."""

    url: str
    ids: dict[str, str]
    told: dict[str, Any]


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Read by all tests."""
    database = databases.fresh("sqlite")
    ids = client("fill", database.for_mlflow, str(tmp_path_factory.mktemp("models")))
    return Filled(database.url, ids, client("read", database.for_mlflow))


@pytest.fixture
def target(kind: str, databases: Databases) -> Fresh:
    return databases.fresh(kind)


@pytest.fixture
def place(tmp_path: Path) -> tuple[object, ...]:
    """Where artifacts of a target go."""
    (tmp_path / "artifacts").mkdir()
    return ("--artifacts", tmp_path / "artifacts")


def counts(told: dict[str, Any], what: str) -> dict[str, int]:
    """How many of each kind were created, updated, …"""
    return {kind: tally[what] for kind, tally in told["objects"].items()}


@TARGETS
def test_models_go_through_a_bundle_into_a_database_and_are_the_same_there(
    filled: Filled, target: Fresh, place: tuple[object, ...], runsync: Runner, bundle: Path
) -> None:
    export(runsync, filled.url, bundle)
    assert verify(runsync, bundle, filled.url)["differences"] == []
    import_(runsync, bundle, target.url, *place)
    assert client("read", target.for_mlflow) == filled.told
    assert verify(runsync, bundle, target.url, *place)["differences"] == []
    before = contents(target)
    again = import_(runsync, bundle, target.url, *place)
    assert counts(again, "unchanged") == WHOLE
    assert contents(target) == before
    assert client("next", target.for_mlflow, "churn") == 9
    assert client("next", target.for_mlflow, "empty") == 1


def contents(database: Fresh) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables of models."""
    names = "logged_models logged_model_params logged_model_tags logged_model_metrics registered_models"
    names += " registered_model_tags registered_model_aliases model_versions model_version_tags inputs"
    return {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in names.split()}


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_sync_brings_what_changed_and_no_version_twice(
    filled: Filled, target: Fresh, databases: Databases, place: tuple[object, ...], runsync: Runner
) -> None:
    source = copied(filled, databases)
    sync(runsync, source.url, target.url, *place)
    assert client("read", target.for_mlflow) == filled.told
    before = contents(target)
    assert counts(sync(runsync, source.url, target.url, *place), "unchanged") == WHOLE
    assert contents(target) == before
    source.execute("UPDATE registered_models SET description = 'new' WHERE name = 'churn'")
    source.execute("UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'churn' AND version = 2")
    source.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'")
    source.execute("UPDATE logged_models SET status = 2 WHERE name = 'pending'")
    source.execute("INSERT INTO logged_model_tags VALUES (?, ?, 'new', 'tag')", filled.ids["pending"], "1")
    source.execute(
        "INSERT INTO model_versions (name, version, source, storage_location, current_stage, status)"
        " VALUES ('empty', 3, 's3://elsewhere/x', 's3://elsewhere/x', 'None', 'READY')"
    )
    told = sync(runsync, source.url, target.url, *place)
    changed = {"logged-models": 1, "registered-models": 2, "model-versions": 1, "model-aliases": 1}
    assert counts(told, "updated") == changed | dict.fromkeys(PROMPTS, 0)
    assert counts(told, "created")["model-versions"] == 1
    assert client("read", target.for_mlflow) == client("read", source.for_mlflow)


def test_a_model_gets_another_name_with_all_that_hangs_off_it(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner
) -> None:
    target, renamed = databases.fresh("sqlite"), (*place, "--rename", "churn=prod.ml.churn")
    sync(runsync, filled.url, target.url, *renamed)
    told = client("read", target.for_mlflow)
    assert told == json.loads(json.dumps(filled.told).replace("churn", "prod.ml.churn"))
    (source,) = target.execute("SELECT source FROM model_versions WHERE name = 'prod.ml.churn' AND version = 4")
    assert source == ("models:/prod.ml.churn/1",)
    assert counts(sync(runsync, filled.url, target.url, *renamed), "unchanged") == WHOLE
    assert verify(runsync, filled.url, target.url, *renamed)["differences"] == []


def test_a_version_of_the_same_number_that_is_another_is_named_and_not_touched(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner
) -> None:
    target = databases.fresh("sqlite")
    target.execute("INSERT INTO registered_models (name, description) VALUES ('churn', 'theirs')")
    target.execute("INSERT INTO model_versions (name, version, source, creation_time) VALUES ('churn', 1, 's3://b', 5)")
    target.execute("INSERT INTO registered_models (name) VALUES ('empty')")
    target.execute("INSERT INTO registered_model_tags (name, key, value) VALUES ('empty', ?, 'true')", PROMPT)
    told = sync(runsync, filled.url, target.url, *place, code=3)
    failed = {error["name"]: error["error"] for error in told["failed"]}
    assert "another version of this number" in failed["churn/1"]
    assert "cannot be relied on" in failed["churn@champion"]
    assert "cannot be relied on" in failed["churn@copy"]
    assert "a prompt of this name" in failed["empty"]
    ((source, made),) = target.execute(
        "SELECT source, creation_time FROM model_versions WHERE name = 'churn' AND version = 1"
    )
    assert (source, made) == ("s3://b", 5)
    aliases = target.execute("SELECT alias FROM registered_model_aliases WHERE name = 'churn'")
    assert aliases == [("challenger",)]


def test_an_alias_is_not_set_on_a_version_whose_files_did_not_arrive(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner, bundle: Path
) -> None:
    target = databases.fresh("sqlite")
    done = runsync("sync", filled.url, target.url, *place, "--no-artifacts", "--json")
    assert done.returncode == 3, done.stdout
    assert "has no files here" in done.stdout
    untold = runsync("sync", filled.url, databases.fresh("sqlite").url, "--no-artifacts", "--json").stdout
    told = {one["error"] for one in json.loads(untold)["failed"]}
    assert any(error.endswith("say with --artifacts where that is (a folder or s3://bucket/prefix)") for error in told)
    assert not any("--no-artifacts" in error for error in told)
    assert target.execute("SELECT * FROM registered_model_aliases WHERE name = 'churn'") == []
    sync(runsync, filled.url, target.url, *place)
    assert client("read", target.for_mlflow) == filled.told


@pytest.mark.slow
def test_a_killed_import_is_finished_by_the_next_one(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner, bundle: Path, tmp_path: Path
) -> None:
    export(runsync, filled.url, bundle)
    target = databases.fresh("sqlite")
    moment = 1
    while True:
        arguments = ("import", bundle, target.url, *place)
        killed = run_until(moment, signal.SIGKILL, arguments, tmp_path)
        if killed.code != -signal.SIGKILL:
            break
        moment = moment * 3 if moment < 27 else moment + 58
    assert killed.code == 0, killed.told
    assert client("read", target.for_mlflow) == filled.told
    assert counts(import_(runsync, bundle, target.url, *place), "unchanged") == WHOLE


def test_a_real_server_on_a_restored_database_loads_models_by_alias_version_and_run(
    filled: Filled, databases: Databases, runsync: Runner, bundle: Path, tmp_path: Path
) -> None:
    export(runsync, filled.url, bundle)
    folder = tmp_path / "server"
    folder.mkdir()
    empty = databases.fresh("sqlite").path
    assert empty is not None
    shutil.copy(empty, folder / "mlflow.db")
    import_(runsync, bundle, f"sqlite:///{folder}/mlflow.db", "--artifacts", folder / "artifacts")
    with MlflowServer(executable("3"), folder=folder, gunicorn=True) as server:
        assert client("read", server.url) == filled.told
        run, model = filled.ids["run"], filled.ids["model"]
        doubled = ["models:/churn@champion", "models:/churn/4", "models:/churn@copy", f"models:/{model}"]
        tripled = ["models:/churn/2", "models:/churn@challenger", f"runs:/{run}/plain"]
        doubled.append(f"runs:/{run}/model")
        told = client("predict", server.url, *doubled, *tripled)
        assert told == {**{name: [2.0, 4.0] for name in doubled}, **{name: [3.0, 6.0] for name in tripled}}
        assert client("next", server.url, "churn") == 9


def test_each_workspace_of_a_database_has_models_of_its_own(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner
) -> None:
    target = databases.fresh("sqlite")
    target.execute("INSERT INTO workspaces (name) VALUES ('team')")
    target.execute("INSERT INTO registered_models (name, description) VALUES ('churn', 'another')")
    target.execute("INSERT INTO model_versions (name, version, source) VALUES ('churn', 1, 's3://another')")
    other = contents(target)
    sync(runsync, filled.url, f"{target.url}?workspace=team", *place)
    asked = "SELECT count(*) FROM {} WHERE workspace = 'team'"
    tables = ("registered_models", "model_versions", "registered_model_aliases")
    assert [target.execute(asked.format(name)) for name in tables] == [[(3,)], [(11,)], [(4,)]]
    assert all(row in contents(target)[name] for name, rows in other.items() for row in rows)
    told = verify(runsync, filled.url, f"{target.url}?workspace=team", *place)
    assert told["differences"] == []


def copied(filled: Filled, databases: Databases) -> Fresh:
    """The same again, to be changed."""
    fresh = databases.fresh("sqlite")
    assert fresh.path is not None
    shutil.copy(filled.url.removeprefix("sqlite:///"), fresh.path)
    return fresh


def test_a_database_of_mlflow_2_takes_the_registry_and_logged_models_are_named(
    filled: Filled, databases: Databases, place: tuple[object, ...], runsync: Runner, bundle: Path
) -> None:
    older, newer = databases.fresh("sqlite", "2"), databases.fresh("sqlite")
    told = sync(runsync, filled.url, older.url, *place, code=3)
    assert {left["kind"]: left["count"] for left in told["not_carried"] if left["kind"] != "prompts"} == {
        "logged-models": 3,
        "model-links": 3,
    }
    assert {error["name"] for error in told["failed"]} == {"churn@champion", "churn@copy"}  # of the logged model
    assert older.execute("SELECT alias, version FROM registered_model_aliases WHERE name = 'churn'") == [
        ("challenger", 5)
    ]
    exported = export(runsync, older.url, bundle, *place)
    names = {left["what"]: left["names"] for left in exported["not_carried"]}
    assert names == {"files of model versions that the source no longer has": ["churn/1"]}
    told = import_(runsync, bundle, newer.url, *place)
    assert counts(told, "created") == {"registered-models": 2, "model-versions": 6, "model-aliases": 1, **PROMPTS}
    assert client("next", newer.for_mlflow, "churn") == 9


@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_what_a_database_does_not_take_of_a_model_is_named_and_the_rest_arrives(
    filled: Filled, target: Fresh, databases: Databases, place: tuple[object, ...], runsync: Runner
) -> None:
    source = copied(filled, databases)
    name = "lr" if target.kind == "mysql" else "n\0"
    for key in (name, name.upper()):
        source.execute("INSERT INTO logged_model_params VALUES (?, 1, ?, '1')", filled.ids["pending"], key)
        source.execute("INSERT INTO registered_model_tags (name, key, value) VALUES ('empty', ?, 'x')", key)
        source.execute("INSERT INTO model_version_tags (name, version, key, value) VALUES ('churn', 6, ?, 'x')", key)
    told = sync(runsync, source.url, target.url, *place, code=3)
    refused = 1 if target.kind == "mysql" else 2  # which of the two comes first, each table tells
    kinds = [each["kind"].partition(" of ")[0] for each in told["problems"]]
    assert sorted(kinds) == ["param"] * refused + ["tag"] * 2 * refused
    assert {each["name"].casefold() for each in told["problems"]} == {name}
    assert (told["failed"], counts(told, "created")) == ([], WHOLE)
    there = client("read", target.for_mlflow)
    assert set(there["versions"]) == set(filled.told["versions"])
    assert len(there["registered"]["empty"][1]) == 2 - refused


def test_models_go_from_a_database_to_a_server_and_back_without_a_second_one(
    filled: Filled, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    source = copied(filled, databases)
    with MlflowServer(executable("3"), folder=tmp_path / "server", gunicorn=True) as server:
        sync(runsync, source.url, server.url)
        names = ["models:/churn@champion", "models:/churn@challenger", "models:/churn/4"]
        assert client("predict", server.url, *names) == dict(
            zip(names, ([2.0, 4.0], [3.0, 6.0], [2.0, 4.0]), strict=True)
        )
        before = contents(source)
        told = sync(runsync, server.url, source.url, "--artifacts", tmp_path / "back")
        assert counts(told, "created") == dict.fromkeys(WHOLE, 0)
        after = contents(source)
        changed = {name: rows for name, rows in after.items() if rows != before[name]}
        assert changed.keys() <= {"logged_model_tags"}
        fresh = databases.fresh("sqlite")
        (tmp_path / "artifacts").mkdir()
        sync(runsync, server.url, fresh.url, "--artifacts", tmp_path / "artifacts")
        for (name, model), (_, other) in zip(
            sorted(client("read", fresh.for_mlflow)["registered"].items()),
            sorted(filled.told["registered"].items()),
            strict=True,
        ):
            assert model[:3] == other[:3], name


def test_files_of_a_version_that_hang_off_no_run_go_where_a_server_serves_them(
    filled: Filled, databases: Databases, runsync: Runner, bundle: Path, tmp_path: Path
) -> None:
    source, target, root = copied(filled, databases), databases.fresh("sqlite"), tmp_path / "root"
    for name in ("MLmodel", "data/weights"):
        file = root / "loose" / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name * 1000)
    for number, path in ((9, "mlflow-artifacts:/loose/model"), (10, "/etc")):
        source.execute(
            "INSERT INTO model_versions (name, version, source, storage_location, current_stage, status)"
            " VALUES ('churn', ?, ?, ?, 'None', 'READY')",
            *(number, path, path),
        )
        source.execute(
            "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('churn', ?, ?)", path, number
        )
    told = export(runsync, source.url, bundle, "--artifacts", root, code=3)
    assert [(one["kind"], "keeps no artifacts" in one["reason"]) for one in told["problems"]] == [
        ("artifact of model version", True)
    ]
    place = ("--artifacts", tmp_path / "there")
    for times in range(2):
        told = import_(runsync, bundle, target.url, *place, code=3)
        assert [error["name"] for error in told["failed"]] == ["churn@/etc"]
        assert counts(told, "unchanged")["model-versions"] == 8 * times
        assert times == 0 or told["artifacts"] == 0
    (row,) = target.execute("SELECT source, storage_location FROM model_versions WHERE version = 9")
    assert row[0] == row[1]
    assert row[0].startswith("mlflow-artifacts:/registered-models/")
    there = tmp_path / "there" / row[0].removeprefix("mlflow-artifacts:/")
    assert {p.relative_to(there).as_posix(): p.read_text() for p in there.rglob("*") if p.is_file()} == {
        name: name * 1000 for name in ("MLmodel", "data/weights")
    }
