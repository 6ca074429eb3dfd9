"""Changing runs and experiments in Databricks: the same commands as elsewhere, with its own bulk deletion."""

from dataclasses import replace

import pytest
from emulators.databricks import Databricks, Doubts, Fault, Limits
from support.databricks import DatabricksSeeder

import runsync
from runsync.errors import Interrupted, RequestRefused, RunsyncError, TooManyChanges
from runsync.model.selection import Selection
from runsync.runs.change import ChangeReport, How
from runsync.transfer.places import open_workspace
from runsync.workspaces.databricks import editor
from workspaces.databricks.conftest import Start

HOME = "/Users/ana@example.com"
DELETE = "/api/2.0/mlflow/databricks/runs/delete-runs"
RESTORE = "/api/2.0/mlflow/databricks/runs/restore-runs"
DAYS = 24 * 60 * 60


def filled(lake: Databricks, count: int) -> tuple[str, list[str]]:
    """An experiment with so many runs, made a second apart."""
    with DatabricksSeeder(lake) as seeder:
        experiment = seeder.create_experiment(f"{HOME}/x")
        runs = []
        for number in range(count):
            lake.clock.advance(1)
            runs.append(seeder.create_run(experiment, f"run {number}", start_time=lake.milliseconds()))
    return experiment, runs


def deleted(lake: Databricks) -> set[str]:
    return {run.run_id for run in lake.tracking.runs.values() if run.deleted_at is not None}


@pytest.mark.parametrize("by_start", [False, True])
def test_runs_are_deleted_and_restored_by_time_by_databricks_itself(start: Start, by_start: bool) -> None:
    lake = start("lake", doubts=Doubts(bulk_by_start_time=by_start))
    experiment, runs = filled(lake, 10)
    until = lake.tracking.runs[runs[6]].start_time + 500
    assert runsync.delete_runs("databricks://lake", experiment, until) == 7
    assert deleted(lake) == set(runs[:7])
    assert runsync.restore_runs("databricks://lake", experiment, lake.milliseconds() - 60_000) == 7
    assert deleted(lake) == set()
    assert (lake.count(DELETE), lake.count(RESTORE)) == (1, 1)


def test_no_more_runs_are_deleted_than_was_said_and_the_oldest_first(start: Start) -> None:
    lake = start("lake")
    experiment, runs = filled(lake, 5)
    assert runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), 2) == 2
    assert deleted(lake) == set(runs[:2])


def test_more_than_one_request_takes_are_asked_for_again_and_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editor, "MOST", 4)
    lake = start("lake", limits=Limits(bulk_runs=4))
    experiment, runs = filled(lake, 10)
    assert runsync.delete_runs("databricks://lake", experiment, lake.milliseconds()) == 10
    assert deleted(lake) == set(runs)
    assert lake.count(DELETE) == 3
    assert runsync.restore_runs("databricks://lake", experiment, 0, 9) == 9
    assert lake.count(RESTORE) == 3


def test_more_than_may_be_changed_is_refused_before_the_workspace_is_asked(start: Start) -> None:
    lake = start("lake")
    experiment, _ = filled(lake, 5)
    with pytest.raises(TooManyChanges, match="5 would be changed, more than --max-changes 4 allows"):
        runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), how=How(most=4))
    assert (deleted(lake), lake.count(DELETE)) == (set(), 0)
    assert runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), 4, how=How(most=4)) == 4
    with pytest.raises(TooManyChanges, match="4 would be changed, more than --max-changes 3 allows"):
        runsync.restore_runs("databricks://lake", experiment, 0, how=How(most=3))
    assert runsync.restore_runs("databricks://lake", experiment, 0, how=How(most=4)) == 4
    assert deleted(lake) == set()


def test_whoever_is_to_agree_is_asked_before_the_workspace_is(start: Start) -> None:
    lake = start("lake")
    experiment, runs = filled(lake, 3)
    asked: list[list[str]] = []

    def refuse(report: ChangeReport) -> None:
        asked.append([item.id for item in report.changed()])
        raise Interrupted("no")

    with pytest.raises(Interrupted):
        runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), 2, how=How(confirm=refuse))
    assert (asked, lake.count(DELETE)) == ([runs[:2]], 0)
    runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), how=How(confirm=lambda report: None))
    with pytest.raises(Interrupted):
        runsync.restore_runs("databricks://lake", experiment, 0, how=How(confirm=refuse))
    assert (set(asked[-1]), lake.count(RESTORE)) == (set(runs), 0)


def test_a_bulk_deletion_waits_as_long_as_any_post_when_the_workspace_is_busy(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0.05")
    lake = start("lake")
    experiment, runs = filled(lake, 3)
    lake.faults.add(Fault("status", f"POST {DELETE}", 429, "REQUEST_LIMIT_EXCEEDED", times=6))
    assert runsync.delete_runs("databricks://lake", experiment, lake.milliseconds()) == 3
    assert (deleted(lake), lake.count(DELETE)) == (set(runs), 7)


def test_single_runs_and_whole_experiments_are_changed_as_anywhere(start: Start) -> None:
    lake = start("lake")
    experiment, runs = filled(lake, 4)
    where = "databricks://lake"
    runsync.delete_selected_runs(where, runs=[runs[0]])
    assert deleted(lake) == {runs[0]}
    runsync.restore_selected_runs(where, runs=[runs[0]])
    assert deleted(lake) == set()
    runsync.rename_run(where, runs[1], "new name")
    runsync.tag_runs(where, {"team": "vision"}, Selection(runs=(runs[1],)))
    run = lake.tracking.runs[runs[1]]
    assert (run.name, run.tags["team"]) == ("new name", "vision")
    runsync.delete_selected_runs(where, runs=[runs[2]])
    runsync.delete_experiments(where, [f"/Workspace{HOME}/x"])
    assert lake.tracking.experiments[experiment].deleted_at is not None
    runsync.restore_experiments(where, [experiment])
    assert lake.tracking.experiments[experiment].deleted_at is None
    assert deleted(lake) == {runs[2]}
    runsync.rename_experiment(where, f"/Workspace{HOME}/x", f"/Workspace{HOME}/y")
    assert lake.tracking.experiments[experiment].name == f"{HOME}/y"


@pytest.mark.parametrize("key", ["mlflow.rootRunId", "mlflow.user"])
def test_a_tag_that_databricks_sets_itself_is_refused(start: Start, key: str) -> None:
    lake = start("lake")
    _, runs = filled(lake, 1)
    workspace = open_workspace("databricks://lake")
    with pytest.raises(RequestRefused, match=f"“{key}” is set by Databricks itself"):
        workspace.editor().tag_run(runs[0], {key: "x"})
    workspace.close()


def test_a_run_deleted_too_long_ago_is_told_to_be_gone(start: Start) -> None:
    lake = start("lake")
    _, runs = filled(lake, 1)
    workspace = open_workspace("databricks://lake")
    run = workspace.batch([runs[0]], workspace.experiments(Selection())).runs[0]
    workspace.editor().delete_run(run.run_id, None)
    lake.clock.advance(31 * DAYS)
    with pytest.raises(RequestRefused, match="keeps deleted runs for 30 days"):
        workspace.editor().restore_run(replace(run, lifecycle_stage="deleted"))
    workspace.close()


def test_an_answer_that_is_lost_deletes_no_more_runs_than_was_said(start: Start) -> None:
    lake = start("lake")
    experiment, runs = filled(lake, 5)
    lake.faults.add(Fault("lose", "POST *delete-runs"))
    with pytest.raises(RunsyncError):
        runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), 2)
    assert deleted(lake) == set(runs[:2])


def test_a_dry_run_deletes_and_restores_nothing(start: Start) -> None:
    lake = start("lake")
    experiment, runs = filled(lake, 3)
    assert runsync.delete_runs("databricks://lake", experiment, lake.milliseconds(), 2, how=How(dry_run=True)) == 2
    assert deleted(lake) == set()
    runsync.delete_runs("databricks://lake", experiment, lake.milliseconds())
    with pytest.warns(UserWarning, match="3 deleted runs"):
        runsync.restore_runs("databricks://lake", experiment, 0, how=How(dry_run=True))
    assert deleted(lake) == set(runs)
