"""Importing into Databricks: names are paths, tags are its own, limits and faults are lived with."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks, Fault, Limits, too_many
from emulators.databricks.faults import Kind
from support.databricks import DatabricksReader, DatabricksSeeder
from support.memory import export_into

import runsync
from runsync.errors import WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.testing.memory import START, MemorySource, run_with_metrics
from runsync.transfer.report import TransferReport
from runsync.workspaces.databricks import quotas
from workspaces.databricks.conftest import Start

Histories = Mapping[str, Mapping[str, Sequence[tuple[int, int, float]]]]
HOME = "/Users/ana@example.com"
WRITE = "/api/2.0/mlflow/artifacts/credentials-for-write"


def bundle_of(
    folder: Path, names: list[str], runs: list[Run], points: Histories | None = None, **experiment: Any
) -> Path:
    """A bundle of experiments with ids 1, 2, … and these runs, each with three files; `points` by run id."""
    experiments = [Experiment(str(number), name, **experiment) for number, name in enumerate(names, 1)]
    files: dict[str, dict[str, bytes | None]] = {run.run_id: {f"{n}.txt": b"%d" % n for n in range(3)} for run in runs}
    export_into(folder / "bundle", MemorySource(experiments, runs, points or {}, files))
    return folder / "bundle"


def run(number: int, **fields: object) -> Run:
    return run_with_metrics(f"{number:032x}", {}, name=f"run {number}", start_time=START + number, **fields)


def done(report: TransferReport) -> TransferReport:
    assert not report.failed
    assert not report.problems
    return report


def names_in(lake: Databricks) -> set[str]:
    return {one["name"] for one in DatabricksReader(lake)._experiments()}


def test_a_name_that_is_no_path_is_refused_before_anything_is_written(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, ["churn"], [run(1)])
    with pytest.raises(WrongUsage, match=rf"--prefix {HOME}/imported, or say --rename 'churn={HOME}/churn'"):
        runsync.import_(bundle, "databricks://lake")
    assert names_in(lake) == set()


@pytest.mark.parametrize("folder", [f"{HOME}/imported", f"{HOME}/imported/", f"/Workspace{HOME}/imported"])
def test_a_prefix_is_a_folder_that_is_made(start: Start, tmp_path: Path, folder: str) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, ["churn", "team/price", "/Shared/x"], [run(1)])
    done(runsync.import_(bundle, "databricks://lake", prefix=folder))
    base = f"{HOME}/imported"
    assert names_in(lake) == {f"{base}/churn", f"{base}/team/price", f"{base}/Shared/x"}
    assert not runsync.verify(str(bundle), "databricks://lake", prefix=folder).differences
    again = runsync.import_(bundle, "databricks://lake", prefix=folder)
    assert again.experiments.unchanged == 3


def test_a_name_may_be_given_with_workspace_before_it(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, ["churn"], [run(1)])
    rename = {"churn": f"/Workspace{HOME}/churn"}
    done(runsync.import_(bundle, "databricks://lake", rename=rename))
    assert names_in(lake) == {f"{HOME}/churn"}
    assert runsync.import_(bundle, "databricks://lake", rename=rename).runs.unchanged == 1
    assert not runsync.verify(str(bundle), "databricks://lake", rename=rename).differences
    selection = Selection(experiments=(f"/Workspace{HOME}/churn",))
    assert runsync.export("databricks://lake", tmp_path / "out", selection=selection).runs.created == 1


def test_a_folder_of_a_user_who_is_not_there_fails_that_experiment_only(start: Start, tmp_path: Path) -> None:
    start("lake")
    bundle = bundle_of(tmp_path, ["/Users/nobody@example.com/x", f"{HOME}/y"], [run(1)])
    report = runsync.import_(bundle, "databricks://lake")
    assert [failed["name"] for failed in report.failed if failed["kind"] == "experiment"] == [
        "/Users/nobody@example.com/x"
    ]
    assert "--prefix" in report.failed[0]["error"]
    assert report.experiments.created == 1


def test_more_tags_than_an_experiment_may_have_at_first_are_set_all_the_same(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    tags = {f"tag {number}": str(number) for number in range(60)} | {"mlflow.ownerEmail": "bo@example.com"}
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [], tags=tags)
    done(runsync.import_(bundle, "databricks://lake"))
    assert not runsync.verify(str(bundle), "databricks://lake").differences
    assert runsync.import_(bundle, "databricks://lake").experiments.unchanged == 1
    assert lake.tracking.experiments.popitem()[1].tags["runsync.kept.mlflow.ownerEmail"] == "bo@example.com"


@pytest.mark.parametrize("kind", ["lose", "cut"])
def test_an_experiment_whose_answer_was_lost_has_all_its_tags(start: Start, tmp_path: Path, kind: Kind) -> None:
    lake = start("lake")
    tags = {f"tag {number}": str(number) for number in range(60)}
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [], tags=tags)
    lost = lake.faults.add(Fault(kind, "POST */experiments/create"))
    done(runsync.import_(bundle, "databricks://lake"))
    assert (lost.met, len(lake.tracking.experiments)) == (1, 1)
    assert not runsync.verify(str(bundle), "databricks://lake").differences
    assert runsync.import_(bundle, "databricks://lake").experiments.unchanged == 1


def test_an_experiment_that_was_not_deleted_for_want_of_a_tag_is_deleted_by_the_next_sync(start: Start) -> None:
    dev, prod = start("dev"), start("prod")
    with DatabricksSeeder(dev) as seeder:
        experiment_id = seeder.create_experiment(f"{HOME}/x")
        dev.tracking.experiments[experiment_id].tags.update({f"tag {number}": "x" for number in range(60)})
        seeder.call("POST", "experiments/delete", {"experiment_id": experiment_id})
    prod.faults.add(Fault("status", "POST */experiments/set-experiment-tag", 403, "PERMISSION_DENIED", times=None))
    assert runsync.sync("databricks://dev", "databricks://prod").failed
    prod.faults.clear()
    done(runsync.sync("databricks://dev", "databricks://prod"))
    (there,) = prod.tracking.experiments.values()
    assert there.lifecycle_stage == "deleted"
    assert not runsync.verify("databricks://dev", "databricks://prod").differences


def test_names_follow_and_an_experiment_made_anew_at_a_path_is_another_one(start: Start) -> None:
    dev, prod = start("dev"), start("prod")
    with DatabricksSeeder(dev) as seeder:
        homes = {name: seeder.create_experiment(f"{HOME}/{name}") for name in ("x", "y")}
        for name, home in homes.items():
            seeder.finish(seeder.create_run(home, name, start_time=START))
        done(runsync.sync("databricks://dev", "databricks://prod"))
        seeder.post("experiments/update", experiment_id=homes["y"], new_name=f"{HOME}/z")
        seeder.delete_experiment(homes["x"])
        seeder.finish(seeder.create_run(seeder.create_experiment(f"{HOME}/x"), "new", start_time=START))
    told = done(runsync.sync("databricks://dev", "databricks://prod", delete=True, max_delete="100%"))
    assert (told.experiments.created, told.runs.created) == (1, 1)
    there = {(e.name, e.lifecycle_stage) for e in prod.tracking.experiments.values()}
    old = f"{HOME}/x (old {homes['x']})"
    assert there == {(f"{HOME}/x", "active"), (f"{HOME}/z", "active"), (old, "deleted")}
    checked = runsync.verify("databricks://dev", "databricks://prod").differences
    assert [(d.field, d.target) for d in checked] == []
    again = done(runsync.sync("databricks://dev", "databricks://prod", delete=True))
    assert (again.experiments.unchanged, again.runs.unchanged) == (3, 3)


def test_a_path_that_something_else_has_is_told_with_the_way_out(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    lake.tree.add(f"{HOME}/x", "DIRECTORY")
    report = runsync.import_(bundle_of(tmp_path, [f"{HOME}/x", f"{HOME}/y"], [run(1)]), "databricks://lake")
    failed = {one["kind"]: one["error"] for one in report.failed}
    assert "something else is at that path" in failed["experiment"]
    assert "--rename" in failed["experiment"]
    assert report.experiments.created == 1


def test_a_tag_that_turns_out_to_be_refused_is_kept_under_another_name_and_told(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emulators.databricks import runs as emulated

    monkeypatch.setattr(emulated, "OWNED", emulated.OWNED | {"mlflow.databricks.new"})
    start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(n, tags={"mlflow.databricks.new": "v"}) for n in range(1, 4)])
    report = done(runsync.import_(bundle, "databricks://lake"))
    lost = next(lost for lost in report.not_carried if lost.what == "tags under their own names")
    assert "mlflow.databricks.new" in lost.names
    assert not runsync.verify(str(bundle), "databricks://lake").differences
    assert runsync.import_(bundle, "databricks://lake").runs.unchanged == 3


def test_a_model_history_of_more_than_open_source_takes_arrives(start: Start, tmp_path: Path) -> None:
    start("lake")
    history = json.dumps([{"run_id": f"{1:032x}", "signature": "ü" * 12_000}], ensure_ascii=False)
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(1, tags={"mlflow.log-model.history": history})])
    done(runsync.import_(bundle, "databricks://lake"))
    assert not runsync.verify(str(bundle), "databricks://lake").differences
    assert runsync.import_(bundle, "databricks://lake").runs.unchanged == 1


def test_a_path_that_is_free_again_is_used_again(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    with DatabricksSeeder(lake) as seeder:
        seeder.delete_experiment(seeder.create_experiment(f"{HOME}/x"))
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(1)])
    done(runsync.import_(bundle, "databricks://lake"))
    assert runsync.import_(bundle, "databricks://lake").runs.unchanged == 1
    assert not runsync.verify(str(bundle), "databricks://lake").differences


@pytest.mark.parametrize(
    ("most", "fields", "of_experiment", "told"),
    [
        (None, {"params": {f"p{n}": "1" for n in range(1601)}}, {}, "1 run with more than 1,600 params"),
        (None, {"tags": {f"t{n}": "1" for n in range(1601)}}, {}, "1 run with more than 1,600 tags"),
        (("STEPS_A_RUN", 10), {}, {}, "1 run with more than 10 metric points"),
        (None, {}, {"tags": {f"t{n}": "1" for n in range(1001)}}, "1 experiment with more than 1,000 tags"),
        (("RUNS_AN_EXPERIMENT", 1), {}, {}, "1 experiment with more than 1 runs"),
    ],
    ids=["params", "run tags", "points", "experiment tags", "runs"],
)
def test_what_exceeds_a_quota_is_told_by_name_before_it_is_tried(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: tuple[str, int] | None,
    fields: dict[str, Any],
    of_experiment: dict[str, Any],
    told: str,
) -> None:
    start("lake")
    if most is not None:
        monkeypatch.setattr(quotas, *most)
    runs = [run(1, **fields), run(2)]
    points = {runs[0].run_id: {"loss": [(step, START + step, 0.5) for step in range(11)]}}
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], runs, points, **of_experiment)
    report = runsync.import_(bundle, "databricks://lake", dry_run=True)
    name = f"{HOME}/x" if "experiment" in told else f"run 1 ({1:032x})"
    assert f"{told}, which Databricks refuses: {name}" in report.notes


def test_runs_that_are_there_already_count_for_the_quota(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("lake")
    monkeypatch.setattr(quotas, "RUNS_AN_EXPERIMENT", 2)
    told = f"1 experiment with more than 2 runs, which Databricks refuses: {HOME}/x"
    first = bundle_of(tmp_path / "first", [f"{HOME}/x"], [run(1), run(2)])
    assert told not in runsync.import_(first, "databricks://lake").notes
    assert told not in runsync.import_(first, "databricks://lake").notes
    other = bundle_of(tmp_path / "other", [f"{HOME}/x"], [run(3)])
    assert told in runsync.import_(other, "databricks://lake", dry_run=True).notes


def test_credentials_for_writing_are_asked_for_once_a_run(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(n) for n in range(1, 6)])
    done(runsync.import_(bundle, "databricks://lake"))
    assert lake.count(WRITE) == 5


@pytest.mark.parametrize("retry_after", [pytest.param(1, marks=pytest.mark.slow), None])
def test_a_storm_of_429_is_lived_through(start: Start, tmp_path: Path, retry_after: int | None) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(n) for n in range(1, 6)])
    lake.faults.add(too_many("*/mlflow/runs/*", times=6, skip=3, retry_after=retry_after))
    lake.faults.add(too_many("*/artifacts/*", times=4, skip=2, retry_after=retry_after))
    done(runsync.import_(bundle, "databricks://lake"))
    assert not runsync.verify(str(bundle), "databricks://lake", verify_artifacts=True).differences


def test_a_storm_uses_up_no_patience_with_errors(start: Start, tmp_path: Path) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(1)])
    lake.faults.add(too_many("POST */mlflow/runs/update", times=5, retry_after=0))
    error = lake.faults.add(Fault("status", "POST */mlflow/runs/update"))
    done(runsync.import_(bundle, "databricks://lake"))
    assert error.met == 1


@pytest.mark.parametrize("kind", ["lose", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("drop", "cut"))])
def test_lost_answers_make_nothing_twice(start: Start, tmp_path: Path, kind: Kind) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(n) for n in range(1, 6)])
    lake.faults.add(Fault(kind, "POST /api/2.0/mlflow/*", times=None, chance=0.2))
    done(runsync.import_(bundle, "databricks://lake"))
    lake.faults.clear()
    assert not runsync.verify(str(bundle), "databricks://lake", verify_artifacts=True).differences
    assert len(lake.tracking.runs) == 5


def test_long_histories_are_read_page_by_page(start: Start, tmp_path: Path) -> None:
    lake = start("lake", limits=Limits(history_page=25_000))
    with DatabricksSeeder(lake) as seeder:
        home = seeder.create_experiment(f"{HOME}/long")
        run_id = seeder.create_run(home, "long")
        points = [("loss", step / 7, START + step, 0) for step in range(25_001)]
        seeder.log_batch(run_id, metrics=points)
    assert runsync.export("databricks://lake", tmp_path / "bundle").metric_points == 25_001


def test_int64_as_text_is_read_as_well(start: Start, tmp_path: Path) -> None:
    from emulators.databricks import Doubts

    start("lake", doubts=Doubts(longs_as_text=True, duplicate_tags=True))
    points = {"loss": [(step, START + step, 0.5) for step in range(10)]}
    one = run_with_metrics(f"{1:032x}", points, name="one", start_time=START, end_time=START + 5)
    export_into(tmp_path / "bundle", MemorySource([Experiment("1", f"{HOME}/x")], [one], {one.run_id: points}, {}))
    done(runsync.import_(tmp_path / "bundle", "databricks://lake"))
    assert not runsync.verify(str(tmp_path / "bundle"), "databricks://lake").differences


def test_two_profiles_are_two_workspaces_whatever_the_environment_says(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev, prod, other = (start(name) for name in ("dev", "prod", "other"))
    for name, value in other.environment.items():
        monkeypatch.setenv(name, value)
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(1)])
    done(runsync.import_(bundle, "databricks://dev"))
    done(runsync.sync("databricks://dev", "databricks://prod"))
    assert names_in(dev) == names_in(prod) == {f"{HOME}/x"}
    assert not other.requests
    assert not runsync.verify("databricks://dev", "databricks://prod").differences
    monkeypatch.setenv("DATABRICKS_HOST", dev.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", dev.token)
    with pytest.raises(WrongUsage, match=r"itself|same"):
        runsync.sync("databricks", "databricks://dev")


def test_no_secret_is_written_anywhere(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = start("lake")
    bundle = bundle_of(tmp_path, [f"{HOME}/x"], [run(n) for n in range(1, 4)])
    lake.faults.add(Fault("status", "P* /container-*", 400, "Odd", times=2))
    lake.faults.add(Fault("drop", "*", times=5, skip=5))
    documents = [
        runsync.import_(bundle, "databricks://lake").to_document(),
        runsync.export("databricks://lake", tmp_path / "out").to_document(),
        runsync.verify(str(bundle), "databricks://lake").to_document(),
    ]
    written = [*map(repr, documents), caplog.text]
    for folder, _, files in os.walk(tmp_path / "out"):
        written += [(Path(folder) / name).read_bytes().decode("latin-1") for name in files]
    assert not [secret for secret in lake.secrets for text in written if secret in text]
