"""Experiments renamed, tagged, deleted and restored: their runs come back as they were, as far as that is known."""

import pytest
from support.changes import experiment, stages, tags, valid
from support.proxy import FaultProxy, Rule, respond
from support.seed import Seeder
from support.servers import MlflowServer

import runsync
from runsync.errors import NothingSelected, TooManyChanges, WrongUsage
from runsync.runs.change import How

ACTIVE, DELETED = "active", "deleted"


def tags_of(seeder: Seeder, experiment_id: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in experiment(seeder, experiment_id).get("tags", [])}


def own_tags(seeder: Seeder, experiment_id: str) -> list[str]:
    """Tags of runsync that say something."""
    return [key for key, value in tags_of(seeder, experiment_id).items() if key.startswith("runsync.") and value]


def test_runs_deleted_before_their_experiment_was_stay_deleted_when_it_comes_back(
    either: MlflowServer, on_either: Seeder, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runsync.workspaces.remembered.IDS_A_TAG", 1)
    home = on_either.create_experiment(prefix + "home")
    runs = [on_either.create_run(home, f"run {number}") for number in range(4)]
    on_either.delete_run(runs[0])
    runsync.delete_selected_runs(either.url, runs=[runs[1]])
    planned = valid(runsync.delete_experiments(either.url, [prefix + "home"], how=How(dry_run=True)))
    assert planned.notes == ["2 active runs would go with them"]
    for _ in range(2):
        assert valid(runsync.delete_experiments(either.url, [prefix + "home"])).exit_code == 0
        assert (experiment(on_either, home)["lifecycle_stage"], stages(on_either, runs)) == (DELETED, [DELETED] * 4)
        assert runsync.delete_experiments(either.url, [home]).changed() == []
        back = valid(runsync.restore_experiments(either.url, [prefix + "*"]))
        assert (back.exit_code, back.notes) == (0, [])
        assert stages(on_either, runs) == [DELETED, DELETED, ACTIVE, ACTIVE]
        assert experiment(on_either, home)["lifecycle_stage"] == ACTIVE
        assert own_tags(on_either, home) == []
        assert runsync.restore_experiments(either.url, [home]).changed() == []


def test_what_is_not_known_of_an_experiment_deleted_by_others_is_said(
    either: MlflowServer, on_either: Seeder, prefix: str
) -> None:
    home = on_either.create_experiment(prefix + "home")
    runs = [on_either.create_run(home, f"run {number}") for number in range(3)]
    on_either.delete_run(runs[0])
    runsync.delete_selected_runs(either.url, runs=[runs[1]])
    on_either.delete_experiment(home)
    back = valid(runsync.restore_experiments(either.url, [home]))
    assert stages(on_either, runs) == [ACTIVE, DELETED, ACTIVE]
    assert "which of its other 2 runs were deleted before it was is not known" in back.notes[0]


@pytest.mark.parametrize("who", ["runsync", "others"])
def test_a_restoration_that_was_cut_short_is_taken_up_again(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0")
    home = on_three.create_experiment(prefix + "home")
    runs = [on_three.create_run(home, f"run {number}") for number in range(3)]
    runsync.delete_selected_runs(mlflow3_a.url, runs=runs[:2])
    if who == "runsync":
        runsync.delete_experiments(mlflow3_a.url, [home])
    else:
        on_three.delete_experiment(home)
    with FaultProxy(mlflow3_a.url, Rule(respond(500), path="runs/delete")) as proxy:
        done = valid(runsync.restore_experiments(proxy.url, [home]))
        assert (done.exit_code, len(done.of("failed"))) == (3, 1)
        assert sorted(stages(on_three, runs)) == [ACTIVE, ACTIVE, DELETED]
        assert valid(runsync.restore_experiments(proxy.url, [home])).exit_code == 0
    assert stages(on_three, runs) == [DELETED, DELETED, ACTIVE]
    assert own_tags(on_three, home) == []


STOPS = ("experiments/restore", "set-experiment-tag", "runs/set-tag", "runs/delete-tag")
QUICK = {*zip(STOPS, ("others", "runsync", "others", "runsync"), strict=True)}


@pytest.mark.parametrize("either", ["mlflow3_a", pytest.param("mlflow2_a", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize(
    ("path", "who"),
    [
        pytest.param(path, who, marks=() if (path, who) in QUICK else pytest.mark.slow)
        for path in STOPS
        for who in ("runsync", "others")
    ],
)
def test_a_restoration_that_is_stopped_at_any_request_is_taken_up_again(
    either: MlflowServer, on_either: Seeder, prefix: str, monkeypatch: pytest.MonkeyPatch, who: str, path: str
) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0")
    home = on_either.create_experiment(prefix + "home")
    runs = [on_either.create_run(home, f"run {number}") for number in range(3)]
    runsync.delete_selected_runs(either.url, runs=runs[:2])
    if who == "runsync":
        runsync.delete_experiments(either.url, [home])
    else:
        on_either.delete_experiment(home)
    with FaultProxy(either.url, Rule(respond(403), path=path)) as proxy:
        assert runsync.restore_experiments(proxy.url, [home]).exit_code == 3
    assert runsync.restore_experiments(either.url, [home]).exit_code == 0
    assert stages(on_either, runs) == [DELETED, DELETED, ACTIVE]
    assert own_tags(on_either, home) == []
    assert runsync.restore_experiments(either.url, [home]).changed() == []
    assert [run for run in runs if "runsync.restoring" in tags(on_either, run)] == []


def test_an_experiment_that_others_restored_is_left_as_it_is(
    mlflow3_a: MlflowServer, on_three: Seeder, prefix: str
) -> None:
    home = on_three.create_experiment(prefix + "home")
    runs = [on_three.create_run(home, f"run {number}") for number in range(2)]
    runsync.delete_selected_runs(mlflow3_a.url, runs=runs[:1])
    runsync.delete_experiments(mlflow3_a.url, [home])
    on_three.restore_experiment(home)
    assert runsync.restore_experiments(mlflow3_a.url, [home]).changed() == []
    assert stages(on_three, runs) == [ACTIVE, ACTIVE]


def test_an_answer_that_got_lost_is_no_failure(mlflow3_a: MlflowServer, on_three: Seeder, prefix: str) -> None:
    from support.proxy import drop_response

    home = on_three.create_experiment(prefix + "home")
    with FaultProxy(mlflow3_a.url, Rule(drop_response(), path="experiments/(delete|restore)$", count=2)) as proxy:
        assert runsync.delete_experiments(proxy.url, [home]).exit_code == 0
        assert runsync.restore_experiments(proxy.url, [home]).exit_code == 0
    assert experiment(on_three, home)["lifecycle_stage"] == ACTIVE


def test_experiments_are_renamed_and_tagged(either: MlflowServer, on_either: Seeder, prefix: str) -> None:
    home, other = (on_either.create_experiment(prefix + name) for name in ("home", "other"))
    assert valid(runsync.rename_experiment(either.url, prefix + "home", prefix + "house")).exit_code == 0
    assert experiment(on_either, home)["name"] == prefix + "house"
    with pytest.raises(WrongUsage, match=r"other” already \(active\): take another name"):
        runsync.rename_experiment(either.url, home, prefix + "other")
    done = valid(runsync.tag_experiments(either.url, [prefix + "*"], {"team": "growth", "a b": "ü"}))
    assert len(done.changed()) == 2
    assert tags_of(on_either, other) == {"team": "growth", "a b": "ü"}
    assert runsync.tag_experiments(either.url, [other], {"team": "growth"}).changed() == []


def test_tags_of_experiments_are_taken_away_where_the_server_can(
    either: MlflowServer, on_either: Seeder, prefix: str
) -> None:
    home = on_either.create_experiment(prefix + "home", tags={"team": "growth", "kept": "1"})
    done = valid(runsync.untag_experiments(either.url, [home], ["team", "no such"]))
    if done.exit_code == 0:
        assert tags_of(on_either, home) == {"kept": "1"}
    else:
        assert "this server cannot take a tag from an experiment (MLflow 3 can)" in done.of("failed")[0].error
        assert tags_of(on_either, home) == {"team": "growth", "kept": "1"}


def test_runs_are_renamed_and_tagged(either: MlflowServer, on_either: Seeder, prefix: str) -> None:
    home = on_either.create_experiment(prefix + "home")
    one, two, gone = (on_either.create_run(home, name) for name in ("one", "two", "gone"))
    on_either.delete_run(gone)
    selection = runsync.Selection((home,), state=ACTIVE)
    assert valid(runsync.rename_run(either.url, one[:10], "other name")).exit_code == 0
    assert on_either.get_run(one)["info"]["run_name"] == "other name"
    assert tags(on_either, one)["mlflow.runName"] == "other name"
    assert runsync.rename_run(either.url, one, "other name").changed() == []
    done = valid(runsync.tag_runs(either.url, {"team": "growth", "odd key": "a=b"}, selection))
    assert (done.exit_code, {item.id for item in done.changed()}) == (0, {one, two})
    assert runsync.tag_runs(either.url, {"team": "growth"}, selection).changed() == []
    assert tags(on_either, two).items() >= {"team": "growth", "odd key": "a=b"}.items()
    too_long = valid(runsync.tag_runs(either.url, {"note": "x" * 8001}, selection))
    assert (too_long.exit_code, len(too_long.of("failed"))) == (3, 2)
    done = valid(runsync.untag_runs(either.url, ["team", "no such"], selection))
    assert len(done.changed()) == 2
    assert "team" not in tags(on_either, one)
    assert runsync.untag_runs(either.url, ["team"], selection).changed() == []


def test_what_cannot_be_meant_is_refused(mlflow3_a: MlflowServer, on_three: Seeder, prefix: str) -> None:
    for name in ("a", "b"):
        on_three.create_experiment(prefix + name)
    with pytest.raises(TooManyChanges, match="2 would be changed, more than --max-changes 1"):
        runsync.delete_experiments(mlflow3_a.url, [prefix + "*"], how=How(most=1))
    with pytest.raises(WrongUsage, match="name the experiments"):
        runsync.delete_experiments(mlflow3_a.url, [])
    with pytest.raises(NothingSelected, match="no experiment has the name or id “no such”"):
        runsync.restore_experiments(mlflow3_a.url, ["no such"])
    with pytest.raises(WrongUsage, match="are runsync's own"):
        runsync.tag_experiments(mlflow3_a.url, [prefix + "a"], {"runsync.from": "x"})
    with pytest.raises(WrongUsage, match="a name cannot be empty"):
        runsync.rename_experiment(mlflow3_a.url, prefix + "a", " ")
