"""Traces in databases: MLflow's own client tells, searches and links them in the copy exactly as in the original."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Runner, executable
from support.databases import Databases, Fresh
from support.servers import MlflowServer
from support.traces_client import client

from transfer.commands import sync

TARGETS = pytest.mark.parametrize("kind", ["sqlite", "postgres", pytest.param("mysql", marks=pytest.mark.slow)])
OTHERS = ("--accept", "prompts", "--accept", "issues")
PLACES = ("mlflow.artifactLocation", "mlflow.trace.spansLocation", "mlflow.trace.archiveLocation")


class Filled(NamedTuple):
    """A database that MLflow's client filled, with the ids of what it made, and all that the client tells and finds."""

    url: str
    ids: dict[str, str]
    told: dict[str, Any]
    found: dict[str, Any]


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Read by all tests."""
    database, folder = databases.fresh("sqlite"), tmp_path_factory.mktemp("traces")
    ids = client("fill", database.for_mlflow, str(folder))
    with serving(database, folder / "server") as server:
        return Filled(database.url, ids, read(server.url), client("find", server.url))


def serving(database: Fresh, folder: Path) -> MlflowServer:
    """A server that has this database."""
    where = ("--backend-store-uri", database.for_mlflow)
    return MlflowServer(executable("3"), folder=folder, gunicorn=True, extra=where)


@pytest.fixture
def target(kind: str, databases: Databases) -> Fresh:
    return databases.fresh(kind)


def read(uri: str) -> dict[str, Any]:
    """What the client tells, but for where spans and attachments lie."""
    told: dict[str, Any] = client("read", uri)
    for trace in told.values():
        trace["tags"] = {key: value for key, value in trace["tags"].items() if key not in PLACES}
    return told


def traces(told: dict[str, Any]) -> dict[str, int]:
    """How many were created, updated, …"""
    counts: dict[str, int] = told["objects"]["traces"]
    return {what: count for what, count in counts.items() if count}


@TARGETS
def test_a_server_on_the_copy_tells_finds_and_links_all_traces_as_the_original(
    filled: Filled, target: Fresh, runsync: Runner, tmp_path: Path
) -> None:
    place = ("--artifacts", tmp_path / "artifacts")
    told = sync(runsync, filled.url, target.url, *place, *OTHERS)
    assert traces(told) == {"created": len(filled.told)}
    before = contents(target)
    assert traces(sync(runsync, filled.url, target.url, *place, *OTHERS)) == {"unchanged": len(filled.told)}
    assert contents(target) == before
    with serving(target, tmp_path / "server") as server:
        shutil.copytree(tmp_path / "artifacts", server.artifact_root, dirs_exist_ok=True)
        assert read(server.url) == filled.told
        assert client("find", server.url) == filled.found


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_tags_and_assessments_that_changed_are_brought_up_to_date(
    filled: Filled, target: Fresh, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    source, place = copied(filled, databases), ("--artifacts", tmp_path / "artifacts")
    sync(runsync, source.url, target.url, *place, *OTHERS)
    client("change", source.for_mlflow, filled.ids["rich"])
    source.execute("UPDATE trace_info SET status = 'OK', execution_time_ms = 7 WHERE status = 'IN_PROGRESS'")
    target.execute("INSERT INTO trace_tags (request_id, key, value) VALUES (?, 'theirs', '1')", filled.ids["plain"])
    assert traces(sync(runsync, source.url, target.url, *place, *OTHERS)) == {"updated": 2, "unchanged": 4}
    told, wanted = client("read", target.for_mlflow), client("read", source.for_mlflow)
    for id in (filled.ids["rich"], filled.ids["running"]):
        assert own(told[id]) == own(wanted[id])
    assert told[filled.ids["plain"]]["tags"]["theirs"] == "1"
    assert traces(sync(runsync, source.url, target.url, *place, *OTHERS)) == {"unchanged": 6}


def own(trace: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on where it lies."""
    tags = {key: value for key, value in trace["tags"].items() if key not in PLACES}
    return {**trace, "tags": tags, "attachments": None, "spans": None}


def test_traces_follow_an_experiment_that_got_another_id(
    filled: Filled, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    source, target = copied(filled, databases), databases.fresh("sqlite")
    target.execute("INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (1, 'theirs', 'active')")
    content = "'$.attributes.\"mlflow.experimentId\"'"
    source.execute(f"UPDATE spans SET content = json_set(content, {content}, '\"1\"') WHERE name = 'chain'")
    sync(runsync, source.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS)
    ((number,),) = target.execute("SELECT experiment_id FROM experiments WHERE name = 'traced'")
    assert number != 1
    asked = "SELECT DISTINCT experiment_id FROM {} WHERE trace_id = ?"
    for table in ("spans", "assessments"):
        assert target.execute(asked.format(table), filled.ids["rich"]) == [(number,)]
    ((told,),) = target.execute(f"SELECT json_extract(content, {content}) FROM spans WHERE name = 'chain'")
    assert told == f'"{number}"'
    told = sync(runsync, source.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS)
    assert traces(told) == {"unchanged": len(filled.told)}


def test_a_trace_whose_id_another_experiment_has_is_named_and_not_touched(
    filled: Filled, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    target = databases.fresh("sqlite")
    row = "(request_id, experiment_id, timestamp_ms, status)"
    target.execute(f"INSERT INTO trace_info {row} VALUES (?, 0, 5, 'OK')", filled.ids["plain"])
    told = sync(runsync, filled.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS, code=3)
    assert ["in another experiment" in error["error"] for error in told["failed"]] == [True]
    assert traces(told) == {"created": 5, "failed": 1}
    asked = "SELECT timestamp_ms FROM trace_info WHERE request_id = ?"
    assert target.execute(asked, filled.ids["plain"]) == [(5,)]


def test_a_span_that_cannot_be_read_is_named_and_the_others_arrive(
    filled: Filled, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    source, target = copied(filled, databases), databases.fresh("sqlite")
    source.execute("UPDATE spans SET content = '{' WHERE name = 'retrieve'")
    source.execute("UPDATE assessments SET value = 'no json' WHERE name = 'checks'")
    told = sync(runsync, source.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS, code=3)
    assert sorted(problem["kind"] for problem in told["problems"]) == ["assessment of trace", "span of trace"]
    assert traces(told) == {"created": len(filled.told)}
    names = target.execute("SELECT name FROM spans WHERE trace_id = ?", filled.ids["rich"])
    assert {"chain", "llm", "tool", "own type"} == {name for (name,) in names}


@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_what_a_database_does_not_take_of_a_trace_is_named_and_the_rest_arrives(
    filled: Filled, target: Fresh, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    source = copied(filled, databases)
    rich, plain = filled.ids["rich"], filled.ids["plain"]
    nul = "n\0" if target.kind == "postgres" else "x" * 9000
    source.execute("INSERT INTO trace_tags (request_id, key, value) VALUES (?, 'odd', ?)", rich, nul)
    source.execute("INSERT INTO trace_request_metadata (request_id, key, value) VALUES (?, 'odd', ?)", rich, nul)
    source.execute("UPDATE trace_info SET request_preview = ? WHERE request_id = ?", "é" * 2000, plain)
    source.execute("UPDATE spans SET name = ? WHERE name = 'tool'", "to\0ol")
    source.execute("UPDATE assessments SET source_id = ? WHERE name = 'checks'", "s" * 300)
    told = sync(runsync, source.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS, code=3)
    assert (told["failed"], traces(told)) == ([], {"created": len(filled.told)})
    named = sorted((problem["kind"].removesuffix(" of trace"), problem["name"]) for problem in told["problems"])
    assert named == [("assessment", "checks"), ("field", "request_preview"), ("metadata", "odd"), ("tag", "odd")]
    there = client("read", target.for_mlflow)
    assert len(there[plain]["request_preview"]) == 1000
    assert len(there[rich]["spans"]) == len(filled.told[rich]["spans"])
    again = sync(runsync, source.url, target.url, "--artifacts", tmp_path / "artifacts", *OTHERS, code=3)
    assert traces(again) == {"unchanged": len(filled.told)}


def copied(filled: Filled, databases: Databases) -> Fresh:
    """The same again, to be changed."""
    fresh = databases.fresh("sqlite")
    assert fresh.path is not None
    shutil.copy(filled.url.removeprefix("sqlite:///"), fresh.path)
    return fresh


def contents(database: Fresh) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables of traces."""
    names = "trace_info trace_tags trace_request_metadata spans assessments entity_associations"
    return {name: sorted(database.execute(f"SELECT * FROM {name}"), key=repr) for name in names.split()}
