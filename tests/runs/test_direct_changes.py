"""Runs and experiments changed in a file store or database: what a server would do, with the times that it keeps."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from support.changes import valid
from support.stores import START, Filler, contents, empty_sqlite, fill, opened, run_id

import runsync
from runsync.errors import RequestRefused, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.selection import Selection
from runsync.workspaces.direct.store import Change

HOUR = 3_600_000


@pytest.fixture(params=["files", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a filled store."""
    address = empty_sqlite(tmp_path / "mlflow.db") if request.param == "sqlite" else str(tmp_path / "mlruns")
    with opened(address) as workspace:
        fill(Filler(workspace))
    return address


def run(store: str, label: str) -> dict[str, Any]:
    found: dict[str, Any] = contents(store)["runs"][run_id(label)]
    return found


def stages(store: str, *labels: str) -> list[str]:
    runs = contents(store)["runs"]
    return [runs[run_id(label)]["lifecycle_stage"] for label in labels]


def own_tags(store: str) -> set[str]:
    with opened(store) as workspace:
        experiments = workspace.experiments(Selection())
        runs = [run for batch in workspace.batches(experiments, Selection()) for run in batch.runs]
    tags = [*(experiment.tags for experiment in experiments), *(run.tags for run in runs)]
    return {key for some in tags for key in some if key.startswith("runsync.")}


def is_now(milliseconds: int) -> bool:
    return abs(time.time() * 1000 - milliseconds) < 60_000


def test_a_run_is_renamed_tagged_and_untagged_and_nothing_else_changes(store: str) -> None:
    before = contents(store)
    one = Selection(runs=(run_id("parent"),))
    assert valid(runsync.rename_run(store, run_id("parent"), "other")).exit_code == 0
    assert valid(runsync.tag_runs(store, {"a": "1", "b": "2"}, one)).exit_code == 0
    assert valid(runsync.untag_runs(store, ["b", "never there"], one)).exit_code == 0
    parent = before["runs"][run_id("parent")]
    parent["name"] = parent["tags"]["mlflow.runName"] = "other"
    parent["tags"]["a"] = "1"
    assert contents(store) == before
    assert runsync.tag_runs(store, {"a": "1"}, one).changed() == []
    with pytest.raises(WrongUsage, match="restore it first"):
        runsync.rename_run(store, run_id("deleted"), "other")
    done = runsync.tag_runs(store, {"a": "1"}, Selection(runs=(run_id("deleted"),)))
    assert "is deleted" in done.of("failed")[0].error


def test_a_run_is_deleted_and_restored_by_the_time_of_its_deletion(store: str) -> None:
    before = contents(store)
    assert valid(runsync.delete_selected_runs(store, runs=[run_id("failed")])).exit_code == 0
    assert is_now(run(store, "failed")["deleted_time"])
    assert runsync.delete_selected_runs(store, runs=[run_id("failed")]).changed() == []
    back = valid(runsync.restore_selected_runs(store, deleted_since=int(time.time() * 1000) - HOUR))
    assert [item.id for item in back.changed()] == [run_id("failed")]
    assert back.of("undecidable") == []
    assert contents(store) == before
    assert own_tags(store) == set()
    assert stages(store, "deleted") == [DELETED], "it was deleted long ago"


def test_an_experiment_comes_back_with_the_runs_that_were_deleted_with_it(store: str) -> None:
    before = contents(store)
    for _ in range(2):
        assert valid(runsync.delete_experiments(store, ["alpha"])).exit_code == 0
        assert stages(store, "parent", "failed", "deleted") == [DELETED] * 3
        assert run(store, "deleted")["deleted_time"] == START + 500
        assert is_now(run(store, "parent")["deleted_time"])
        assert runsync.delete_experiments(store, ["alpha"]).changed() == []
        back = valid(runsync.restore_experiments(store, ["alpha"]))
        assert (back.exit_code, back.notes) == (0, [])
        after = contents(store)
        assert is_now(after["experiments"]["101"].pop("last_update_time"))
        assert after["runs"] == before["runs"]
        assert own_tags(store) == set()


def test_times_tell_what_others_deleted_before_their_experiment(store: str) -> None:
    back = valid(runsync.restore_experiments(store, ["gone"]))
    assert (back.exit_code, back.notes) == (0, [])
    assert stages(store, "gone too", "gone before") == [ACTIVE, DELETED]
    assert run(store, "gone before")["deleted_time"] == START + 600


def test_one_time_for_all_runs_tells_nothing_and_that_is_said(store: str) -> None:
    """As MLflow leaves a database in which it has deleted an experiment."""
    with opened(store) as workspace:
        change = Change(run_id("gone before"), lifecycle_stage=DELETED, deleted_time=START + 901)
        workspace.store.change_runs([change])
    back = valid(runsync.restore_experiments(store, ["gone"]))
    assert stages(store, "gone too", "gone before") == [ACTIVE, ACTIVE]
    assert "is not known" in back.notes[0]


def test_an_experiment_is_renamed_and_tagged_but_not_to_a_name_that_is_taken(store: str) -> None:
    assert valid(runsync.rename_experiment(store, "alpha", "first")).exit_code == 0
    assert valid(runsync.tag_experiments(store, ["first"], {"team": "blue"})).exit_code == 0
    assert valid(runsync.untag_experiments(store, ["first"], ["owner"])).exit_code == 0
    found = contents(store)["experiments"]["101"]
    assert (found["name"], found["tags"], found["creation_time"]) == ("first", {"team": "blue"}, 11)
    with pytest.raises(WrongUsage, match="take another name"):
        runsync.rename_experiment(store, "first", "gone")
    with opened(store) as workspace, pytest.raises(RequestRefused, match="already"):
        workspace.editor().rename_experiment("101", "gone")


def test_a_deletion_that_was_cut_short_is_finished_and_forgets_nothing(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, address = contents(store)["runs"], store

    class Stopped(Exception):
        pass

    def stop(store: Any, experiment_id: str, at: int) -> None:
        with opened(address) as workspace:
            change = Change(run_id("failed"), lifecycle_stage=DELETED, deleted_time=at)
            workspace.store.change_runs([change])
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr("runsync.workspaces.direct.editor.delete_runs", stop)
        with pytest.raises(Stopped):
            runsync.delete_experiments(store, ["alpha"])
    assert stages(store, "failed", "parent") == [DELETED, ACTIVE]
    time.sleep(0.01)
    assert runsync.delete_experiments(store, ["alpha"]).exit_code == 0
    assert stages(store, "failed", "parent") == [DELETED, DELETED]
    assert runsync.restore_experiments(store, ["alpha"]).exit_code == 0
    assert contents(store)["runs"] == before


def test_what_was_purged_comes_back_from_a_bundle_under_its_own_id(tmp_path: Path) -> None:
    store, bundle = str(tmp_path / "mlruns"), tmp_path / "bundle"
    with opened(store) as workspace:
        fill(Filler(workspace))
    before = contents(store)
    assert runsync.export(store, bundle).exit_code == 0
    shutil.rmtree(tmp_path / "mlruns/101" / run_id("parent"))
    shutil.rmtree(tmp_path / "mlruns/102")
    back = valid(runsync.restore_selected_runs(store, runs=[run_id("parent")], from_bundle=bundle))
    assert (back.exit_code, back.notes) == (0, [])
    assert valid(runsync.restore_experiments(store, ["empty"], from_bundle=bundle)).exit_code == 0
    assert contents(store) == before
