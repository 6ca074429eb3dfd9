"""Runs deleted and restored on real servers: with what hangs below them, again after a stop, and never too many."""

import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from support.changes import Family, nested, seed_family, stage, stages, tags, valid
from support.proxy import FaultProxy, Rule, delay, kill, respond
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.errors import NothingSelected, TooManyChanges, WrongUsage
from runsync.model.identity import DELETED_AT
from runsync.model.selection import Selection
from runsync.runs.change import How
from runsync.runs.delete import delete_selected_runs
from runsync.runs.restore import restore_selected_runs

ACTIVE, DELETED = "active", "deleted"


@pytest.fixture
def family(on_either: Seeder, prefix: str) -> Family:
    return seed_family(on_either, prefix)


def test_a_parent_takes_its_children_along_at_any_depth_and_brings_them_back(
    either: MlflowServer, on_either: Seeder, family: Family
) -> None:
    before = time.time_ns() // 1_000_000
    planned = valid(delete_selected_runs(either.url, runs=[family.parent], how=How(dry_run=True)))
    assert stages(on_either, family.runs) == [ACTIVE] * 5
    done = valid(delete_selected_runs(either.url, runs=[family.parent]))
    assert (done.exit_code, {item.id for item in done.changed()}) == (0, set(family.runs))
    assert {item.id for item in planned.changed()} == set(family.runs)
    assert {item.id for item in done.items if item.is_child} == set(family.runs) - {family.parent}
    assert stages(on_either, [*family.runs, family.stranger]) == [DELETED] * 5 + [ACTIVE]
    for run_id in family.runs:
        assert before <= int(tags(on_either, run_id)[DELETED_AT]) <= time.time_ns() // 1_000_000
    again = valid(delete_selected_runs(either.url, runs=[family.parent]))
    assert again.counts("run") == {"changed": 0, "unchanged": 5, "failed": 0, "undecidable": 0, "not_reached": 0}
    back = valid(restore_selected_runs(either.url, runs=[family.parent]))
    assert (back.exit_code, len(back.changed())) == (0, 5)
    assert stages(on_either, family.runs) == [ACTIVE] * 5
    assert all(DELETED_AT not in tags(on_either, run_id) for run_id in family.runs)
    assert restore_selected_runs(either.url, runs=[family.parent]).changed() == []


def test_without_children_only_what_was_named_goes(either: MlflowServer, on_either: Seeder, family: Family) -> None:
    valid(delete_selected_runs(either.url, runs=[family.parent, family.grandchild[:12]], children=False))
    assert stages(on_either, family.runs) == [DELETED, ACTIVE, ACTIVE, DELETED, ACTIVE]
    valid(delete_selected_runs(either.url, runs=[family.parent]))
    assert stages(on_either, family.runs) == [DELETED] * 5
    valid(restore_selected_runs(either.url, runs=[family.parent], children=False))
    assert stages(on_either, family.runs) == [ACTIVE] + [DELETED] * 4


def test_children_of_many_parents_are_found_in_few_searches_across_pages(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = on_three.create_experiment(prefix + "many")
    parents = [on_three.create_run(home, f"parent {n}", start_time=1000 + n) for n in range(9)]
    below = [nested(on_three, home, parent, "child") for parent in parents for _ in range(2)]
    below += [nested(on_three, home, child, "grandchild") for child in below[:3]]
    selection = Selection(experiments=(prefix + "many",), until=1008)
    planned = delete_selected_runs(mlflow3_a.url, selection, how=How(dry_run=True))
    everything = delete_selected_runs(mlflow3_a.url, Selection((prefix + "many",)), how=How(dry_run=True))
    assert everything.requests == planned.requests  # 30 runs that may have children, instead of 9
    monkeypatch.setattr("runsync.workspaces.rest.search.PAGE", 7)
    by_pages = delete_selected_runs(mlflow3_a.url, selection, how=How(dry_run=True))
    for report in (planned, everything, by_pages):
        assert {item.id for item in report.changed()} == {*parents, *below}


def test_a_selection_narrows_what_goes(either: MlflowServer, on_either: Seeder, prefix: str) -> None:
    home = on_either.create_experiment(prefix + "churn")
    poor, good, late = (on_either.create_run(home, name, start_time=at) for name, at in (("a", 1), ("b", 2), ("c", 3)))
    for run_id, auc in ((poor, 0.2), (good, 0.9), (late, 0.1)):
        on_either.log_batch(run_id, metrics=[("auc", auc, 1, 0)])
    selection = Selection(experiments=(prefix + "churn",), filter="metrics.auc < 0.5", until=2, state="active")
    assert [item.id for item in delete_selected_runs(either.url, selection).changed()] == [poor]
    assert stages(on_either, [poor, good, late]) == [DELETED, ACTIVE, ACTIVE]
    oldest = Selection(experiments=(prefix + "churn",))
    done = delete_selected_runs(either.url, oldest, children=False, limit=1)
    assert [item.id for item in done.changed()] == [good]


def test_too_many_stop_it_before_anything_is_done(mlflow3_a: MlflowServer, on_three: Seeder, prefix: str) -> None:
    family = seed_family(on_three, prefix)
    with pytest.raises(TooManyChanges, match="5 would be changed, more than --max-changes 4 allows: nothing was"):
        delete_selected_runs(mlflow3_a.url, runs=[family.parent], how=How(most=4))
    assert stages(on_three, family.runs) == [ACTIVE] * 5
    assert delete_selected_runs(mlflow3_a.url, runs=[family.parent], how=How(most=5)).exit_code == 0


def test_what_is_not_there_or_cannot_be_meant_is_said(mlflow3_a: MlflowServer) -> None:
    with pytest.raises(WrongUsage, match="say which runs to delete"):
        delete_selected_runs(mlflow3_a.url)
    with pytest.raises(WrongUsage, match="say which runs to restore"):
        restore_selected_runs(mlflow3_a.url, Selection(state="deleted"))
    with pytest.raises(WrongUsage, match="say --no-children with it"):
        delete_selected_runs(mlflow3_a.url, Selection(until=1), limit=5)
    with pytest.raises(NothingSelected, match="there is no run 0000"):
        delete_selected_runs(mlflow3_a.url, runs=["0" * 32])
    with pytest.raises(NothingSelected, match="no experiment has the name or id “no such”"):
        delete_selected_runs(mlflow3_a.url, Selection(experiments=("no such",)))


def test_one_refused_run_stops_no_other_and_the_next_time_finishes(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0")
    family = seed_family(on_three, prefix)
    selection = Selection(experiments=(prefix + "*",))
    with FaultProxy(mlflow3_a.url, Rule(respond(500), path="runs/delete", after=2)) as proxy:
        done = valid(delete_selected_runs(proxy.url, selection))
        assert (done.exit_code, len(done.changed()), len(done.of("failed"))) == (3, 5, 1)
        assert "answered 500 to /api/2.0/mlflow/runs/delete" in done.of("failed")[0].error
        assert stage(on_three, done.of("failed")[0].id) == ACTIVE
        again = valid(delete_selected_runs(proxy.url, selection))
        assert (again.exit_code, [item.id for item in again.changed()]) == (0, [done.of("failed")[0].id])
    assert stages(on_three, [*family.runs, family.stranger]) == [DELETED] * 6


def test_a_server_that_asks_for_patience_gets_it(mlflow3_a: MlflowServer, on_three: Seeder, prefix: str) -> None:
    family = seed_family(on_three, prefix)
    busy = Rule(respond(429, retry_after=0.1), path="runs/(delete|set-tag)", count=4)
    with FaultProxy(mlflow3_a.url, busy) as proxy:
        assert delete_selected_runs(proxy.url, runs=[family.parent]).exit_code == 0
    assert busy.fired == 4
    assert stages(on_three, family.runs) == [DELETED] * 5


@pytest.mark.parametrize("after", [1, pytest.param(4, marks=pytest.mark.slow), 8])
def test_a_killed_deletion_goes_on(
    mlflow3_a: MlflowServer,
    on_three: Seeder,
    prefix: str,
    start_runsync: Callable[..., "subprocess.Popen[str]"],
    after: int,
) -> None:
    family = seed_family(on_three, prefix)
    only = ("--filter", "attributes.run_name = 'parent'", "--experiment", prefix + "home", "--state", "active")
    processes: list[subprocess.Popen[str]] = []
    rule = Rule(kill(lambda: processes[0].kill()), path="runs/(delete|set-tag)", after=after)
    with FaultProxy(mlflow3_a.url, rule) as proxy:
        processes.append(start_runsync("runs", "delete", proxy.url, *only, "--yes", "--workers", 1))
        assert processes[0].wait(300) == -signal.SIGKILL
    assert stage(on_three, family.parent) == ACTIVE  # it goes last, so that the same selection finds the rest
    selection = Selection((prefix + "home",), filter="attributes.run_name = 'parent'", state="active")
    assert delete_selected_runs(mlflow3_a.url, selection).exit_code == 0
    assert stages(on_three, family.runs) == [DELETED] * 5


def test_ctrl_c_tells_what_was_done_and_what_was_not_reached(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, start_runsync: Callable[..., "subprocess.Popen[str]"]
) -> None:
    family = seed_family(on_three, prefix)
    with FaultProxy(mlflow3_a.url, Rule(delay(60), path="runs/delete", after=2)) as proxy:
        process = start_runsync("runs", "delete", proxy.url, family.parent, "--yes", "--workers", 1)
        while proxy.count("runs/delete") < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Deleted (2):" in told
    assert "it was under way when this was stopped" in told
    assert "Not reached (2):" in told
    assert "stopped from outside; run it again to go on" in complaint
    assert "Traceback" not in complaint


def test_runs_of_a_deleted_experiment_are_not_restored_one_by_one(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str
) -> None:
    home = on_three.create_experiment(prefix + "gone")
    run_id = on_three.create_run(home)
    on_three.delete_experiment(home)
    done = valid(restore_selected_runs(mlflow3_a.url, runs=[run_id]))
    assert (done.exit_code, stage(on_three, run_id)) == (3, DELETED)
    assert "restore that with runsync experiments restore" in done.of("failed")[0].error
