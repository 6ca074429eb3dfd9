"""Links: the store's own folder may be one; inside of it none is followed, neither in reading nor in writing."""

import io
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.transfer.places import open_workspace
from runsync.workspaces.direct.store import Change, ExperimentChange
from runsync.workspaces.direct.workspace import DirectWorkspace
from runsync.workspaces.files import open_store
from workspaces.files.small import START, arrival, make_store, run_of
from workspaces.files.told import all_runs, pieces, points, unreadable

SECRET = b"1 2 3\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nobody may read from or write to through a link."""
    folder = tmp_path / "outside"
    for name in ("x", "meta.yaml", "loss", "lr"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(SECRET)
    return folder


def replaced(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


def moved(path: Path, target: Path) -> None:
    shutil.move(path, target)
    path.symlink_to(target)


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "file": lambda run, outside: replaced(run / "params/lr", outside / "x"),
    "meta": lambda run, outside: replaced(run / "meta.yaml", outside / "meta.yaml"),
    "metric": lambda run, outside: replaced(run / "metrics/loss", outside / "loss"),
    "params": lambda run, outside: replaced(run / "params", outside),
    "tags": lambda run, outside: replaced(run / "tags", outside),
    "metrics": lambda run, outside: replaced(run / "metrics", outside),
    "inputs": lambda run, outside: replaced(run / "inputs", outside),
    "input": lambda run, outside: (run / "inputs/x").symlink_to(outside),
    "outputs": lambda run, outside: (run / "outputs").symlink_to(outside),
    "nested": lambda run, outside: (run / "tags/deep").symlink_to(outside),
    "loop": lambda run, outside: (run / "params/again").symlink_to(run / "params"),
    "itself": lambda run, outside: (run / "params/self").symlink_to(run / "params/self"),
    "broken": lambda run, outside: (run / "params/broken").symlink_to(outside / "nothing"),
    "inside": lambda run, outside: replaced(run / "params/lr", run / "params/empty"),
    "run": lambda run, outside: moved(run, outside / "bad"),
    "datasets": lambda run, outside: moved(run.parent / "datasets", outside / "datasets"),
}


@pytest.mark.parametrize("name", LINKS)
def test_what_is_a_link_is_refused_and_named_and_what_it_leads_to_is_neither_read_nor_written(
    name: str, tmp_path: Path, outside: Path
) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, "bad")
    assert store.write_runs([arrival(run_of("good", dataset_inputs=()))]) == {}
    LINKS[name](root / "0/bad", outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    ((run_id, told),) = [*unreadable(store).items(), *pieces(store).items()]
    assert (run_id, "link" in told) == ("bad", True)
    runs = all_runs(store)
    assert "good" in {run.run_id for run in runs}
    assert SECRET.decode() not in {text for run in runs for text in (*run.params.values(), *run.tags.values())}
    changed = run_of("bad", params={"lr": "0.2"}, tags={"deep/x": "1"}, status="FAILED", dataset_inputs=())
    store.write_runs([arrival(changed, is_new=False, points={"loss": [(5, START, 1.0)]})])
    store.write_runs([arrival(changed, is_new=True, points={"loss": [(5, START, 1.0)]})])
    if name != "meta":
        with suppress(RequestRefused):
            store.change_runs([Change("bad", untagged=["x", "deep/x"])])
            store.change_runs([Change("bad", "other", tags={"deep/x": "1"})])
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_histories_go_through_no_link(tmp_path: Path, outside: Path) -> None:
    store = make_store(tmp_path / "mlruns", "one", "two")
    replaced(tmp_path / "mlruns/0/one/metrics", outside)
    replaced(tmp_path / "mlruns/0/two/metrics/loss", outside / "loss")
    for run_id in ("one", "two"):
        with pytest.raises(RequestRefused, match="is a link, and links are not followed"):
            points(store, run_id)


def test_an_experiment_behind_a_link_takes_no_run_and_its_tags_no_value(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root)
    store.create_experiment(Experiment("7", "one"))
    (root / "7/tags").symlink_to(outside)
    with pytest.raises(RequestRefused, match="link"):
        store.change_experiment(ExperimentChange("7", tags={"x": "1"}))
    store.change_experiment(ExperimentChange("7", untagged=["x"]))
    (root / "8").symlink_to(outside)
    assert store.write_runs([arrival(run_of("run", experiment_id="8"))]) == {"run": "experiment 8 is not there"}
    assert store.create_experiment(Experiment("8", "eight")) != "8"
    assert sorted(path.name for path in outside.iterdir()) == ["loss", "lr", "meta.yaml", "x"]
    assert (outside / "x").read_bytes() == SECRET


def test_new_datasets_do_not_go_through_a_link(tmp_path: Path, outside: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    (tmp_path / "mlruns/0/datasets").symlink_to(outside)
    assert "behind a link" in store.write_runs([arrival(run_of("run"))])["run"]
    assert not list(outside.rglob("*.yaml"))[1:]


def test_folders_of_all_runs_behind_links_are_named(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "mlruns"
    store = make_store(root, "run")
    for name in ("models", ".trash"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).symlink_to(outside)
    (root / "0/models").symlink_to(outside)
    store.refresh()
    models = store.models
    assert [*models.registered_models(), *models.model_versions(), *models.logged_models(["0"])] == []
    (bad,) = store.unreadable_experiments()
    assert (bad.place, bad.reason) == (f"{root}/.trash", "it is a link, and links are not followed")
    assert "links are not followed" in models.unreadable("registered-models")["models"]
    assert "links are not followed" in models.unreadable("logged-models")["of experiment 0"]
    assert store.model_versions("run") == ()
    with pytest.raises(RequestRefused, match="links are not followed"):
        store.create_experiment(Experiment("9", "gone", "deleted"))
    assert [run.run_id for run in all_runs(store)] == ["run"]


def test_a_store_that_is_reached_by_a_link_is_read_and_written(tmp_path: Path) -> None:
    make_store(tmp_path / "real", "run")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = open_store(tmp_path / "link", create=True)
    assert [run.run_id for run in all_runs(store)] == ["run"]
    assert store.write_runs([arrival(run_of("more"))]) == {}
    assert (tmp_path / "real/0/more/meta.yaml").exists()
    assert store.default_artifact_root("5") == f"file://{tmp_path}/link/5"
    assert store.whereabouts == open_store(tmp_path / "real", create=False).whereabouts
    assert store.place.address == str(tmp_path / "link")


@pytest.mark.parametrize("what", ["artifacts", "run"])
def test_artifacts_behind_a_link_are_neither_read_nor_written(what: str, tmp_path: Path, outside: Path) -> None:
    make_store(tmp_path / "mlruns", "run")
    artifacts = tmp_path / "mlruns/0/run/artifacts"
    if what == "artifacts":
        replaced(artifacts, outside)
    else:
        (outside / "run/artifacts").mkdir(parents=True)
        (outside / "run/artifacts/x").write_bytes(SECRET)
        replaced(artifacts.parent, outside / "run")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    place = open_workspace(str(tmp_path / "mlruns"), role="target")
    assert isinstance(place, DirectWorkspace)
    run = run_of("run", artifact_uri=artifacts.as_uri())
    with pytest.raises(RequestRefused, match="is a link, and links are not followed"):
        place.artifacts(run)
    with pytest.raises(RequestRefused, match="is a link, and links are not followed"):
        place.artifact_store.write(run, "x", 1, lambda: io.BytesIO(b"?"))
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_a_pipe_among_artifacts_is_refused_and_holds_nobody_up(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns", "run")
    artifacts = tmp_path / "mlruns/0/run/artifacts"
    artifacts.mkdir(exist_ok=True)
    os.mkfifo(artifacts / "pipe")
    place = open_workspace(str(tmp_path / "mlruns"))
    run = run_of("run", artifact_uri=artifacts.as_uri())
    (file,) = place.artifacts(run)
    with pytest.raises(RequestRefused, match="pipe is no plain file"):
        list(place.read_artifact(run, file))
