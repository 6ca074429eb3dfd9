"""An experiment that `sync --delete` deleted comes back with the states that its runs had before."""

import pytest
from support.stores import Filler, fill, opened, run_id

import runsync
from runsync.errors import RunsyncError
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.change import How
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.direct.experiments import DirectExperiments
from runsync.workspaces.direct.store import Arrival, Change
from transfer.conftest import Make
from transfer.moves import all_runs

KINDS = pytest.mark.parametrize("kind", ["files", pytest.param("sqlite", marks=pytest.mark.slow)])
ALL = "100%"
ALPHA = [run_id(name) for name in ("child", "parent", "failed", "running", "deleted")]


def stages(address: str) -> dict[str, str]:
    with opened(address) as workspace:
        return {run.run_id: run.lifecycle_stage for run in all_runs(workspace)}


@pytest.fixture
def pair(make: Make, kind: str) -> tuple[str, str]:
    """“alpha” was deleted at the source, and before it one of its runs, which the target knows; another run of it was
    deleted in the target."""
    source, target = make("sqlite"), make(kind)
    with opened(source) as workspace:
        fill(Filler(workspace))
    assert runsync.sync(source, target).exit_code == 0
    with opened(source) as workspace:
        workspace.store.change_runs([Change(run_id("failed"), lifecycle_stage=DELETED, deleted_time=1_700_000_000_000)])
    own = Run(
        "a" * 32, "101", "own", "ann", "FINISHED", 1, 2, DELETED, 3, artifact_uri=f"/nowhere/{'a' * 32}/artifacts"
    )
    with opened(target) as workspace:
        assert workspace.store.write_runs([Arrival(own, is_new=True)]) == {}
    assert runsync.sync(source, target, delete=True, max_delete=ALL).exit_code == 0
    runsync.delete_experiments(source, ["alpha"], how=How(most=None))
    return source, target


def assert_restored(target: str) -> None:
    assert {stages(target)[id] for id in (*ALPHA, "a" * 32)} == {DELETED}
    runsync.restore_experiments(target, ["alpha"], how=How(most=None))
    after = stages(target)
    assert {id for id in (*ALPHA, "a" * 32) if after[id] == DELETED} == {run_id("failed"), run_id("deleted"), "a" * 32}


@pytest.mark.parametrize("kind", [pytest.param("files", marks=pytest.mark.slow), "sqlite"])
def test_only_what_was_active_before_comes_back(pair: tuple[str, str]) -> None:
    assert runsync.sync(*pair, delete=True, max_delete=ALL).exit_code == 0
    assert_restored(pair[1])


@KINDS
def test_so_it_does_where_the_first_sync_was_stopped_half_way(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: ExperimentMap) -> None:
        raise RunsyncError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(ExperimentMap, "finish", stop)
        assert "stopped" in runsync.sync(*pair, delete=True, max_delete=ALL).stopped
    assert stages(pair[1])[run_id("parent")] == DELETED
    assert runsync.sync(*pair, delete=True, max_delete=ALL).exit_code == 0
    assert_restored(pair[1])


@KINDS
def test_what_was_noted_is_taken_away_where_the_experiment_stays(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    own = Run("b" * 32, "101", "own", "ann", "FINISHED", 1, 2, ACTIVE, artifact_uri=f"/nowhere/{'b' * 32}/artifacts")
    with opened(target) as workspace:
        assert workspace.store.write_runs([Arrival(own, is_new=True)]) == {}
    runsync.sync(source, target, delete=True, max_delete=ALL)
    with opened(target) as workspace:
        (alpha,) = workspace.experiments(Selection(("alpha",)))
    assert alpha.lifecycle_stage == ACTIVE
    assert not [key for key in alpha.tags if key.startswith("runsync.deleted")]
    monkeypatch.setattr(DirectExperiments, "remember", None)  # where nothing goes, nothing is noted night by night
    assert runsync.sync(source, target, delete=True, max_delete=ALL).runs.unchanged == 7
