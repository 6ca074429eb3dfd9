"""`runs delete` and `runs restore` by time: left to Databricks itself, and never more runs than were shown."""

import secrets
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from emulators.databricks import Databricks, Doubts, Fault, Limits, too_many
from emulators.databricks.runs import Run
from support.changes import valid
from support.databricks import DatabricksSeeder

from runsync.errors import TooManyChanges
from runsync.model.selection import Selection
from runsync.runs.change import ChangeReport, How
from runsync.runs.delete import delete_selected_runs
from runsync.runs.restore import restore_selected_runs
from runsync.workspaces.databricks import editor
from workspaces.databricks.conftest import Start

pytestmark = pytest.mark.long

WHERE = "databricks://lake"
BULK_DELETE = "/api/2.0/mlflow/databricks/runs/delete-runs"
BULK_RESTORE = "/api/2.0/mlflow/databricks/runs/restore-runs"
DELETE = "/api/2.0/mlflow/runs/delete"
SEARCH = "/api/2.0/mlflow/runs/search"
RESTORE = "/api/2.0/mlflow/runs/restore"
HOUR = 60 * 60 * 1000
DAY = 24 * HOUR


class Lab:
    """An experiment of an emulated workspace, whose runs are put straight into it. Times are in days ago."""

    def __init__(self, lake: Databricks, name: str = "x") -> None:
        self.lake = lake
        with DatabricksSeeder(lake) as seeder:
            self.id = seeder.create_experiment(f"{lake.home}/{name}")
        self.now = lake.milliseconds()

    def at(self, days: float) -> int:
        return self.now - int(days * DAY)

    def run(self, started: float, made: float | None = None, deleted: float | None = None, **tags: str) -> str:
        run_id = secrets.token_hex(16)
        made_at = self.at(started if made is None else made)
        run = Run(run_id, self.id, "run", f"dbfs:/x/{run_id}/artifacts", self.at(started), made_at)
        run.deleted_at = None if deleted is None else self.at(deleted)
        run.tags |= {key.replace("_", ".", 1): value for key, value in tags.items()}
        self.lake.tracking.experiments[self.id].runs[run_id] = self.lake.tracking.runs[run_id] = run
        return run_id

    def runs(self, count: int, started: float, **options: Any) -> list[str]:
        return [self.run(started - number / 1e6, **options) for number in range(count)]

    def delete(self, until: float = 10, how: How | None = None, **options: Any) -> ChangeReport:
        selection = Selection(experiments=(self.id,), until=self.at(until))
        return valid(delete_selected_runs(WHERE, selection, how=how, **options))

    def restore(self, since: float, how: How | None = None, **options: Any) -> ChangeReport:
        selection = Selection(experiments=(self.id,))
        return valid(restore_selected_runs(WHERE, selection, deleted_since=self.at(since), how=how, **options))

    def deleted(self) -> set[str]:
        return {run.run_id for run in self.lake.tracking.runs.values() if run.deleted_at is not None}


@pytest.fixture
def lab(start: Start) -> Lab:
    return Lab(start("lake"))


def changed(report: ChangeReport) -> set[str]:
    return {item.id for item in report.changed()}


@pytest.mark.parametrize("most", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_runs_go_and_come_back_in_a_few_requests(
    start: Start, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(editor, "MOST", most)
    lab = Lab(start("lake", limits=Limits(bulk_runs=most)))
    runs = set(lab.runs(most + 500, started=20))
    later = lab.run(started=1)
    done = lab.delete()
    assert (done.exit_code, changed(done), lab.deleted()) == (0, runs, runs)
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (2, 0)
    back = lab.restore(since=0.5)
    assert (back.exit_code, changed(back), lab.deleted()) == (0, runs, set())
    assert (lab.lake.count(BULK_RESTORE), lab.lake.count(RESTORE)) == (2, 0)
    assert later not in changed(done)


@pytest.mark.parametrize("by_start", [False, True])
def test_runs_of_later_and_of_other_experiments_stay(start: Start, by_start: bool) -> None:
    lake = start("lake", doubts=Doubts(bulk_by_start_time=by_start))
    lab, other = Lab(lake), Lab(lake, "other")
    runs = lab.runs(20, started=20)
    lab.runs(5, started=9.9)
    other.runs(5, started=20)
    done = lab.delete()
    assert (changed(done), lab.deleted()) == (set(runs), set(runs))
    assert lake.count(BULK_DELETE) == 1
    lab.restore(since=0.5)
    assert lab.deleted() == set()


def test_children_that_started_later_go_too_and_their_neighbours_do_not(start: Start) -> None:
    lake = start("lake")
    lab, abroad = Lab(lake), Lab(lake, "abroad")
    parents = lab.runs(10, started=20)
    children = {lab.run(2, mlflow_parentRunId=parents[0]), abroad.run(15, mlflow_parentRunId=parents[1])}
    grandchild = lab.run(1, mlflow_parentRunId=next(iter(children)))
    abroad.runs(3, started=15)
    lab.run(3)
    done = lab.delete()
    assert lab.deleted() == {*parents, *children, grandchild} == changed(done)
    assert {item.id for item in done.changed() if item.is_child} == {*children, grandchild}
    assert (lake.count(BULK_DELETE), lake.count(DELETE)) == (1, 3)


def test_without_children_they_stay(lab: Lab) -> None:
    parents = lab.runs(10, started=20)
    lab.run(2, mlflow_parentRunId=parents[0])
    lab.delete(children=False)
    assert lab.deleted() == set(parents)


def test_runs_that_were_imported_since_are_deleted_one_by_one(lab: Lab) -> None:
    runs = {*lab.runs(10, started=20), *lab.runs(2, started=30, made=1)}
    done = lab.delete()
    assert (done.exit_code, lab.deleted()) == (0, runs)
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (1, 2)


def test_a_run_that_says_it_started_hours_after_it_was_made_stays(lab: Lab) -> None:
    runs = set(lab.runs(10, started=20)) | set(lab.runs(2, started=10.2))
    lab.run(started=9.9, made=10.1)
    done = lab.delete()
    assert (done.exit_code, lab.deleted(), changed(done)) == (0, runs, runs)
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (1, 2)


def test_a_run_that_goes_along_without_being_planned_is_named(lab: Lab) -> None:
    runs = lab.runs(10, started=20)
    astray = lab.run(started=5, made=25)
    done = lab.delete()
    assert (done.exit_code, changed(done)) == (3, set(runs))
    (told,) = done.of("failed")
    assert told.id == astray
    assert "deleted without being planned" in told.error
    assert lab.deleted() == {*runs, astray}


def test_a_dry_run_and_a_brake_touch_nothing(lab: Lab) -> None:
    runs = lab.runs(10, started=20)
    planned = lab.delete(how=How(dry_run=True))
    assert changed(planned) == set(runs)
    with pytest.raises(TooManyChanges, match="10 would be changed, more than --max-changes 9"):
        lab.delete(how=How(most=9))
    gone = lab.runs(5, started=20, deleted=3)
    assert changed(lab.restore(since=4, how=How(dry_run=True))) == set(gone)
    with pytest.raises(TooManyChanges, match="5 would be changed, more than --max-changes 4"):
        lab.restore(since=4, how=How(most=4))
    assert lab.deleted() == set(gone)
    assert lab.lake.count(BULK_DELETE) == lab.lake.count(BULK_RESTORE) == 0


def test_a_selection_that_says_more_than_a_time_goes_one_by_one(lab: Lab) -> None:
    runs = lab.runs(5, started=20)
    narrowed = Selection(experiments=(lab.id,), until=lab.at(10), filter="attributes.status = 'RUNNING'")
    assert changed(delete_selected_runs(WHERE, narrowed)) == set(runs)
    lab.restore(since=0.5, limit=2)
    lab.delete(children=False, limit=1)
    assert lab.lake.count(BULK_DELETE) == lab.lake.count(BULK_RESTORE) == 0


def test_a_backup_comes_first(lab: Lab, tmp_path: Any) -> None:
    runs = lab.runs(5, started=20)
    done = lab.delete(backup=tmp_path / "attic")
    assert done.backup is not None
    assert done.backup.snapshot
    assert (lab.deleted(), lab.lake.count(BULK_DELETE)) == (set(runs), 1)


@pytest.mark.parametrize(("count", "requests_before"), [(100, 0), pytest.param(10_100, 1, marks=pytest.mark.slow)])
def test_a_stopped_deletion_goes_on(
    lab: Lab, start_runsync: Callable[..., Any], tmp_path: Any, count: int, requests_before: int
) -> None:
    runs = set(lab.runs(count, started=20))
    slow = lab.lake.faults.add(Fault("slow", f"POST {BULK_DELETE}", seconds=20, skip=requests_before))
    environment = {"DATABRICKS_CONFIG_FILE": str(tmp_path / "databrickscfg")}
    command = ("runs", "delete", WHERE, "--experiment", lab.id, "--until", "10d", "--yes")
    process = start_runsync(*command, env=environment)
    while not slow.met:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "it was under way when this was stopped" in told
    assert len(lab.deleted()) >= 10_000 * requests_before
    lab.lake.faults.clear()
    again = lab.delete()
    assert (again.exit_code, lab.deleted()) == (0, runs)
    assert lab.lake.count(DELETE) == 0


def test_a_lost_answer_is_not_asked_for_blindly(lab: Lab) -> None:
    runs = set(lab.runs(20, started=20))
    lab.lake.faults.add(Fault("lose", f"POST {BULK_DELETE}"))
    done = lab.delete()
    assert (done.exit_code, lab.deleted(), changed(done)) == (0, runs, runs)
    assert lab.lake.count(BULK_DELETE) == 1
    lab.lake.faults.add(Fault("lose", f"POST {BULK_RESTORE}"))
    back = lab.restore(since=0.5)
    assert (back.exit_code, lab.deleted(), changed(back)) == (0, set(), runs)
    assert lab.lake.count(BULK_RESTORE) == 1


@pytest.mark.parametrize("fault", [Fault("status", f"POST {BULK_DELETE}", 500), too_many(f"POST {BULK_DELETE}")])
def test_a_refused_request_is_sent_again_for_what_is_left(lab: Lab, fault: Fault) -> None:
    runs = set(lab.runs(20, started=20))
    lab.lake.faults.add(fault)
    done = lab.delete()
    assert (done.exit_code, lab.deleted()) == (0, runs)
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (2, 0)


@pytest.mark.parametrize(("status", "code", "tries"), [(500, "INTERNAL_ERROR", 3), (403, "PERMISSION_DENIED", 1)])
def test_where_it_is_refused_the_runs_are_deleted_one_by_one(lab: Lab, status: int, code: str, tries: int) -> None:
    runs = set(lab.runs(20, started=20))
    lab.lake.faults.add(Fault("status", f"POST {BULK_DELETE}", status, code, times=None))
    done = lab.delete()
    assert lab.lake.count(BULK_DELETE) == tries
    assert (done.exit_code, lab.deleted(), changed(done)) == (0, runs, runs)
    assert any("20 were left to be done one by one" in note for note in done.notes)
    assert lab.lake.count(DELETE) == 20


def refuse_searches_once_planned(lab: Lab) -> None:
    """A dry run tells how many searches a plan takes."""
    before = lab.lake.count(SEARCH)
    lab.delete(how=How(dry_run=True))
    planning = lab.lake.count(SEARCH) - before
    lab.lake.faults.add(Fault("status", f"POST {SEARCH}", 403, "PERMISSION_DENIED", skip=planning))


def test_where_the_look_before_is_refused_the_runs_are_deleted_one_by_one(lab: Lab) -> None:
    runs = set(lab.runs(5, started=20))
    refuse_searches_once_planned(lab)
    done = lab.delete()
    assert (done.exit_code, lab.deleted(), changed(done)) == (0, runs, runs)
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (0, 5)
    assert any("it was done one by one" in note for note in done.notes)


def test_where_the_look_afterwards_is_refused_its_runs_count_as_failed_and_the_others_go_on(start: Start) -> None:
    lab = Lab(start("lake"))
    other = Lab(lab.lake, "y")
    runs, others = set(lab.runs(5, started=20)), set(other.runs(5, started=20))
    everything = Selection(experiments=(lab.id, other.id), until=lab.at(10))
    before = lab.lake.count(SEARCH)
    delete_selected_runs(WHERE, everything, how=How(dry_run=True))
    planning = lab.lake.count(SEARCH) - before
    lab.lake.faults.add(Fault("status", f"POST {SEARCH}", 403, "PERMISSION_DENIED", skip=planning + 2, times=2))
    done = valid(delete_selected_runs(WHERE, everything))
    assert (done.exit_code, done.stopped) == (3, "")
    assert {item.id for item in done.of("failed")} in (runs, others)
    assert lab.deleted() == runs | others
    again = valid(delete_selected_runs(WHERE, everything))
    assert (again.exit_code, again.of("failed")) == (0, [])


def test_only_runs_deleted_at_the_time_or_later_come_back_by_databricks_own_clock(lab: Lab) -> None:
    before, after = lab.runs(4, started=20, deleted=5), lab.runs(3, started=20, deleted=2)
    noted = lab.run(20, deleted=2, runsync_deleted_at=str(lab.at(2)))
    planned = lab.restore(since=3, how=How(dry_run=True))
    assert changed(planned) == {*before, *after, noted}
    assert any(note.startswith("of 7 of these runs only the workspace knows") for note in planned.notes)
    done = lab.restore(since=3)
    assert (done.exit_code, changed(done), lab.deleted()) == (0, {*after, noted}, set(before))
    assert {item.id for item in done.of("unchanged")} == set(before)
    assert "runsync.deleted_at" not in lab.lake.tracking.runs[noted].tags
    assert (lab.lake.count(BULK_RESTORE), lab.lake.count(RESTORE)) == (1, 0)


def test_what_somebody_deletes_meanwhile_is_not_brought_back(lab: Lab) -> None:
    gone = lab.runs(3, started=20, deleted=2)
    stranger = lab.run(started=20)

    def confirm(planned: ChangeReport) -> None:
        lab.lake.tracking.runs[stranger].deleted_at = lab.lake.milliseconds()

    done = lab.restore(since=3, how=How(confirm=confirm))
    assert (done.exit_code, {item.id for item in done.of("undecidable")}) == (3, set(gone))
    assert lab.deleted() == {*gone, stranger}
    assert any("were deleted meanwhile" in note for note in done.notes)


def test_a_run_that_others_deleted_again_is_named_when_it_comes_along(lab: Lab) -> None:
    again = lab.run(20, deleted=1, runsync_deleted_at=str(lab.at(15)))
    unknown = lab.run(20, deleted=2)
    done = lab.restore(since=3)
    told = {item.id: item for item in done.items}
    assert again not in lab.deleted()
    assert "restored without being planned" in told[again].error
    assert (told[unknown].action, unknown in lab.deleted()) == ("undecidable", True)


def test_a_run_that_was_deleted_and_restored_before_comes_back_by_its_last_deletion(lab: Lab) -> None:
    again = lab.run(20, runsync_deleted_at=str(lab.at(15)))
    assert changed(lab.delete()) == {again}
    assert (lab.lake.count(BULK_DELETE), lab.lake.count(DELETE)) == (1, 0)
    back = lab.restore(since=0.5)
    assert (back.exit_code, changed(back), lab.deleted()) == (0, {again}, set())


def test_where_a_restoration_is_refused_each_time_nothing_is_guessed(lab: Lab) -> None:
    unknown = lab.runs(3, started=20, deleted=2)
    lab.run(20, deleted=2, runsync_deleted_at=str(lab.at(2)))
    lab.lake.faults.add(Fault("status", f"POST {BULK_RESTORE}", 500, times=None))
    done = lab.restore(since=3)
    assert (done.exit_code, lab.deleted()) == (3, set(unknown))
    assert {item.id for item in done.of("undecidable")} == set(unknown)


def test_for_how_long_deleted_runs_are_kept_is_told(lab: Lab) -> None:
    lab.runs(3, started=60)
    assert any("keeps deleted runs for 30 days" in note for note in lab.delete().notes)
    lab.run(started=60, deleted=31)
    done = lab.restore(since=40)
    assert (len(changed(done)), len(lab.deleted())) == (3, 1)
    assert any("keeps deleted runs for 30 days: what was deleted before" in note for note in done.notes)
