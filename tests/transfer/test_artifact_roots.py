"""Where the artifacts of a store are said to be: a slip is no silent loss."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import ROOT
from support.s3 import Bucket
from support.stores import Filler, contents, empty_sqlite, opened, run_id

import runsync
from runsync.bundle.address import Access
from runsync.errors import BucketNotFound, RunsyncError, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.workspaces.direct.store import Arrival
from runsync.workspaces.sql import initialise

pytestmark = pytest.mark.long

STORE = ROOT / "examples" / "mlruns"
HISTORY = {"mlflow.log-model.history": '[{"artifact_path": "model"}]'}


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The example's runs in a database, whose artifacts lie in a folder `art` that only `--artifacts` tells."""
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as made:
        made.executescript((ROOT / "examples/demo/empty-mlflow-3.17.sql").read_text(encoding="utf-8"))
    made.close()
    url = f"sqlite:///{file}"
    done = runsync.sync(str(STORE), url, access=Access(artifacts=str(tmp_path / "art")))
    assert (done.exit_code, done.artifacts) == (0, 15)
    return url


def test_a_folder_that_is_not_there_is_refused(database: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"there is no folder .*nowhere"):
        runsync.export(database, tmp_path / "bundle", access=Access(artifacts=str(tmp_path / "nowhere")))


def test_a_folder_that_is_not_their_root_is_told(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    wrong = runsync.export(database, tmp_path / "bundle", access=Access(artifacts=str(tmp_path / "other")))
    assert [note for note in wrong.notes if "that is not their root" in note]
    right = runsync.export(database, tmp_path / "right", access=Access(artifacts=str(tmp_path / "art")))
    assert (right.artifacts, right.notes) == (15, [])


def test_doctor_doubts_a_folder_that_is_not_their_root(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert [state for state, told in _artifacts(database, tmp_path / "other") if "not their root" in told] == [
        "warning"
    ]
    assert {state for state, _ in _artifacts(database, tmp_path / "art")} == {"ok"}


def test_doctor_does_not_doubt_a_root_for_new_runs_that_have_no_artifacts(database: str, tmp_path: Path) -> None:
    with opened(database, str(tmp_path / "art")) as workspace:
        filler = Filler(workspace)
        home = filler.experiment(Experiment("", "bare"))
        for label in "abcde":
            filler.run(Run(run_id(label), home, label, status="FINISHED", start_time=2**42, end_time=2**42))
    assert {state for state, _ in _artifacts(database, tmp_path / "art")} == {"ok"}


def test_doctor_doubts_one_root_beside_another_that_is_right(database: str, tmp_path: Path) -> None:
    with opened(database, str(tmp_path / "art")) as workspace:
        lost = Experiment("", "lost", artifact_location=f"file://{tmp_path}/gone/lost")
        home = workspace.store.create_experiment(lost)
        uri = f"{lost.artifact_location}/{run_id('lost')}/artifacts"
        run = Run(run_id("lost"), home, "lost", status="FINISHED", start_time=2**42, end_time=2**42, artifact_uri=uri)
        assert workspace.store.write_runs([Arrival(run, True)]) == {}
    (doubt,) = (told for state, told in _artifacts(database, tmp_path / "art") if state == "warning")
    assert f"below {tmp_path}/gone:" in doubt


def _artifacts(database: str, root: Path | str) -> list[tuple[str, str]]:
    findings = runsync.doctor(database, access=Access(artifacts=str(root))).findings
    return [(one.state, one.told) for one in findings if one.topic == "artifacts"]


def test_verify_doubts_the_root_of_either_side(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    right, wrong = str(tmp_path / "art"), str(tmp_path / "other")
    for one, other in ((right, wrong), (wrong, right)):
        report = runsync.verify(database, database, source_artifacts=one, access=Access(artifacts=other))
        (note,) = report.notes
        assert wrong in note
        assert report.exit_code == 4


def test_artifacts_of_databases_go_to_s3_and_come_from_there(
    database: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    there, back = empty_sqlite(tmp_path / "there/mlflow.db"), empty_sqlite(tmp_path / "back/mlflow.db")
    on_s3, here = f"{bucket.url}/art", str(tmp_path / "back/art")
    up = runsync.sync(
        database, there, source_artifacts=str(tmp_path / "art"), access=Access(artifacts=on_s3), verify_artifacts=True
    )
    assert (up.exit_code, up.artifacts, up.notes) == (0, 15, [])
    assert len(bucket.files("art/")) == 15
    down = runsync.sync(there, back, source_artifacts=on_s3, access=Access(artifacts=here))
    assert (down.exit_code, down.artifacts, down.notes) == (0, 15, [])
    wanted = contents(database, str(tmp_path / "art"))["runs"]
    assert contents(there, on_s3)["runs"] == contents(back, here)["runs"] == wanted
    same = runsync.verify(
        database, there, source_artifacts=str(tmp_path / "art"), access=Access(artifacts=on_s3), verify_artifacts=True
    )
    assert (same.exit_code, same.artifacts) == (0, 15)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_bucket_that_is_not_there_stops_a_transfer_before_anything_is_written(
    database: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    there, new = empty_sqlite(tmp_path / "there/mlflow.db"), f"sqlite:///{tmp_path / 'new.db'}"
    access, source = Access(artifacts="s3://no-such-bucket-here/art"), str(tmp_path / "art")
    monkeypatch.setattr(initialise, "_mlflow", lambda: initialise.MLflow(("mlflow",), "3.17.2", False))
    done = runsync.sync(database, new, init=True, source_artifacts=source, artifacts=False, dry_run=True, access=access)
    assert done.exit_code == 0
    for target, init in ((there, False), (new, True)):
        with pytest.raises(BucketNotFound, match=r"no bucket “no-such-bucket-here” at .*, where artifacts are to go"):
            runsync.sync(database, target, init=init, source_artifacts=source, dry_run=dry_run, access=access)
    assert not (tmp_path / "new.db").exists()
    assert contents(there)["runs"] == {}


def test_a_dry_run_of_export_tells_of_a_place_that_cannot_be_written(database: str, tmp_path: Path) -> None:
    access = Access(artifacts=str(tmp_path / "art"))
    for place, told in (
        ("file/bundle", "is not a folder"),
        ("art", "is not empty and"),
        ("file", "a file"),
    ):
        (tmp_path / "file").write_text("")
        for dry_run in (True, False):
            with pytest.raises(RunsyncError, match=told):
                runsync.export(database, tmp_path / place, dry_run=dry_run, access=access)
    before = tmp_path.stat().st_mtime_ns
    assert runsync.export(database, tmp_path / "new/bundle", dry_run=True, access=access).exit_code == 0
    assert (tmp_path.stat().st_mtime_ns, (tmp_path / "new").exists()) == (before, False)


def test_an_s3_address_that_is_not_their_root_is_no_silent_loss(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    address, bare = empty_sqlite(tmp_path / "mlflow.db"), run_id("bare")
    right, slip = f"{bucket.url}/art", f"{bucket.url}/arts"
    with opened(address, right) as workspace:
        filler = Filler(workspace)
        filler.default()
        for label, tags in (("told", HISTORY), ("lost", HISTORY), ("bare", {})):
            files = {"model/MLmodel": b"x: 1"} if label == "told" else {}
            run = Run(run_id(label), "0", label, status="FINISHED", start_time=2**40, end_time=2**40, tags=tags)
            filler.run(run, files=files)
    whole = runsync.export(address, tmp_path / "right", access=Access(artifacts=right))
    assert (whole.exit_code, whole.artifacts, whole.notes) == (0, 1, []), "somebody took those of one away"
    lost = runsync.export(address, tmp_path / "slip", access=Access(artifacts=slip))
    assert lost.exit_code == 3
    assert {one["run_id"] for one in lost.problems} == {run_id("told"), run_id("lost")}
    assert all(f"has a file below {slip}: say with --artifacts" in one["reason"] for one in lost.problems)
    assert [note for note in lost.notes if f"below {slip}: if they have artifacts, that is not their root" in note]
    seen = runsync.verify(address, address, source_artifacts=slip, access=Access(artifacts=right))
    assert (seen.exit_code, bare in {one.id for one in seen.differences}) == (4, False)
    doubts = [told for state, told in _artifacts(address, slip) if state == "warning"]
    assert any("that is not their root" in told for told in doubts)
    assert {state for state, _ in _artifacts(address, right)} == {"ok"}


def test_verify_doubts_an_s3_address_where_no_run_tells_of_its_files(
    database: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    with sqlite3.connect(tmp_path / "mlflow.db") as made:
        made.execute("DELETE FROM tags WHERE key IN ('mlflow.log-model.history', 'mlflow.loggedArtifacts')")
    made.close()
    right = str(tmp_path / "art")
    seen = runsync.verify(database, database, source_artifacts=f"{bucket.url}/x", access=Access(artifacts=right))
    assert [(one.kind, one.source, one.target) for one in seen.differences] == [
        ("artifacts", "none found: see the notes", "15 files")
    ]
    assert seen.exit_code == 4


def test_each_side_of_a_comparison_has_a_root_of_its_own(database: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    given = Access(artifacts=str(tmp_path / "other"))
    lost = runsync.verify(database, database, source_artifacts=str(tmp_path / "art"), access=given)
    assert (lost.artifacts, lost.exit_code) == (15, 4)
    found = runsync.verify(
        database, database, source_artifacts=str(tmp_path / "art"), access=Access(artifacts=str(tmp_path / "art"))
    )
    assert (found.artifacts, found.exit_code) == (15, 0)


def test_what_a_file_store_holds_twice_comes_twice_through_a_bundle(tmp_path: Path) -> None:
    runsync.export(str(STORE), tmp_path / "bundle")
    done = runsync.import_(tmp_path / "bundle", str(tmp_path / "again"))
    assert (done.exit_code, done.metric_points, done.notes) == (0, 998, [])
    assert runsync.import_(tmp_path / "bundle", str(tmp_path / "again")).runs.unchanged == 9
    (file,) = STORE.glob("*/0aba8daddd544914a4afeee76cbb0474/metrics/train/loss")
    (copy,) = (tmp_path / "again").glob("*/0aba8daddd544914a4afeee76cbb0474/metrics/train/loss")
    assert sorted(copy.read_text().splitlines()) == sorted(file.read_text().splitlines())


def test_a_point_that_is_repeated_later_is_told_where_it_is_not_brought(tmp_path: Path) -> None:
    shutil.copytree(STORE, tmp_path / "mlruns")
    one, other = str(tmp_path / "mlruns"), str(tmp_path / "other")
    assert runsync.sync(one, other).notes == []
    (file,) = (tmp_path / "mlruns").glob("*/b1954ccdbcd14b1f8b5081fe1ef9b417/metrics/train/loss")
    line = file.read_text().splitlines(keepends=True)[5]
    with file.open("a") as stream:
        stream.write(line)
    again = runsync.sync(one, other, thorough=True)
    assert again.notes == ["1 metric point stood there more than once: stored once"]


def test_the_folder_that_artifacts_of_an_import_are_to_go_to_is_there_though_no_run_has_any(tmp_path: Path) -> None:
    store, address = str(tmp_path / "mlruns"), empty_sqlite(tmp_path / "mlflow.db")
    with opened(store) as workspace:
        filler = Filler(workspace)
        filler.default()
        filler.run(Run(run_id("bare"), "0", "bare", status="FINISHED", start_time=2**40, end_time=2**40))
    given = Access(artifacts=str(tmp_path / "new" / "art"))
    assert runsync.sync(store, address, access=given, dry_run=True).exit_code == 0
    assert not (tmp_path / "new").exists()
    assert runsync.sync(store, address, access=given).exit_code == 0
    assert runsync.verify(store, address, access=given).exit_code == 0
    assert runsync.sync(store, address, access=given).runs.unchanged == 1
    beside = empty_sqlite(tmp_path / "beside/mlflow.db")
    assert runsync.sync(store, beside).exit_code == 0
    assert runsync.verify(store, beside).exit_code == 0
    (tmp_path / "file").touch()
    with pytest.raises(WrongUsage, match="cannot be written: Not a directory"):
        runsync.sync(store, address, access=Access(artifacts=str(tmp_path / "file" / "art")))


def test_a_root_that_is_empty_is_a_problem_of_runs_that_tell_of_artifacts(tmp_path: Path) -> None:
    """As a disk that is not mounted. Of other runs nobody knows whether they had any: those are no problem."""
    store = str(tmp_path / "mlruns")
    with opened(store) as workspace:
        filler = Filler(workspace)
        filler.default()
        for label, tags in (("told", HISTORY), ("bare", {}), ("lost", HISTORY)):
            files = {} if label == "bare" else {"model/MLmodel": b"x: 1"}
            filler.run(
                Run(run_id(label), "0", label, status="FINISHED", start_time=2**40, end_time=2**40, tags=tags),
                files=files,
            )
    address, given = empty_sqlite(tmp_path / "mlflow.db"), Access(artifacts=str(tmp_path / "art"))
    assert runsync.sync(store, address, access=given).exit_code == 0
    shutil.rmtree(tmp_path / "art/0" / run_id("lost"))
    assert runsync.export(address, tmp_path / "one", access=given).problems == [], "somebody took them away"
    (tmp_path / "art").rename(tmp_path / "unmounted")
    (tmp_path / "art").mkdir()
    done = runsync.export(address, tmp_path / "other", access=given)
    assert done.exit_code == 3
    assert {one["run_id"] for one in done.problems} == {run_id("told"), run_id("lost")}
    assert all("as its tags tell" in one["reason"] for one in done.problems)
    bare = empty_sqlite(tmp_path / "bare/mlflow.db")
    assert runsync.sync(store, bare, artifacts=False).exit_code == 0
    assert runsync.export(bare, tmp_path / "third", access=given).exit_code == 0, "they were left out on purpose"


def test_a_dry_run_into_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    runsync.export(str(STORE), tmp_path / "bundle")
    planned = runsync.import_(tmp_path / "bundle", str(tmp_path / "again"), dry_run=True)
    assert (planned.exit_code, planned.runs.created) == (0, 9)
    assert not (tmp_path / "again").exists()
