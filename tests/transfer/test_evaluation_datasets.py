"""Evaluation datasets go between servers, bundles and databases. MLflow's own client tells the same of them there, of
two of one name each stays itself, and again nothing is written."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from conftest import executable
from support import forks
from support.databases import KINDS, Databases
from support.forks import clean_environment
from support.proxy import FaultProxy, Rule, drop, respond
from support.servers import MlflowServer

import runsync
from runsync import Selection, TransferReport

SCRIPT = Path(forks.__file__).with_name("mlflow_datasets.py")
EVERYTHING: dict[str, Any] = {"selection": Selection(kinds=("runs", "traces", "evaluation-datasets"))}
RECORDS = r"/datasets/[^/]+/records"


def client(verb: str, uri: str) -> Any:
    """What the script prints."""
    done = forks.run(executable("3"), [str(SCRIPT), verb, uri], clean_environment() | forks.QUIET, SCRIPT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("filled"), gunicorn=True) as server:
        client("fill", server.url)
        yield server


def counts(report: TransferReport) -> tuple[int, int, int]:
    """How many were created, updated, and unchanged."""
    assert (report.exit_code, report.failed, report.problems) == (0, [], [])
    tally = report.objects["evaluation-datasets"]
    return tally.created, tally.updated, tally.unchanged


@pytest.mark.slow
def test_they_are_the_same_on_another_server_and_again_nothing_is_written(
    filled: MlflowServer,
    start_server: Callable[..., MlflowServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, bundle = start_server("3").wait(), tmp_path / "bundle"
    assert counts(runsync.export(filled.url, bundle, **EVERYTHING)) == (4, 0, 0)
    assert counts(runsync.export(filled.url, bundle, **EVERYTHING)) == (0, 0, 4)
    assert runsync.check(bundle).exit_code == 0
    with FaultProxy(there.url, Rule(drop(), RECORDS, after=1, count=None)) as proxy:
        monkeypatch.setenv("RUNSYNC_PATIENCE", "0.1")
        assert runsync.import_(bundle, proxy.url, **EVERYTHING).exit_code != 0
    monkeypatch.undo()
    assert sum(counts(runsync.import_(bundle, there.url, **EVERYTHING))) == 4
    assert client("read", there.url) == client("read", filled.url)
    with FaultProxy(there.url) as proxy:
        assert counts(runsync.sync(filled.url, proxy.url, **EVERYTHING)) == (0, 0, 4)
        assert [r.path for r in proxy.requests if r.method != "GET" and not r.path.endswith("/search")] == []
    for source, target in ((filled.url, there.url), (str(bundle), there.url), (filled.url, str(bundle))):
        assert runsync.verify(source, target, **EVERYTHING).differences == []


@pytest.mark.parametrize("kind", ["sqlite", *(pytest.param(k, marks=pytest.mark.slow) for k in KINDS if k != "sqlite")])
def test_a_database_keeps_ids_and_times_and_gives_them_back_to_a_server(
    filled: MlflowServer, databases: Databases, start_server: Callable[..., MlflowServer], kind: str
) -> None:
    database = databases.fresh(kind)
    assert counts(runsync.sync(filled.url, database.url, artifacts=False, **EVERYTHING)) == (4, 0, 0)
    assert client("exactly", database.for_mlflow) == client("exactly", filled.url)
    assert counts(runsync.sync(filled.url, database.url, artifacts=False, **EVERYTHING)) == (0, 0, 4)
    assert runsync.verify(filled.url, database.url, artifacts=False, **EVERYTHING).differences == []
    there = start_server("3").wait()
    assert counts(runsync.sync(database.url, there.url, artifacts=False, **EVERYTHING)) == (4, 0, 0)
    assert client("read", there.url) == client("read", filled.url)
    assert counts(runsync.sync(there.url, database.url, artifacts=False, **EVERYTHING)) == (0, 0, 4)


def test_what_changes_and_what_goes_is_followed(
    databases: Databases, start_server: Callable[..., MlflowServer]
) -> None:
    source, there = databases.fresh("sqlite"), start_server("3").wait()
    client("fill", source.for_mlflow)
    copy = databases.fresh("sqlite")
    for target in (there.url, copy.url):
        assert counts(runsync.sync(source.url, target, **EVERYTHING)) == (4, 0, 0)
    for verb in ("change", "delete"):
        client(verb, source.for_mlflow)
    told = client("read", source.for_mlflow)
    for target in (there.url, copy.url):
        assert runsync.verify(source.url, target, **EVERYTHING).exit_code == 4
        done = runsync.sync(source.url, target, **EVERYTHING)
        assert counts(done) == (0, 1, 2)
        assert [(left.what, left.count) for left in done.not_carried if "deletions" in left.what] == [
            ("deletions of evaluation datasets", 1)
        ]
        assert counts(runsync.sync(source.url, target, delete=True, max_delete="100%", **EVERYTHING)) == (0, 0, 3)
    for target in (there.url, copy.for_mlflow):
        now = client("read", target)
        for one in now:
            if one["tags"].get("team") == "b":  # what it belongs to besides stays
                one["experiments"] = ["curated"]
        assert now == told


def test_where_a_source_seems_to_have_no_such_kind_nothing_is_taken_for_deleted(
    filled: MlflowServer, start_server: Callable[..., MlflowServer]
) -> None:
    there, is_hidden = start_server("3").wait(), Event()
    hidden = Rule(respond(404), "(datasets|traces)/search", of=lambda _: is_hidden.is_set(), count=None)
    with FaultProxy(filled.url, hidden) as proxy:
        assert counts(runsync.sync(proxy.url, there.url, **EVERYTHING)) == (4, 0, 0)
        is_hidden.set()
        done = runsync.sync(proxy.url, there.url, delete=True, max_delete="100%", **EVERYTHING)
    assert done.exit_code == 0
    (note,) = [note for note in done.notes if "not taken for deleted" in note]
    assert note.endswith("evaluation datasets")
    assert len(client("read", there.url)) == 4


def test_a_record_that_is_refused_is_named_and_the_others_arrive(
    filled: MlflowServer, start_server: Callable[..., MlflowServer]
) -> None:
    there = start_server("3").wait()
    bad = Rule(respond(400), RECORDS, of=lambda body: b"plain text" in body, count=None)
    with FaultProxy(there.url, bad) as proxy:
        done = runsync.sync(filled.url, proxy.url, **EVERYTHING)
    assert done.exit_code == 3
    assert [problem["kind"] for problem in done.problems] == ["record of evaluation dataset"]
    found = {one["name"]: len(one["records"]) for one in client("read", there.url) if one["tags"].get("team") == "a"}
    assert found == {"golden": 3}
    assert counts(runsync.sync(filled.url, there.url, **EVERYTHING)) == (0, 1, 3)


def test_older_servers_and_file_stores_have_no_place_for_them(
    filled: MlflowServer, mlflow2_b: MlflowServer, tmp_path: Path, prefix: str
) -> None:
    (tmp_path / "mlruns").mkdir()
    for target in (mlflow2_b.url, str(tmp_path / "mlruns")):
        done = runsync.sync(filled.url, target, prefix=prefix, **EVERYTHING)
        assert done.exit_code == 3
        assert [(left.kind, left.count) for left in done.left_behind] == [("evaluation-datasets", 4)]
