"""Deleting and restoring by time, as Databricks' functions do."""

import pytest
from support.changes import nested, stages, valid
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import NothingSelected, WrongUsage
from runsync.model.identity import DELETED_AT
from runsync.model.selection import Selection

ACTIVE, DELETED = "active", "deleted"


@pytest.fixture
def home(on_either: Seeder, prefix: str) -> str:
    return on_either.create_experiment(prefix + "bulk")


def test_only_runs_created_at_or_before_the_time_are_deleted(
    either: MlflowServer, on_either: Seeder, home: str
) -> None:
    runs = [on_either.create_run(home, start_time=at) for at in (999, 1000, 1001)]
    nested(on_either, home, runs[0], "a child of today")
    assert runsync.delete_runs(either.url, experiment_id=home, max_timestamp_millis=1000) == 2
    assert stages(on_either, runs) == [DELETED, DELETED, ACTIVE]
    assert runsync.delete_runs(either.url, home, 1000) == 0


def test_max_runs_takes_the_oldest(either: MlflowServer, on_either: Seeder, home: str) -> None:
    runs = [on_either.create_run(home, start_time=at) for at in (3, 1, 2)]
    assert runsync.delete_runs(either.url, home, 1000, max_runs=2) == 2
    assert stages(on_either, runs) == [ACTIVE, DELETED, DELETED]
    assert runsync.restore_runs(either.url, home, 0, max_runs=1) == 1
    assert sorted(stages(on_either, runs)) == [ACTIVE, ACTIVE, DELETED]


def test_only_runs_deleted_at_or_after_the_time_are_restored_and_nothing_is_guessed(
    either: MlflowServer, on_either: Seeder, home: str
) -> None:
    runs = [on_either.create_run(home, str(at), tags={DELETED_AT: str(at)}) for at in (999, 1000, 1001)]
    runs.append(on_either.create_run(home, "deleted by others"))
    for run_id in runs:
        on_either.delete_run(run_id)
    since = valid(
        runsync.restore_selected_runs(either.url, Selection((home,)), deleted_since=1001, how=runsync.How(dry_run=True))
    )
    assert [item.id for item in since.changed()] == [runs[2]]
    assert [item.id for item in since.of("undecidable")] == [runs[3]]
    assert since.exit_code == 3
    with pytest.warns(UserWarning, match="1 deleted run of .* left so: when they were deleted is not known"):
        assert runsync.restore_runs(either.url, experiment_id=home, min_timestamp_millis=1000) == 2
    assert stages(on_either, runs) == [DELETED, ACTIVE, ACTIVE, DELETED]


def test_limits_and_names_are_held(mlflow3_a: MlflowServer) -> None:
    for act in (runsync.delete_runs, runsync.restore_runs):
        for wrong in (0, 10_001):
            with pytest.raises(WrongUsage, match="max_runs"):
                act(mlflow3_a.url, "0", 0, max_runs=wrong)
        with pytest.raises(NothingSelected, match="no experiment of the id"):
            act(mlflow3_a.url, "Def*", 0)
