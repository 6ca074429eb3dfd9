"""A poisoned database behind a real server: what the server can answer with arrives, and all else is named once."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support import proxy as faults
from support.poison import GOOD, IN_SQL, LOG, good_ids, poisoned_sqlite
from support.proxy import FaultProxy, Rule
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import empty_sqlite, opened

from runsync.model.identity import origin_of
from runsync.model.run import Run
from runsync.model.selection import Selection

UNANSWERED = {
    *("param that is not UTF-8", "tag that is not UTF-8", "param key that is not UTF-8", "name that is not UTF-8"),
    *("time that is no time", "nulls"),
}
"""What fails each page of MLflow that it is on, beside the run whose id is not UTF-8."""
UNLISTED = {"no lifecycle stage", "run in no experiment"}
"""What no server lists."""
CARRIED = [item for item in IN_SQL if item.label not in UNANSWERED | UNLISTED]
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0.01"}


@pytest.fixture
def server(start_server: Callable[..., MlflowServer], tmp_path: Path) -> MlflowServer:
    folder = tmp_path / "server-0"
    poisoned_sqlite(folder / "mlflow.db")
    (folder / "mlartifacts").rename(folder / "artifacts")
    return start_server("3").wait()


def told(runsync: Runner, *arguments: object, worst: int = 3) -> dict[str, Any]:
    done = runsync(*arguments, "--json", env=QUICK)
    assert done.returncode in {0, worst}, f"{arguments}: {done.stderr}{done.stdout[-2000:]}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_named_once(report: dict[str, Any]) -> None:
    failed = [one["error"] for one in report["failed"] if one["kind"] == "run"]
    assert len(failed) == len(set(failed)) == len(UNANSWERED) + 1
    ids = {item.run_id[:2] for item in IN_SQL if item.label in UNANSWERED}
    named = {error.partition("begins with ")[2][:2] for error in failed} - {""}
    assert named == ids
    assert all("the server fails to answer with it" in error for error in failed)
    problems = [(one["run_id"], one["kind"], one["name"]) for one in report["problems"]]
    assert len(problems) == len(set(problems))


def assert_arrived(where: str) -> None:
    with opened(where) as workspace:
        batches = list(workspace.batches(workspace.experiments(Selection()), Selection()))
        runs: dict[str, Run] = {origin_of(run): run for batch in batches for run in batch.runs}
        assert runs.keys() == {*good_ids(), *(item.run_id for item in CARRIED)}
        for run in runs.values():
            assert GOOD.items() <= run.params.items()
            assert [m.value for m in run.latest_metrics if m.key == "loss"] == [0.25]
            files = {file.path: file for file in workspace.artifacts(run)}
            assert b"".join(workspace.read_artifact(run, files["log.txt"])) == LOG


@pytest.mark.slow
def test_all_that_it_can_answer_with_goes_through_a_bundle(
    server: MlflowServer, tmp_path: Path, runsync: Runner
) -> None:
    exported = told(runsync, "export", server.url, "bundle")
    assert_named_once(exported)
    assert told(runsync, "check", "bundle")["faults"] == []
    target = empty_sqlite(tmp_path / "target" / "mlflow.db")
    told(runsync, "import", "bundle", target)
    assert_arrived(target)


@pytest.mark.slow
def test_every_verb_goes_around_what_a_server_fails_with(server: MlflowServer, tmp_path: Path, runsync: Runner) -> None:
    target = empty_sqlite(tmp_path / "target" / "mlflow.db")
    for _ in range(2):
        assert_named_once(told(runsync, "sync", server.url, target))
    assert_arrived(target)
    told(runsync, "sync", server.url, target, "--delete")
    assert_arrived(target)
    told(runsync, "verify", server.url, target, worst=4)
    listed = {run["run_id"] for run in told(runsync, "runs", "list", server.url)["runs"]}
    assert listed == {*good_ids(), *(item.run_id for item in CARRIED)}
    told(runsync, "runs", "tag", server.url, "seen=yes", "--experiment", "experiment 101")
    told(runsync, "runs", "delete", server.url, *good_ids(), "--yes")
    assert {run["run_id"] for run in told(runsync, "runs", "list", server.url)["runs"]} == listed - set(good_ids())
    told(runsync, "experiments", "list", server.url)
    told(runsync, "sync", target, server.url)


class Wild:
    """Runs of a real server as only servers give them: in the pages of a search each is changed in a way of its own."""

    def __init__(self, url: str, name: str) -> None:
        labels = ("good", "nulls", "again", "a long tag", "a long key", "its own parent", "parent", "child", "gone")
        with Seeder(url) as seeder:
            experiment = seeder.create_experiment(name)
            self.ids = {}
            for age, label in enumerate(labels):
                run = seeder.create_run(experiment, label, start_time=1_700_000_000_000 + age)
                seeder.log_batch(run, params=GOOD)
                seeder.put_artifact(run, "gone.txt" if label == "gone" else "log.txt", LOG)
                seeder.finish(run)
                self.ids[label] = run

    def change(self, document: dict[str, Any]) -> None:
        runs = {run["info"]["run_id"]: run for run in document.get("runs", ())}
        found = {label: runs[id] for label, id in self.ids.items() if id in runs}
        if "nulls" in found:
            found["nulls"]["info"] |= dict.fromkeys(("user_id", "end_time", "run_name"))
            found["nulls"]["inputs"] = found["nulls"]["data"]["metrics"] = None
        if "again" in found:
            document["runs"].append(found["again"])
        for label, kind, key, value in (
            ("a long tag", "tags", "long", "x" * 1_000_000),
            ("a long key", "params", "k" * 5000, "v"),
            ("its own parent", "tags", "mlflow.parentRunId", self.ids["its own parent"]),
            ("parent", "tags", "mlflow.parentRunId", self.ids["child"]),
            ("child", "tags", "mlflow.parentRunId", self.ids["parent"]),
        ):
            if label in found:
                found[label]["data"].setdefault(kind, []).append({"key": key, "value": value})


def test_what_only_servers_do_is_carried_or_named_once(
    mlflow3_a: MlflowServer, prefix: str, tmp_path: Path, runsync: Runner
) -> None:
    wild = Wild(mlflow3_a.url, f"{prefix}wild")
    target, files = empty_sqlite(tmp_path / "target" / "mlflow.db"), str(tmp_path / "mlruns")
    rules = (
        Rule(faults.rewrite(wild.change), "runs/search", count=None),
        Rule(faults.respond(404), "artifacts/.*gone.txt", "GET", count=None),
    )
    some = ("--experiment", f"{prefix}*")
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        for _ in range(2):
            exported = told(runsync, "export", proxy.url, "bundle", *some)
            assert [(one["run_id"], one["name"]) for one in exported["problems"]] == [(wild.ids["gone"], "gone.txt")]
            assert exported["failed"] == []
            assert len([note for note in exported["notes"] if wild.ids["again"] in note]) == 1
        synced = told(runsync, "sync", proxy.url, files, *some)
        named = [(one["run_id"], one["name"][:5]) for one in synced["problems"]]
        assert sorted(named) == sorted([(wild.ids["gone"], "gone."), (wild.ids["a long key"], "kkkkk")])
        told(runsync, "verify", proxy.url, files, *some, worst=4)
        assert len(told(runsync, "runs", "list", proxy.url, *some)["runs"]) == len(wild.ids)
    told(runsync, "import", "bundle", target)
    for where in (target, files):
        with opened(where) as workspace:
            batches = list(workspace.batches(workspace.experiments(Selection()), Selection()))
        runs = {origin_of(run): run for batch in batches for run in batch.runs}
        assert runs.keys() == set(wild.ids.values())
        assert all(GOOD.items() <= run.params.items() for run in runs.values())
        assert len(runs[wild.ids["a long tag"]].tags["long"]) == 1_000_000


@pytest.mark.slow
def test_experiments_that_a_server_cannot_answer_with_are_named_and_the_others_arrive(
    start_server: Callable[..., MlflowServer], tmp_path: Path, runsync: Runner
) -> None:
    """Beside a broken row its neighbours come only from the other end of the list; of two side by side, and of the
    newest, which a server is greeted with, the ids are told as far as they are known."""
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        homes = [seeder.create_experiment(f"home {number}") for number in range(9)]
        for home in homes:
            seeder.finish(seeder.create_run(home))
    broken = [homes[number] for number in (1, 4, 5, 8)]
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database, database:
        spoil = "UPDATE experiments SET name = CAST(x'ff' || experiment_id AS TEXT) WHERE experiment_id = ?"
        database.executemany(spoil, [(id,) for id in broken])
    exported = told(runsync, "export", server.url, "bundle")
    assert (exported["exit_code"], exported["stopped"], exported["not_carried"][0]["kind"]) == (3, "", "")
    reasons = sorted(one["error"] for one in exported["failed"])
    assert {one["id"] for one in exported["failed"]} == {"2", "?"}
    assert all("the server fails to answer with it (HTTP 5" in reason for reason in reasons)
    assert [reason.partition(";")[0] for reason in reasons] == [
        "by id it comes after 4",
        "by id it comes after 8",
        "by id it comes before 7",
        "the server fails to answer with it (HTTP 503)",
    ]
    target = empty_sqlite(tmp_path / "target.db")
    assert told(runsync, "import", "bundle", target)["runs"]["created"] == 5
    with opened(target) as workspace:
        found = {e.experiment_id for e in workspace.experiments(Selection())}
    assert found == {"0", *homes} - set(broken)
    listed = told(runsync, "experiments", "list", server.url)
    assert [one["kind"] for one in listed["unreadable"]] == ["experiment"] * 4
    findings = {one["topic"]: one for one in told(runsync, "doctor", server.url)["findings"]}
    assert (findings["runs"]["state"], "4 cannot be read" in findings["runs"]["told"]) == ("warning", True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["list", "compare", "delete"])
def test_lists_comparisons_and_plans_name_what_a_server_fails_to_answer_with(
    start_server: Callable[..., MlflowServer], runsync: Runner, verb: str
) -> None:
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        homes = [seeder.create_experiment(f"home {number}") for number in range(3)]
        runs = [seeder.create_run(home, start_time=1_700_000_000_000) for home in homes for _ in range(2)]
        for run in runs:
            seeder.finish(run)
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET name = CAST(x'ff' AS TEXT) WHERE experiment_id = ?", homes[1:2])
        database.execute("UPDATE runs SET name = CAST(x'ff' AS TEXT) WHERE run_uuid = ?", runs[:1])
    lost = {("experiment", homes[1]), ("run", "?")}
    if verb == "list":
        done = runsync("runs", "list", server.url, "--json", env=QUICK)
        listed = json.loads(done.stdout)
        assert {run["run_id"] for run in listed["runs"]} == {*runs[1:2], *runs[4:]}
        assert {(one["kind"], one["id"]) for one in listed["unreadable"]} == lost
        assert (done.returncode, listed["exit_code"], "Not read (2):" in done.stderr) == (3, 3, True)
        assert f"  experiment {homes[1]} (on the server): the server fails to answer with it" in done.stderr
        assert f"its id begins with {runs[0][:2]}" in done.stderr
    elif verb == "compare":
        compared = told(runsync, "runs", "compare", server.url, "--state", "all")
        assert {(one["kind"], one["name"]) for one in compared["problems"]} == lost
    else:
        planned = told(runsync, "runs", "delete", server.url, "--since", "2000-01-01", "--dry-run")
        assert {(one["kind"], one["id"]) for one in planned["failed"]} == lost
        assert runsync("runs", "delete", server.url, runs[1], "--dry-run", env=QUICK).returncode == 0


@pytest.mark.slow
def test_runs_without_a_start_time_that_can_be_read_are_named_however_many_others_there_are(
    start_server: Callable[..., MlflowServer], runsync: Runner
) -> None:
    """MLflow lists them last, and fails with them; runs from before 1970 come first, and arrive."""
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment("home")
        early, odd, broken = (seeder.create_run(home, name, start_time=1_700_000_000_000) for name in "abc")

    def listed() -> dict[str, Any]:
        return told(runsync, "runs", "list", server.url)

    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database:
        database.execute("UPDATE runs SET start_time = -5 WHERE run_uuid = ?", (early,))
        for start in (None, "noon"):
            database.execute("UPDATE runs SET start_time = ? WHERE run_uuid = ?", (start, odd))
            database.commit()
            [one] = listed()["unreadable"]
            assert "the start time of runs cannot be read" in one["reason"]
        database.execute("UPDATE runs SET name = CAST(x'ff' AS TEXT) WHERE run_uuid = ?", (broken,))
        database.commit()
        both = listed()
        assert [run["run_id"] for run in both["runs"]] == [early]
        assert [one["reason"].partition(" ")[0] for one in both["unreadable"]] == ["its", "the"]
        columns = [column for _, column, *_ in database.execute("PRAGMA table_info(runs)")]
        new = {"run_uuid": "printf('%032x', value)", "name": "value", "start_time": "1700000000000 + value"}
        database.execute(
            f"INSERT INTO runs ({', '.join(columns)}) SELECT {', '.join(new.get(c, c) for c in columns)} FROM runs, "
            "json_each((WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) "
            "SELECT json_group_array(i) FROM n)) WHERE run_uuid = ?",
            (early,),
        )
        database.execute("UPDATE runs SET name = 'c' WHERE run_uuid = ?", (broken,))
        database.commit()
    many = listed()
    assert len(many["runs"]) == 1102
    assert ["start time of runs" in one["reason"] for one in many["unreadable"]] == [True]


@pytest.mark.slow
def test_the_first_runs_of_an_order_are_the_first_beside_what_a_server_fails_with(
    start_server: Callable[..., MlflowServer], runsync: Runner
) -> None:
    server = start_server("3").wait()
    with Seeder(server.url) as seeder:
        home = seeder.create_experiment("home")
        runs = [seeder.create_run(home, start_time=1_700_000_000_000 + number) for number in range(6)]
        for run, accuracy in zip(runs, (0.1, 0.9, 0.2, 0.8, 0.7, 0.3), strict=True):
            seeder.log_batch(run, metrics=[("accuracy", accuracy, 1_700_000_000_000, 0)])
    with closing(sqlite3.connect(server.folder / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET name = CAST(x'ff' AS TEXT) WHERE run_uuid = ?", (runs[3],))
    best = told(runsync, "runs", "list", server.url, "--order-by", "metrics.accuracy DESC", "--limit", "3")
    assert [run["run_id"] for run in best["runs"]] == [runs[1], runs[4], runs[5]]
    assert len(best["unreadable"]) == 1
