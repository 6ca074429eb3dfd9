"""What real MLflow clients have written is read as they read it; what we write, they read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runsync.model.experiment import Experiment
from workspaces.files.small import arrival, make_store, run_of
from workspaces.files.told import RELEASES, by_client, by_us, copy_store, in_time_order

pytestmark = pytest.mark.server


@pytest.mark.parametrize("release", RELEASES)
def test_a_store_is_read_as_the_mlflow_that_made_it_reads_it(release: str, mlruns: Callable[[str], Path]) -> None:
    folder = mlruns(release)
    theirs = in_time_order(by_client(release, "client_tell.py", folder))
    ours = by_us(folder)
    for run in theirs["runs"].values():
        if "on data" in run["history"]:  # FileStore reads 0 for the step of a point with a dataset
            run["history"]["on data"][0][2] = 3
    assert ours == theirs


@pytest.mark.parametrize("release", ["3", "2"])
def test_what_we_write_is_read_by_mlflow_as_it_was_in_the_store_it_came_from(
    release: str, mlruns: Callable[[str], Path], tmp_path: Path
) -> None:
    source = mlruns(release)
    copy_store(source, tmp_path / "copy")
    theirs = in_time_order(by_client(release, "client_tell.py", tmp_path / "copy"))
    assert theirs == in_time_order(by_client(release, "client_tell.py", source))


@pytest.mark.older
def test_what_came_from_mlflow_1_is_read_by_mlflow_3_and_1_from_our_copy(
    mlruns: Callable[[str], Path], tmp_path: Path
) -> None:
    source = mlruns("1")
    copy_store(source, tmp_path / "copy")
    theirs = in_time_order(by_client("1", "client_tell.py", source))
    for release in ("1", "3"):
        assert in_time_order(by_client(release, "client_tell.py", tmp_path / "copy")) == theirs


@pytest.mark.parametrize("release", RELEASES)
def test_mlflow_goes_on_working_in_a_store_that_we_made(release: str, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, "live", "gone")
    store.create_experiment(Experiment("7", "seven", "active", store.default_artifact_root("7")))
    store.create_experiment(Experiment("8", "eight", "deleted", store.default_artifact_root("8")))
    back = run_of("back", lifecycle_stage="deleted", deleted_time=5)
    assert store.write_runs([arrival(back), arrival(run_of("seventh", experiment_id="7"))]) == {}
    assert store.write_runs([arrival(run_of("eighth", experiment_id="8", lifecycle_stage="deleted"))]) == {}
    by_client(release, "client_use.py", root)
    ours, theirs = by_us(root), in_time_order(by_client(release, "client_tell.py", root))
    if release == "1":  # which knows no datasets
        for run in ours["runs"].values():
            run["datasets"] = []
    assert ours == theirs
    runs = ours["runs"]
    assert len(runs) == 6
    assert runs["live"]["history"]["loss"][0] == [99, "0.125", 9]
    assert (runs["live"]["status"], runs["live"]["tags"]["a/b"]) == ("KILLED", "changed")
    stages = {run_id: run["stage"] for run_id, run in runs.items()}
    assert {run_id: stages[run_id] for run_id in ("live", "gone", "back")} == {
        "live": "active",
        "gone": "deleted",
        "back": "active",
    }
    if release != "1":  # which leaves the runs of an experiment as they are
        assert (stages["seventh"], stages["eighth"]) == ("deleted", "active")
    assert {e["name"]: e["stage"] for e in ours["experiments"].values()} == {
        "Default": "active",
        "seven": "deleted",
        "renamed": "active",
    }
