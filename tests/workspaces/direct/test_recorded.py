"""Every form in which MLflow has recorded an artifact root, and where its files are found when they were moved."""

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import Runner
from support.stores import START, Filler, empty_sqlite, opened, run_id

from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
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


SHORT = {
    "right below the root": "/no-such-artifacts",
    "a file right below the root": "file:///no-such-artifacts",
    "a run without an experiment": f"/{RUN}/artifacts",
    "a question mark": f"file:///x?y/0/{RUN}/artifacts",
    "nothing": "",
    "no host": "//[x/0/artifacts",
    "no host of a file": "file://[x/0/artifacts",
    "longer than a path": f"/{'x' * 300}/0/{RUN}/artifacts",
    "NUL": f"/x\0/0/{RUN}/artifacts",
    "a server's": f"mlflow-artifacts:/0/{RUN}/artifacts",
}
"""Roots that no folder of a run has, or none of this machine."""


@pytest.mark.parametrize("name", SHORT)
def test_files_beside_the_run_are_found_whatever_is_recorded(name: str, tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns", RUN, run_id("other"))
    home = tmp_path / "mlruns/0" / RUN / "artifacts"
    (home / "a.txt").write_bytes(b"a")
    run = run_of(RUN, artifact_uri=SHORT[name])
    with opened(str(tmp_path / "mlruns")) as place:
        (file,) = place.artifacts(run)
        assert (file.path, b"".join(place.read_artifact(run, file))) == ("a.txt", b"a")
    (home / "a.txt").unlink()
    with opened(str(tmp_path / "mlruns")) as place, suppress(RequestRefused):  # no other error
        assert place.artifacts(run) == ()
    (tmp_path / "given").mkdir()
    for given in (str(tmp_path / "given"), "/"):
        with opened(str(tmp_path / "mlruns"), given) as place, suppress(RequestRefused):
            assert place.artifacts(run) == ()


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_a_server_that_keeps_the_files_of_one_run_ends_that_run_alone(
    kind: str, tmp_path: Path, runsync: Runner
) -> None:
    address = str(tmp_path / "mlruns") if kind == "files" else empty_sqlite(tmp_path / "db/mlflow.db")
    with opened(address, "" if kind == "files" else str(tmp_path / "files")) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("7", "seven"))
        for label in ("one", "two"):
            filler.run(Run(run_id(label), home, label, "ann", "FINISHED", START, START + 1), files={"a.txt": b"a"})
        for label in ("one", "two"):
            served = f"mlflow-artifacts:/7/{run_id(label)}/artifacts"
            local = f"{tmp_path.as_uri()}/files/7/{run_id('two')}/artifacts"
            if kind == "files":
                meta = tmp_path / "mlruns/7" / run_id(label) / "meta.yaml"
                lines = meta.read_text().splitlines()
                kept = [line for line in lines if not line.startswith("artifact_uri")]
                if label == "one":
                    meta.write_text("\n".join([*kept, f"artifact_uri: {served}", ""]))
                    (meta.parent / "artifacts/a.txt").unlink()
            else:
                with closing(sqlite3.connect(tmp_path / "db/mlflow.db")) as database, database:
                    uri = served if label == "one" else local
                    database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (uri, run_id(label)))
    done = runsync("export", address, tmp_path / "b", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 3, report
    assert (report["runs"]["created"], report["artifacts"]) == (2, 1)
    (problem,) = report["problems"]
    assert problem["run_id"] == run_id("one")
    assert "served by an MLflow server" in problem["reason"]


def test_a_store_whose_files_are_all_kept_by_a_server_is_refused(tmp_path: Path, runsync: Runner) -> None:
    store = make_store(tmp_path / "mlruns")
    runs = [run_of(run_id(x), artifact_uri=f"mlflow-artifacts:/0/{run_id(x)}/artifacts") for x in ("one", "two")]
    assert store.write_runs([arrival(run) for run in runs]) == {}
    done = runsync("export", tmp_path / "mlruns", tmp_path / "b")
    assert done.returncode == 2
    assert "say with --artifacts" in done.stderr
