"""Artifacts with odd names: what a place can hold arrives unchanged, what it cannot is one named item."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.memory import export_into
from support.s3 import Bucket
from support.servers import MlflowServer
from support.stores import Filler, empty_sqlite, opened, run_id

import runsync
from runsync.bundle.address import Access
from runsync.model.experiment import Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.testing.memory import MemorySource

pytestmark = pytest.mark.long

ODD = {
    name: name.encode()
    for name in (
        *("m:loss.png", "C:\\x", "..\\x", "a\nb.txt", "\x1b]0;x\x07.txt", "a#b", "100%.txt", "x%20y.txt", "c?", "c;"),
        *(".runsync-notes", "images/loss%step%0%timestamp%17%3f1b2c3d.png", "n" * 255, "ü" * 127, "A.txt", "a.txt"),
    )
}
NOT_UTF8 = (b"caf\xe9.txt", b"d\xff/x.txt", b"d\xff/y.txt")
TOLD = [r"caf\xe9.txt", r"d\xff/x.txt", r"d\xff/y.txt"]


def store(where: str, files: Mapping[str, bytes], artifacts: str = "") -> str:
    """A store with one run that has these files; the run's id."""
    with opened(where, artifacts) as workspace:
        filler = Filler(workspace)
        filler.default()
        run = Run(run_id("odd"), "0", "odd", status="FINISHED", start_time=2**40, end_time=2**40)
        filler.run(run, files=files)
    return run.run_id


def files_of(where: str, artifacts: str = "") -> dict[str, bytes]:
    with opened(where, artifacts) as workspace:
        (batch,) = workspace.batches(workspace.experiments(Selection()), Selection())
        (run,) = batch.runs
        return {f.path: b"".join(workspace.read_artifact(run, f)) for f in workspace.artifacts(run)}


def misname(folder: Path) -> None:
    """Puts files there whose names, or whose folder's name, is not UTF-8."""
    for name in NOT_UTF8:
        place = folder / os.fsdecode(name)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"x")


def problems(report: runsync.TransferReport) -> list[tuple[str, str]]:
    return sorted((problem["kind"], problem["name"]) for problem in report.problems)


def test_odd_names_go_from_disk_to_disk_unchanged_and_into_a_folder(tmp_path: Path) -> None:
    id = store(f"{tmp_path}/store", ODD)
    assert runsync.export(f"{tmp_path}/store", tmp_path / "b").exit_code == 0
    assert runsync.import_(tmp_path / "b", f"{tmp_path}/copy").exit_code == 0
    assert files_of(f"{tmp_path}/copy") == ODD
    assert runsync.verify(f"{tmp_path}/store", f"{tmp_path}/copy", verify_artifacts=True).exit_code == 0
    got = runsync.get_artifacts(str(tmp_path / "b"), id, into=tmp_path / "out")
    assert (got.exit_code, {file.action for file in got.files}) == (0, {"fetched"})
    assert {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()} == {*ODD}


@pytest.mark.parametrize("kind", ["file store", "SQLite", "SQLite with --artifacts"])
def test_names_that_are_no_utf8_are_named_and_all_else_goes(kind: str, tmp_path: Path) -> None:
    where = f"{tmp_path}/store" if kind == "file store" else empty_sqlite(tmp_path / "mlflow.db")
    artifacts = f"{tmp_path}/art" if kind.endswith("--artifacts") else ""
    access = Access(artifacts=artifacts)
    id = store(where, {"ok.txt": b"fine"}, artifacts)
    (root,) = tmp_path.rglob(f"{id}/artifacts")
    misname(root)
    done = runsync.export(where, tmp_path / "b", access=access)
    assert (done.exit_code, done.artifacts, problems(done)) == (3, 1, [("artifact", name) for name in TOLD])
    assert all("not UTF-8" in problem["reason"] for problem in done.problems)
    listed = runsync.list_artifacts(where, id, access=access)
    assert [(file.path, bool(file.fault)) for file in listed.files] == [*((n, True) for n in TOLD), ("ok.txt", False)]
    got = runsync.get_artifacts(where, id, into=tmp_path / "out", access=access)
    assert [(file.path, file.action) for file in got.files] == [*((n, "failed") for n in TOLD), ("ok.txt", "fetched")]
    synced = runsync.sync(where, f"{tmp_path}/copy", source_artifacts=artifacts)
    assert (synced.exit_code, problems(synced)) == (3, [("artifact", name) for name in TOLD])
    assert files_of(f"{tmp_path}/copy") == {"ok.txt": b"fine"}
    lacking = runsync.verify(where, f"{tmp_path}/copy", source_artifacts=artifacts)
    assert [difference.field for difference in lacking.differences] == [f"artifacts.{name}" for name in TOLD]
    assert (lacking.artifacts, {d.unread for d in lacking.differences}) == (1, {"source"})
    accepted = runsync.verify(where, f"{tmp_path}/copy", source_artifacts=artifacts, accept=["missing-pieces"])
    assert (accepted.exit_code, accepted.differences, len(accepted.accepted)) == (0, [], 1)
    warned = [f.told for f in runsync.doctor(where, access=access).findings if f.state == "warning"]
    assert any(all(name in message for name in TOLD) for message in warned), warned


def test_a_file_and_a_folder_of_one_name_on_s3(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 holds both. The empty object is what consoles make for a folder; a disk needs none of it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    source, id = empty_sqlite(tmp_path / "mlflow.db"), run_id("odd")
    on_s3, other = f"{bucket.url}/art", f"{bucket.url}/other"
    files = {"model": b"", "model/MLmodel": b"x: 1", "model/data/x.bin": b"x", "plots": b"a file", "plots/a.png": b"a"}
    odd = {"a//b": b"twice", "m:loss.png": b"m", "..\\x": b"windows"}
    store(source, {"ok.txt": b"fine"}, on_s3)
    for name, content in (files | odd | {"../up": b"up", "a/../../up": b"up"}).items():
        bucket.s3.put(bucket.name, f"art/0/{id}/artifacts/{name}", content, len(content))
    everything = {"ok.txt": b"fine"} | files | odd
    outside = [("artifact", "../up"), ("artifact", "a/../../up")]
    done = runsync.export(source, tmp_path / "b", access=Access(artifacts=on_s3))
    assert (done.exit_code, problems(done)) == (3, outside)
    listed = runsync.list_artifacts(str(tmp_path / "b"), id).files
    assert {file.path for file in listed if not file.fault} == {*everything}
    assert {file.path for file in listed if file.fault} == {name for _, name in outside}
    # A bundle keeps all, and another S3 gets all of it back.
    there = empty_sqlite(tmp_path / "there/mlflow.db")
    brought = runsync.import_(tmp_path / "b", there, access=Access(artifacts=other), accept=["missing-pieces"])
    assert (brought.exit_code, problems(brought)) == (0, [])
    assert files_of(there, other) == everything
    # A disk gets what it can hold.
    copy = runsync.import_(tmp_path / "b", f"{tmp_path}/copy")
    assert (copy.exit_code, problems(copy)) == (3, [("artifact", "a//b"), ("artifact", "plots")])
    assert any("1 empty file left out" in note and "(model)" in note for note in copy.notes)
    held = {name: content for name, content in everything.items() if name not in ("model", "plots", "a//b")}
    assert files_of(f"{tmp_path}/copy") == held
    lacking = runsync.verify(str(tmp_path / "b"), f"{tmp_path}/copy")
    assert sorted(difference.field for difference in lacking.differences) == ["artifacts.a//b", "artifacts.plots"]
    synced = runsync.sync(source, f"{tmp_path}/synced", source_artifacts=on_s3)
    assert problems(synced) == sorted([*outside, ("artifact", "a//b"), ("artifact", "plots")])
    assert files_of(f"{tmp_path}/synced") == held
    got = runsync.get_artifacts(str(tmp_path / "b"), id, into=tmp_path / "out")
    told = {file.path: file.action for file in got.files if file.action != "fetched"}
    failed = dict.fromkeys(["plots", "a//b", *(name for _, name in outside)], "failed")
    assert (got.exit_code, told) == (3, {"model": "left out", **failed})
    only = runsync.get_artifacts(str(tmp_path / "b"), id, ["model"], into=tmp_path / "only")
    assert (only.exit_code, (tmp_path / "only/model/MLmodel").read_bytes()) == (0, b"x: 1")


def test_names_that_a_disk_takes_for_one_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the disks of Macs and Windows: what is there under the other name stays, and the later one is named."""
    files = {"A.txt": b"upper", "a.txt": b"lower", "b.txt": b"b"}
    id = store(f"{tmp_path}/store", files)
    assert runsync.export(f"{tmp_path}/store", tmp_path / "b").exit_code == 0
    monkeypatch.setattr("os.path.lexists", lambda place: _is_there_by_any_name(Path(place)))
    got = runsync.get_artifacts(str(tmp_path / "b"), id, into=tmp_path / "out")
    assert {file.path: file.action for file in got.files} == {"A.txt": "fetched", "a.txt": "failed", "b.txt": "fetched"}
    assert (tmp_path / "out/A.txt").read_bytes() == b"upper"
    copy = runsync.import_(tmp_path / "b", f"{tmp_path}/copy")
    assert (copy.exit_code, [problem["kind"] for problem in copy.problems]) == (3, ["artifact"])
    assert "the disk takes it for" in copy.problems[0]["reason"]


def _is_there_by_any_name(place: Path) -> bool:
    return place.parent.is_dir() and place.name.lower() in {entry.name.lower() for entry in place.parent.iterdir()}


def test_names_that_a_disk_cannot_hold_fail_alone(tmp_path: Path) -> None:
    """A bundle of a workspace that can: names of 300 bytes."""
    long = "n" * 300
    id = run_id("long")
    run = Run(id, "1", "long", status="FINISHED", start_time=2**40, end_time=2**40)
    source = MemorySource([Experiment("1", "e")], [run], files={id: {long: b"x", f"{long}/y": b"y", "ok.txt": b"fine"}})
    export_into(tmp_path / "b", source)
    got = runsync.get_artifacts(str(tmp_path / "b"), id, into=tmp_path / "out")
    assert [(f.path[:2], f.action) for f in got.files] == [("nn", "failed"), ("nn", "failed"), ("ok", "fetched")]


def test_names_with_empty_steps_go_to_a_server_under_others_and_come_back(
    mlflow3_b: MlflowServer, prefix: str, tmp_path: Path
) -> None:
    """As S3 has them."""
    id = run_id("steps")
    files: dict[str, bytes | None] = {"a//b": b"two", "a/b": b"one", "./c.txt": b"c", "d/": b"d", "ok.txt": b"fine"}
    root = f"mlflow-artifacts:/1/{id}/artifacts"
    run = Run(id, "1", "steps", status="FINISHED", start_time=2**40, end_time=2**40, artifact_uri=root)
    export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [run], files={id: files}))
    done = runsync.import_(tmp_path / "b", mlflow3_b.url, prefix=prefix)
    assert (done.exit_code, done.artifacts, problems(done)) == (0, len(files), [])
    assert any("3 artifacts stored under another name" in note for note in done.notes)
    assert runsync.verify(str(tmp_path / "b"), mlflow3_b.url, prefix=prefix, verify_artifacts=True).exit_code == 0
    back = runsync.export(mlflow3_b.url, tmp_path / "back", selection=Selection((f"{prefix}e",)))
    assert not back.problems
    assert {file.path for file in runsync.list_artifacts(str(tmp_path / "back"), "steps").files} == files.keys()
