"""Scorers and other objects that are a document go between servers, bundles and databases. MLflow's own client tells
the same of them there; again nothing is written, and what changed is brought up to date."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import executable
from support import forks
from support.databases import Databases
from support.forks import clean_environment
from support.proxy import FaultProxy, Rule, respond
from support.secrets import new_secret
from support.servers import MlflowServer
from support.stores import empty_sqlite

import runsync
from runsync import Selection, TransferReport, VerifyReport
from runsync.errors import TooManyDeletions
from runsync.workspaces.arrival.documents import NO_PLACE

pytestmark = pytest.mark.server

SCRIPT = Path(forks.__file__).with_name("mlflow_objects.py")
KINDS = ("scorers", "issues", "label-schemas", "review-queues", "mcp-servers")
LEFT = ["traces"]
"""What is in the source and carried by others."""
CREATED = {"scorers": 2, "issues": 2, "label-schemas": 5, "review-queues": 2, "mcp-servers": 2}
EVERYTHING: dict[str, Any] = {"selection": Selection(kinds=("runs", *KINDS))}


def by_client(verb: str, uri: str, folder: Path) -> Any:
    """What the script prints."""
    folder.mkdir(exist_ok=True, parents=True)
    environment = clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_PROXY": "127.0.0.1"}
    done = forks.run(executable("3"), [str(SCRIPT), verb, uri], environment, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("filled")
    with MlflowServer(executable("3"), folder=folder, gunicorn=False) as server:
        by_client("fill", server.url, folder / "client")
        yield server


def counts(report: TransferReport) -> dict[str, tuple[int, int, int]]:
    """Created, updated and unchanged, by kind."""
    tallies = {kind: (t.created, t.updated, t.unchanged) for kind, t in report.objects.items()}
    return {kind: tally for kind, tally in tallies.items() if kind in KINDS}


def with_traces(server: MlflowServer, source: str, told: Any) -> None:
    """Has the experiment with the traces that queues name on a server."""
    assert_done(runsync.sync(source, server.url, selection=Selection(kinds=("runs",))))
    api = f"{server.url}/api"
    found = requests.get(f"{api}/2.0/mlflow/experiments/get-by-name", {"experiment_name": "judged"}, timeout=300).json()
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": found["experiment"]["experiment_id"]}}
    for trace_id, *_ in told["queues"]["First"]["items"]:
        info = {"trace_id": trace_id, "trace_location": place, "request_time": "2026-01-01T00:00:00Z", "state": "OK"}
        made = requests.post(f"{api}/3.0/mlflow/traces", json={"trace": {"trace_info": info}}, timeout=300)
        assert made.ok, made.text


def assert_done(report: TransferReport) -> None:
    assert (report.exit_code, report.failed, report.problems) == (0, [], [])


def assert_same(report: VerifyReport) -> None:
    left = [left for left in report.left_out if left.kind not in LEFT]
    assert (report.differences, left) == ([], [])


@pytest.mark.slow
def test_they_are_the_same_on_another_server_and_again_nothing_is_written(
    filled: MlflowServer, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    there = start_server("3", gunicorn=False).wait()
    told = by_client("read", filled.url, tmp_path / "client")
    with_traces(there, filled.url, told)
    planned = runsync.sync(filled.url, there.url, dry_run=True, **EVERYTHING)
    done = runsync.sync(filled.url, there.url, **EVERYTHING)
    assert_done(done)
    assert counts(planned) == counts(done)
    assert {kind: tally[0] for kind, tally in counts(done).items()} == CREATED
    assert by_client("read", there.url, tmp_path / "client") == told
    again = runsync.sync(filled.url, there.url, **EVERYTHING)
    assert {kind: tally[:2] for kind, tally in counts(again).items()} == dict.fromkeys(KINDS, (0, 0))
    verified = runsync.verify(filled.url, there.url, **EVERYTHING)
    assert (verified.exit_code, verified.differences) == (0, [])
    assert {kind: verified.objects[kind] for kind in KINDS} == {
        kind: sum(tally) for kind, tally in counts(done).items()
    }


def test_through_a_bundle_they_are_the_same_in_a_database_and_back_on_a_server(
    filled: MlflowServer, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    bundle, database = tmp_path / "bundle", empty_sqlite(tmp_path / "there.db")
    assert_done(runsync.export(filled.url, bundle, **EVERYTHING))
    again = runsync.export(filled.url, bundle, **EVERYTHING)
    assert {kind: tally[:2] for kind, tally in counts(again).items()} == dict.fromkeys(KINDS, (0, 0))
    assert_done(runsync.import_(bundle, database, accept=LEFT))
    told = by_client("read", filled.url, tmp_path / "client")
    assert by_client("read", database, tmp_path / "client") == told
    again = runsync.import_(bundle, database, accept=LEFT)
    assert {kind: tally[:2] for kind, tally in counts(again).items()} == dict.fromkeys(KINDS, (0, 0))
    assert_same(runsync.verify(str(bundle), database, accept=LEFT))
    assert_same(runsync.verify(database, str(bundle), accept=LEFT))
    there = start_server("3", gunicorn=False).wait()
    with_traces(there, database, told)
    assert_done(runsync.sync(database, there.url, accept=LEFT))
    assert by_client("read", there.url, tmp_path / "client") == told
    assert_same(runsync.verify(database, there.url, accept=LEFT))


def test_what_changed_is_brought_up_to_date(start_server: Callable[..., MlflowServer], tmp_path: Path) -> None:
    source, there = empty_sqlite(tmp_path / "source.db"), start_server("3", gunicorn=False).wait()
    copy = empty_sqlite(tmp_path / "copy.db")
    by_client("fill", source, tmp_path / "client")
    with_traces(there, source, by_client("read", source, tmp_path / "client"))
    for target in (there.url, copy):
        assert_done(runsync.sync(source, target, accept=LEFT))
    by_client("change", source, tmp_path / "client")
    told = by_client("read", source, tmp_path / "client")
    for target in (there.url, copy):
        assert runsync.verify(source, target).exit_code == 4
        done = runsync.sync(source, target, accept=LEFT)
        assert_done(done)
        assert counts(done) == {
            "scorers": (1, 1, 1),
            "issues": (1, 1, 1),
            "label-schemas": (1, 1, 4),
            "review-queues": (0, 1, 1),
            "mcp-servers": (1, 1, 1),
        }
        assert by_client("read", target, tmp_path / "client") == told
        assert_same(runsync.verify(source, target, accept=LEFT))


TABLES = (
    *("scorers", "scorer_versions", "online_scoring_configs", "issues", "label_schemas", "review_queues"),
    *("review_queue_items", "review_queue_users", "review_queue_label_schemas", "mcp_servers", "mcp_server_versions"),
    *("mcp_server_tags", "mcp_server_version_tags", "mcp_server_aliases", "mcp_access_endpoints"),
)


@pytest.mark.parametrize("kind", ["postgres", pytest.param("mysql", marks=pytest.mark.slow)])
def test_databases_keep_every_row_as_it_was(databases: Databases, tmp_path: Path, kind: str) -> None:
    source, target, back = databases.fresh("sqlite"), databases.fresh(kind), empty_sqlite(tmp_path / "back.db")
    by_client("fill", source.for_mlflow, tmp_path / "client")
    assert_done(runsync.sync(source.url, target.url, accept=LEFT, artifacts=False))
    told = by_client("read", source.for_mlflow, tmp_path / "client")
    assert by_client("read", target.for_mlflow, tmp_path / "client") == told
    again = runsync.sync(source.url, target.url, accept=LEFT, artifacts=False)
    assert {kind: tally[:2] for kind, tally in counts(again).items()} == dict.fromkeys(KINDS, (0, 0))
    assert_done(runsync.sync(target.url, back, accept=LEFT, artifacts=False))
    with closing(sqlite3.connect(tmp_path / "back.db")) as database:
        for table in TABLES:
            sides = (each.execute(f"SELECT * FROM {table}") for each in (source, database))
            # MLflow writes null as JSON where it has nothing: that reads like NULL.
            one, other = (sorted(repr(row).replace("'null'", "None") for row in rows) for rows in sides)
            assert one == other, table


GONE = (
    "DELETE FROM scorers WHERE scorer_name = 'tone'",
    "DELETE FROM label_schemas WHERE name = 'why'",
    "DELETE FROM review_queues WHERE name = 'First'",
)


def test_deletions_are_told_and_followed_where_that_is_asked_for(
    start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    source, there = empty_sqlite(tmp_path / "source.db"), start_server("3", gunicorn=False).wait()
    copy = empty_sqlite(tmp_path / "copy.db")
    by_client("fill", source, tmp_path / "client")
    for target in (there.url, copy):
        runsync.sync(source, target, accept=LEFT)
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        for statement in GONE:
            database.execute(statement)
    for target in (there.url, copy):
        told = runsync.sync(source, target, accept=LEFT)
        left = {left.what: left.count for left in told.not_carried if left.what.startswith("deletions")}
        assert left == {"deletions of scorers": 1, "deletions of label schemas": 1, "deletions of review queues": 1}
        with pytest.raises(TooManyDeletions, match="3 of 11 scorers, label schemas, review queues"):
            runsync.sync(source, target, accept=LEFT, delete=True, max_delete="1")
        done = runsync.sync(source, target, accept=LEFT, delete=True, max_delete="100%")
        assert done.failed == []
        read = by_client("read", target, tmp_path / "client")
        assert (list(read["scorers"]), list(read["queues"])) == (["politeness"], ["ada"])
        assert set(read["schemas"]) == {"Feedback", "polite", "colour", "score"}
        again = runsync.sync(source, target, accept=LEFT, delete=True)
        assert not [note for note in again.notes if "deleted" in note]


def test_where_an_mlflow_has_no_place_for_them_they_are_named(
    filled: MlflowServer, start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    assert_done(runsync.export(filled.url, tmp_path / "bundle", **EVERYTHING))
    there = start_server("3").wait()
    missing = Rule(
        respond(404, body=b"Not Found"), "/(scorers|issues|label-schemas|review-queues|mcp-servers)", count=None
    )
    with FaultProxy(there.url, missing) as proxy:
        done = runsync.import_(tmp_path / "bundle", proxy.url, accept=LEFT)
    assert (done.exit_code, done.failed) == (3, [])
    left = {left.kind: left.count for left in done.not_carried if left.kind in KINDS}
    assert left == CREATED
    assert {left.why for left in done.not_carried if left.kind in KINDS} == {NO_PLACE}


def test_reading_them_writes_nothing_into_a_source(filled: MlflowServer, tmp_path: Path) -> None:
    api = f"{filled.url}/api"
    home = requests.post(f"{api}/2.0/mlflow/experiments/create", json={"name": "bare"}, timeout=300).json()
    schema = {"experiment_id": home["experiment_id"], "name": "seen", "type": "FEEDBACK", "input": {"text": {}}}
    made = requests.post(f"{api}/3.0/mlflow/label-schemas/create", json=schema, timeout=300)
    assert made.ok, made.text
    selection = Selection(experiments=("bare",), kinds=("runs", *KINDS))
    done = runsync.export(filled.url, tmp_path / "bundle", selection=selection)
    assert "label schemas that were not looked for" in [left.what for left in done.not_carried]
    with closing(sqlite3.connect(filled.folder / "mlflow.db")) as database:
        found = database.execute("SELECT name FROM label_schemas WHERE experiment_id = ?", (home["experiment_id"],))
        assert found.fetchall() == [("seen",)]


def test_webhooks_come_only_where_they_are_asked_for_disabled_and_without_secrets(
    start_server: Callable[..., MlflowServer], tmp_path: Path
) -> None:
    secret = new_secret("webhook")
    source, there = start_server("3").wait(), start_server("3").wait()
    api = "api/2.0/mlflow/webhooks"
    hook: dict[str, Any] = {"name": "deploy", "url": "https://1.1.1.1/hook", "secret": secret, "status": "ACTIVE"}
    hook["events"] = [{"entity": "MODEL_VERSION", "action": "CREATED"}]
    made = requests.post(f"{source.url}/{api}", json=hook, timeout=300)
    assert made.ok, made.text
    without = runsync.sync(source.url, there.url)
    assert [(left.kind, left.count, left.names) for left in without.not_carried if left.kind] == [
        ("webhooks", 1, ("deploy",))
    ]
    assert requests.get(f"{there.url}/{api}", timeout=300).json() == {}
    runsync.export(source.url, tmp_path / "bundle", webhooks=True)
    first = runsync.import_(tmp_path / "bundle", there.url, webhooks=True)
    again = runsync.sync(source.url, there.url, webhooks=True)
    for done in (first, again):
        assert_done(done)
        told = requests.get(f"{there.url}/{api}", timeout=300).json()["webhooks"]
        assert [(one["name"], one["url"], one["status"]) for one in told] == [(hook["name"], hook["url"], "DISABLED")]
    assert again.objects["webhooks"].unchanged == 1
    assert_same(runsync.verify(source.url, there.url, webhooks=True))
    copy = empty_sqlite(tmp_path / "copy.db")
    assert_done(runsync.import_(tmp_path / "bundle", copy, webhooks=True))
    assert_same(runsync.verify(str(tmp_path / "bundle"), copy, webhooks=True))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        assert database.execute("SELECT name, status, secret FROM webhooks").fetchall() == [
            ("deploy", "DISABLED", None)
        ]
