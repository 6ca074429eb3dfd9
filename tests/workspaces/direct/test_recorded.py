"""Every form in which MLflow has recorded an artifact root, and where its files are found when they were moved."""

from pathlib import Path

import pytest
from support.stores import empty_sqlite, opened, run_id

from runsync.model.run import Run
from runsync.workspaces.direct.recorded import below, beside, steps
from workspaces.files.small import arrival, make_store, run_of

RUN = run_id("moved")
ROOTS = {
    "posix": "/old/proj/mlruns/0",
    "file": "file:///old/proj/mlruns/0",
    "file without a host": "file:/old/proj/mlruns/0",
    "file of this host": "file://localhost/old/mlruns/0",
    "file with escapes": "file:///old/my%20proj/mlruns/0",
    "a space": "/old/my proj/mlruns/0",
    "relative": "mlruns/0",
    "relative to here": "./mlruns/0",
    "relative to above": "../shared/mlruns/0",
    "relative file": "file:./mlruns/0",
    "relative file without a dot": "file:mlruns/0",
    "windows": "C:\\Users\\ada\\proj\\mlruns\\0",
    "windows with slashes": "c:/Users/ada/proj/mlruns/0",
    "windows file": "file:///C:/Users/ada/my%20proj/mlruns/0",
    "windows file of one slash": "file:C:\\Users\\ada\\mlruns\\0",
    "share": "\\\\nas\\team\\mlruns\\0",
    "share with slashes": "//nas/team/mlruns/0",
    "share file": "file://nas/team/mlruns/0",
    "share file of Windows": "file:\\\\nas\\team\\mlruns\\0",
    "trailing slash": "file:///old/mlruns/0/",
    "databricks": "dbfs:/databricks/mlruns/0",
    "databricks of old": "/dbfs/databricks/mlruns/0",
    "another cloud": "gs://bucket/mlruns/0",
}


def uri_of(root: str) -> str:
    """As MLflow makes it of an experiment's root."""
    return f"{root.rstrip('/')}/{RUN}/artifacts" + "/" * root.endswith("/")


@pytest.mark.parametrize("name", ROOTS)
def test_the_end_of_every_form_is_known(name: str) -> None:
    assert steps(uri_of(ROOTS[name]))[-4:] == ("mlruns", "0", RUN, "artifacts")


@pytest.mark.parametrize("name", ROOTS)
def test_a_moved_file_store_has_its_artifacts_with_it(name: str, tmp_path: Path) -> None:
    store = make_store(tmp_path / "mlruns")
    run = run_of(RUN, artifact_uri=uri_of(ROOTS[name]), dataset_inputs=())
    assert store.write_runs([arrival(run)]) == {}
    home = tmp_path / "mlruns/0" / RUN / "artifacts"
    home.mkdir(exist_ok=True)
    (home / "a.txt").write_bytes(b"a")
    (tmp_path / "other").mkdir()
    given = tmp_path / "given/0" / RUN / "artifacts"
    given.mkdir(parents=True)
    (given / "b.txt").write_bytes(b"bb")
    for artifacts, found in {"": ("a.txt", b"a"), str(tmp_path / "given"): ("b.txt", b"bb")}.items():
        with opened(str(tmp_path / "mlruns"), artifacts) as place:
            (file,) = place.artifacts(run)
            assert (file.path, b"".join(place.read_artifact(run, file))) == found
            assert place.notes == []


def test_a_moved_sqlite_file_has_its_artifacts_with_it(tmp_path: Path) -> None:
    address = empty_sqlite(tmp_path / "mlflow.db")
    home = tmp_path / "mlruns/0" / RUN / "artifacts"
    home.mkdir(parents=True)
    (home / "a.txt").write_bytes(b"a")
    with opened(address) as place:
        for root in ROOTS.values():
            run = run_of(RUN, artifact_uri=uri_of(root))
            bare = run_of(run_id("bare"), artifact_uri=uri_of(root).replace(RUN, run_id("bare")))
            (file,) = place.artifacts(run)
            assert (file.path, b"".join(place.read_artifact(run, file))) == ("a.txt", b"a"), root
            assert place.artifacts(bare) == (), root
        assert place.notes == []


def test_nothing_is_looked_for_outside_of_the_place_that_is_given(tmp_path: Path) -> None:
    for folder in ("given", "secret"):
        (tmp_path / folder / RUN / "artifacts").mkdir(parents=True)
    (tmp_path / "given/7").symlink_to(tmp_path / "secret")
    for uri in (f"mlruns/7/{RUN}/artifacts", f"C:\\mlruns\\7\\{RUN}/artifacts"):
        run = Run(RUN, "7", artifact_uri=uri)
        assert below(tmp_path / "given", run) is None
        assert beside(tmp_path / "given", run) is None
    for uri in (
        f"a/../../secret/{RUN}/artifacts",
        "/etc",
        "C:\\Windows",
        f"mlruns/0/{RUN}",
        f"x/0/{RUN[::-1]}/artifacts",
    ):
        run = Run(RUN, "0", artifact_uri=uri)
        assert beside(tmp_path / "given", run) is None
    assert below(tmp_path / "given", Run("..", "0", artifact_uri="mlruns/0/../artifacts")) is None
