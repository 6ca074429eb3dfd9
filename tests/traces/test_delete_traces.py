"""traces delete: by id, time and filter; asked first, braked, backed up; on servers, databases and file stores."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.databases import Databases
from support.servers import MlflowServer
from support.trace_places import Places

import runsync as package
from runsync.bundle import schemas
from runsync.bundle.snapshot import open_snapshot
from runsync.kinds.traces import TRACES

pytestmark = pytest.mark.server

Start = Callable[..., MlflowServer]
ACCEPT = ["prompts", "issues"]


@pytest.fixture(params=["server", "database", pytest.param("file store", marks=pytest.mark.slow)])
def place(
    request: pytest.FixtureRequest, places: Places, databases: Databases, tmp_path: Path, start_server: Start
) -> Iterator[str]:
    """A copy of the traces, to be changed."""
    fresh, store = databases.fresh("sqlite"), str(tmp_path / "store")
    target = store if request.param == "file store" else fresh.url
    accept = [*ACCEPT, "missing-pieces", "logged-models", "registered-models", "issues"]
    package.sync(places.database, target, accept=accept, artifacts=False)
    if request.param == "server":
        server = start_server(extra=("--backend-store-uri", fresh.for_mlflow), gunicorn=True)
        yield server.wait().url
    else:
        yield target


def ids_of(place: str) -> set[str]:
    return {trace.trace_id for trace in package.list_traces(place).traces}


def test_traces_are_deleted_for_good_by_filter_time_and_id(
    place: str, places: Places, runsync: Runner, tmp_path: Path
) -> None:
    ids, before = places.ids, ids_of(place)
    assert len(before) == 7

    def delete(*options: object, code: int = 0) -> dict[str, Any]:
        done = runsync("traces", "delete", place, *options, "--json")
        assert done.returncode == code, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        if code in (0, 3):
            schemas.check("change-report", told, "the report")
        return told

    old = ("--older-than", "2023-11-15", "--filter", "name != 'plain'")
    planned = delete(*old, "--dry-run")
    assert {item["id"] for item in planned["items"]} == {ids["sparse"], ids["running"], ids["spans_in_files"]}
    assert ids_of(place) == before
    asked = runsync("traces", "delete", place, *old)
    assert (asked.returncode, "needs --yes" in asked.stderr) == (2, True)
    refused = runsync("traces", "delete", place, *old, "--yes", "--max-changes", "2")
    assert (refused.returncode, "3 would be changed" in refused.stderr, ids_of(place)) == (4, True, before)
    assert runsync("traces", "delete", place, "--yes").returncode == 2
    done = delete(*old, "--yes", "--backup", tmp_path / "attic")
    gone = {ids["sparse"], ids["running"], ids["spans_in_files"]}
    assert (done["objects"]["trace"]["changed"], ids_of(place)) == (3, before - gone)
    kept = open_snapshot(tmp_path / "attic").entities(TRACES)
    assert {item.trace_id for item in kept.all()} == gone
    told = runsync("traces", "delete", place, ids["plain"], "tr-none", "--yes").stdout
    assert "1 trace changed" in told
    assert told.splitlines()[-1] == "Done. Nothing brings it back."
    assert delete(ids["plain"], "--yes")["items"] == []
    assert ids_of(place) == before - gone - {ids["plain"]}


def test_a_backup_that_lacks_something_deletes_nothing(
    places: Places, databases: Databases, runsync: Runner, tmp_path: Path
) -> None:
    copy = databases.fresh("sqlite")
    package.sync(places.database, copy.url, accept=ACCEPT, artifacts=False)
    copy.execute("UPDATE spans SET content = 'no json' WHERE name = 'divide'")
    done = runsync("traces", "delete", copy.url, "--filter", "name = 'broken'", "--yes", "--backup", tmp_path / "attic")
    why = "the backup is not whole (1 thing failed): nothing was deleted"
    assert (done.returncode, why in done.stderr) == (1, True)
    assert places.ids["failed"] in ids_of(copy.url)
    assert runsync("traces", "delete", tmp_path / "attic", "--filter", "name = 'x'", "--yes").returncode == 2
