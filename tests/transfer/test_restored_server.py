"""The promise of a backup: a server that is started on a restored database is the one that was lost, id by id."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Pair, Runner, executable
from support import forks
from support.databases import Databases, run_script
from support.oracle import Reader, assert_same, compare
from support.rich import rich_workspace, small_workspace
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import empty_sqlite

import runsync
from runsync.model.experiment import Experiment
from runsync.model.identity import own_tags_removed
from runsync.model.selection import Selection
from runsync.transfer.places import open_workspace
from transfer.commands import NEWEST, export, import_, sync, verify


@pytest.mark.slow
@NEWEST
def test_a_server_on_a_restored_database_shows_every_run_under_its_own_id(
    pair: Pair, seeder: Seeder, prefix: str, bundle: Path, runsync: Runner, databases: Databases, tmp_path: Path
) -> None:
    facts = rich_workspace(seeder, prefix)
    export(runsync, pair.source.url, bundle, facts.pattern)
    folder = tmp_path / "server"
    folder.mkdir()
    empty = databases.fresh("sqlite").path
    assert empty is not None
    shutil.copy(empty, folder / "mlflow.db")
    done = runsync("import", bundle, f"sqlite:///{folder}/mlflow.db", "--artifacts", folder / "artifacts")
    assert done.returncode == 0, done.stdout + done.stderr
    with MlflowServer(executable("3"), folder=folder, gunicorn=True) as server:
        verified = verify(runsync, bundle, server.url, facts.pattern, "--verify-artifacts")
        assert verified["artifacts"] == facts.artifacts
        before, after = (Reader(url).read([facts.pattern]) for url in (pair.source.url, server.url))
        assert compare(before, after) == []
        assert after.runs.keys() == before.runs.keys() == set(facts.runs.values())
        told = run_script(executable("3"), "read", server.url)
        assert told["runs"].keys() == set(facts.runs.values())
        ids = {e["name"]: id for id, e in told["experiments"].items()}
        assert {name: ids[name] for name in facts.experiments} == facts.experiments
        for one, other in zip(*(experiments(url, facts.pattern) for url in (pair.source.url, server.url)), strict=True):
            assert (other.creation_time, other.last_update_time) == (one.creation_time, one.last_update_time)
        # The server knows the copies in its database by their ids, and makes none a second time.
        again = sync(runsync, pair.source.url, server.url, facts.pattern)
        assert (again["runs"]["created"], again["experiments"]["created"]) == (0, 0)
        assert again["runs"]["unchanged"] >= len(facts.runs) - 1  # a running one is looked at


def experiments(url: str, pattern: str) -> list[Experiment]:
    workspace = open_workspace(url)
    try:
        return sorted(workspace.experiments(Selection((pattern,))), key=lambda e: e.experiment_id)
    finally:
        workspace.close()


@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_what_a_server_had_is_the_same_in_every_kind_of_database(
    kind: str, runsync: Runner, databases: Databases
) -> None:
    bundle = ROOT / "examples" / "bundle"
    told = []
    for one in ("sqlite", kind):
        database = databases.fresh(one)
        done = runsync("import", bundle, database.url, "--no-artifacts")
        assert done.returncode == 0, done.stdout + done.stderr
        told.append(database.script("read"))
    for found in told:
        for run in found["runs"].values():
            del run["artifact_uri"]
    assert told[0]["runs"] == told[1]["runs"]
    assert len(told[0]["runs"]) == 4


@NEWEST
@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_what_a_server_has_goes_through_bundles_into_a_database_and_on_to_a_server(
    pair: Pair, seeder: Seeder, prefix: str, kind: str, runsync: Runner, databases: Databases, tmp_path: Path
) -> None:
    facts = rich_workspace(seeder, prefix)
    database, place = databases.fresh(kind), ("--artifacts", tmp_path / "art")
    (tmp_path / "art").mkdir()
    export(runsync, pair.source.url, tmp_path / "first", facts.pattern)
    import_(runsync, tmp_path / "first", database.url, *place)
    at_source = run_script(executable("3"), "read", pair.source.url, prefix)
    wanted, found = (_told(told, prefix) for told in (at_source, database.script("read")))
    assert wanted.keys() == set(facts.runs.values())
    assert found == wanted
    again = export(runsync, database.url, tmp_path / "second", facts.pattern, *place)
    assert (again["metric_points"], again["artifacts"]) == (facts.points, facts.artifacts)
    import_(runsync, tmp_path / "second", pair.target.url)
    assert_same(pair.source.url, pair.target.url, [facts.pattern])


@NEWEST
@pytest.mark.parametrize("kind", [pytest.param("files", marks=pytest.mark.slow), "sqlite"])
def test_what_a_server_has_goes_straight_into_a_store_and_from_there_into_a_server(
    pair: Pair, seeder: Seeder, prefix: str, kind: str, runsync: Runner, databases: Databases, tmp_path: Path
) -> None:
    facts = small_workspace(seeder, prefix)
    store = str(tmp_path / "mlruns") if kind == "files" else databases.fresh("sqlite").url
    place = tmp_path / "art"
    for source, target, option in [
        (pair.source.url, store, "--artifacts"),
        (store, pair.target.url, "--source-artifacts"),
    ]:
        sync(runsync, source, target, facts.pattern, option, place, "--verify-artifacts")
    assert_same(pair.source.url, pair.target.url, [facts.pattern])


def _told(read: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The runs of these experiments, with the name of the experiment instead of its id and without places."""
    names = {id: experiment["name"] for id, experiment in read["experiments"].items()}
    told = {}
    for run_id, run in read["runs"].items():
        name = names[run.pop("experiment_id")]
        del run["artifact_uri"]
        run["tags"] = own_tags_removed(run["tags"])
        if name.startswith(prefix):
            told[run_id] = run | {"experiment": name}
    return told


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_init_makes_the_tables_of_an_empty_database_from_the_command_line(
    kind: str, runsync: Runner, databases: Databases, tmp_path: Path
) -> None:
    forks.command(executable("3"), tmp_path / "bin")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    empty = databases.fresh(kind, empty=True)
    bundle = ROOT / "examples" / "bundle"
    options = ("--init", "--artifacts", tmp_path / "art", "--json")
    done = runsync("import", bundle, empty.url, *options, env={"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(empty.script("read")["runs"]) == 4
    verified = runsync("verify", bundle, empty.url, "--artifacts", tmp_path / "art", "--verify-artifacts")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.server
def test_a_server_knows_which_copies_in_its_database_are_gone(tmp_path: Path) -> None:
    source, folder = tmp_path / "mlruns", tmp_path / "server"
    shutil.copytree(ROOT / "examples" / "mlruns", source)
    database = empty_sqlite(folder / "mlflow.db")
    runsync.sync(str(source), database, artifacts=False)
    active = (path.parent for path in source.glob("*/*/meta.yaml") if "lifecycle_stage: active" in path.read_text())
    gone = min(active)
    shutil.rmtree(gone)
    with MlflowServer(executable("3"), folder=folder, gunicorn=True) as server:
        before = runsync.list_runs(server.url, selection=Selection(state="active")).runs
        told = runsync.sync(str(source), server.url, artifacts=False)
        ((name,),) = (one.names for one in told.not_carried if one.what == "deletions of runs")
        assert name.endswith(f"({gone.name})")
        done = runsync.sync(str(source), server.url, artifacts=False, delete=True, max_delete="1")
        assert done.runs.created == 0
        left = runsync.list_runs(server.url, selection=Selection(state="active")).runs
    assert {run.run_id for run in before} - {run.run_id for run in left} == {gone.name}
