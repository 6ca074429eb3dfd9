"""Pruning: what no snapshot needs goes, every snapshot stays as it was, whenever it is stopped."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.damage import files_of, flip
from support.memory import export_to
from support.nights import all_contents, fill, source_of_night
from support.processes import GONE
from support.s3 import Bucket

from runsync.bundle import local_store, processes, repack
from runsync.bundle import prune as prune_module
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, create_bundle, open_bundle
from runsync.bundle.check import check
from runsync.bundle.forget import forget
from runsync.bundle.prune import prune
from runsync.bundle.publish import publish
from runsync.bundle.retention import Policy
from runsync.bundle.snapshot import Snapshot
from runsync.contract.source import Source
from runsync.errors import BundleDamaged, BundleLocked, RunsyncError
from runsync.model.naming import Naming
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.transfer.options import VerifyOptions
from runsync.transfer.verify import _Comparer
from runsync.transfer.verify_report import VerifyReport

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


def differences(bundle: Bundle, snapshot_id: str, source: Source) -> int:
    """What verify finds between a source and a snapshot, by the bytes of all artifacts."""
    snapshot = Snapshot(bundle, bundle.manifest(snapshot_id))
    with ThreadPoolExecutor(2) as pool:
        report = VerifyReport(source.place, snapshot.place)
        comparer = _Comparer(report, source, snapshot, pool, VerifyOptions(verify_artifacts=True))
        comparer.compare(Selection(), Naming(), Silent())
    assert report.runs > 10
    return len(report.differences)


def test_every_snapshot_holds_the_same_after_pruning_and_nothing_is_left_over(folder: Path) -> None:
    bundle = create_bundle(folder)
    ids = fill(bundle, 13)
    before = all_contents(bundle)
    parts = len(list(bundle.store.list("parts/")))
    report = prune(folder)
    assert (report.snapshots, report.rewritten_snapshots) == (13, 13)
    assert report.repacked_parts > 30
    assert all_contents(bundle) == before
    found = check(folder)
    assert (found.faults, found.unused) == ([], [])
    assert len(list(bundle.store.list("parts/"))) < parts / 2
    assert [len(bundle.manifest(snapshot_id).parts) <= 2 for snapshot_id in ids] == [True] * 13
    for night in (0, 6, 12):
        assert differences(bundle, ids[night], source_of_night(night)) == 0


@pytest.mark.slow
def test_a_bundle_on_s3_is_pruned_alike(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repack, "LARGEST", 8)
    monkeypatch.setattr(repack, "MOST_SMALL", 1)
    url, access = f"{bucket.url}/deep/er", Access(s3=S3Options(bucket.endpoint))
    bundle = create_bundle(url, access)
    ids = fill(bundle, 3, runs=4)
    bundle.store.create("parts/notes.txt", b"")
    before = all_contents(bundle)
    report = forget(f"{url}@{ids[1]}", prune=True, access=access).prune
    assert report is not None
    assert report.repacked_parts > 3
    assert bundle.snapshot_ids() == [ids[0], ids[2]]
    assert all_contents(bundle) == {snapshot_id: before[snapshot_id] for snapshot_id in bundle.snapshot_ids()}
    found = check(url, access=access)
    assert (found.faults, found.unused, found.foreign) == ([], [], ["parts/notes.txt"])
    again = prune(url, access=access)
    assert (again.removed_files, again.repacked_parts) == (0, 0)


def test_pruning_again_does_nothing(folder: Path) -> None:
    fill(create_bundle(folder), 12)
    prune(folder)
    names = {entry.name: entry.modified for entry in create_bundle(folder).store.list()}
    again = prune(folder)
    assert (again.removed_files, again.repacked_parts, again.rewritten_snapshots) == (0, 0, 0)
    assert {entry.name: entry.modified for entry in create_bundle(folder).store.list()} == names


def test_an_export_after_pruning_finds_everything_unchanged_and_goes_on_from_there(folder: Path) -> None:
    bundle = create_bundle(folder)
    fill(bundle, 12)
    prune(folder)
    parts = {entry.name for entry in bundle.store.list("parts/")}
    source = source_of_night(11)
    report = export_to(bundle, source)
    # One run is still running: it is looked at, and found to be as it was.
    assert (report.runs.unchanged, report.runs.updated, report.runs.created) == (15, 0, 0)
    assert source.asked == ["run1"]
    assert {entry.name for entry in bundle.store.list("parts/")} == parts
    fill(bundle, 3, first=12)
    assert check(folder).faults == []
    before = all_contents(bundle)
    prune(folder)
    assert all_contents(bundle) == before


def test_forgotten_snapshots_are_freed_and_the_bytes_told_are_those_that_go(folder: Path) -> None:
    bundle = create_bundle(folder)
    ids = fill(bundle, 14)
    stay = ids[-2:]
    before = {snapshot_id: held for snapshot_id, held in all_contents(bundle).items() if snapshot_id in stay}
    forget(folder, Policy(last=2))
    assert bundle.snapshot_ids() == stay
    size = sum(entry.size for entry in bundle.store.list())
    planned = prune(folder, dry_run=True)
    assert sum(entry.size for entry in bundle.store.list()) == size
    done = prune(folder)
    assert (done.removed_files, done.removed_bytes) == (planned.removed_files, planned.removed_bytes)
    manifests = sum(e.size for e in bundle.store.list("snapshots/"))
    assert sum(e.size for e in bundle.store.list()) - manifests <= size - done.removed_bytes + done.written_bytes
    assert all_contents(bundle) == before
    sources = [source_of_night(12), source_of_night(13)]
    needed = {content for s in sources for run in s.runs for content in s.files.get(run.run_id, {}).values()}
    blobs = {bundle.store.read(entry.name) for entry in bundle.store.list("blobs/")}
    assert blobs == needed
    assert check(folder).faults == []


def test_a_part_of_which_little_is_needed_is_repacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = create_bundle(folder)
    fill(bundle, 12)
    prune(folder)
    forget(folder, Policy(last=1))
    export_to(bundle, source_of_night(24))
    forget(folder, Policy(last=1))
    before = all_contents(bundle)
    report = prune(folder)
    assert report.repacked_parts >= 1
    assert all_contents(bundle) == before
    manifest = bundle.latest()
    assert sum(len(part.superseded) for part in manifest.parts) <= sum(part.runs.count for part in manifest.parts) / 2


def test_the_runs_of_the_newest_snapshot_are_gathered_from_parts_that_old_ones_still_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every snapshot kept for ever, the newest one is still opened from few parts."""
    monkeypatch.setattr(repack, "LARGEST", 8)
    bundle = create_bundle(folder)
    for night in range(40):
        export_to(bundle, source_of_night(night, 6))
        if night % 5 == 4:
            prune(folder)
    assert len(bundle.latest().parts) <= 5
    assert check(folder).faults == []
    again = prune(folder)
    assert (again.repacked_parts, again.removed_files) == (0, 0)


def test_points_that_versions_of_a_run_share_are_copied_once(folder: Path) -> None:
    bundle = create_bundle(folder)
    source = source_of_night(0)
    for night in range(6):
        source.runs[5] = dataclasses.replace(source.runs[5], tags={"night": str(night)})
        export_to(bundle, source)
    prune(folder)
    (metrics,) = {file.path: file for part in bundle.latest().parts for file in part.metrics}.values()
    assert metrics.count == bundle.latest().counts.metric_points


@pytest.mark.parametrize("broken", ["manifest", "runs part", "missing runs part"])
def test_when_it_cannot_be_known_what_is_needed_nothing_is_deleted(folder: Path, broken: str) -> None:
    bundle = create_bundle(folder)
    ids = fill(bundle, 3)
    forget(f"{folder}@{ids[1]}")
    victim = folder / "snapshots" / f"{ids[0]}.json"
    if broken != "manifest":
        first, last = ({part.runs.path for part in bundle.manifest(ids[n]).parts} for n in (0, 2))
        victim = folder / min(first & last)
    if broken.startswith("missing"):
        victim.unlink()
    else:
        flip(victim, victim.stat().st_size // 2)
    before = files_of(folder)
    for dry_run in (True, False):
        with pytest.raises(BundleDamaged, match="what is needed cannot be known: see runsync check"):
            prune(folder, dry_run=dry_run)
    with pytest.raises(BundleDamaged):
        forget(folder, Policy(last=1), prune=True)
    assert files_of(folder) == before


def test_points_that_are_broken_are_not_copied_as_if_they_were_sound(folder: Path) -> None:
    bundle = create_bundle(folder)
    fill(bundle, 3)
    victim = max(folder.glob("parts/*.parquet"), key=lambda file: file.stat().st_size)
    flip(victim, victim.stat().st_size // 2)
    before = files_of(folder)
    with pytest.raises(BundleDamaged, match="see runsync check"):
        prune(folder)
    after = files_of(folder)
    assert {name: after[name] for name in before} == before


def test_files_that_are_not_ours_stay(folder: Path) -> None:
    bundle = create_bundle(folder)
    ids = fill(bundle, 2)
    sha = "a" * 64
    foreign = [
        "README.txt",
        "parts/notes.txt",
        f"parts/{sha}",
        f"parts/{sha}.txt",
        f"blobs/bb/{sha}",
        f"blobs/{sha}",
        f"quarantine/x/parts/{sha}.runs.jsonl.gz",
        "blobs/aa/.keep",
        f"snapshots/{ids[0]}.json.old",
    ]
    ours = [f"parts/{sha}.runs.jsonl.gz", f"parts/{sha}.metrics.parquet", f"blobs/aa/{sha}"]
    for name in [*foreign, *ours]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    prune(folder)
    assert [name for name in foreign if not (folder / name).exists()] == []
    assert [name for name in ours if (folder / name).exists()] == []


def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(create_bundle(folder), 2)
    before = files_of(folder)
    scan = os.scandir

    def refuse(where: Any) -> Any:
        if str(where).rstrip("/").endswith("snapshots"):
            raise PermissionError(13, "Permission denied", str(where))
        return scan(where)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BundleDamaged, match=r"snapshots/? cannot be read: Permission denied"):
        prune(folder)
    monkeypatch.undo()
    assert files_of(folder) == before


def test_a_lock_that_was_taken_away_stops_the_deletions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = create_bundle(folder)
    fill(bundle, 3)
    before = all_contents(bundle)

    def lose_the_lock(*arguments: Any, **options: Any) -> None:
        publish(*arguments, **options)
        (folder / "locks/exclusive.json").unlink(missing_ok=True)

    monkeypatch.setattr(prune_module, "publish", lose_the_lock)
    files = set(files_of(folder))
    with pytest.raises(BundleLocked, match="removed the lock of this command"):
        prune(folder)
    assert files <= set(files_of(folder))
    assert all_contents(bundle) == before
    assert check(folder).faults == []


@pytest.mark.parametrize("has_moved", [False, True], ids=["not moved", "moved, and the answer lost"])
def test_a_manifest_that_cannot_be_replaced_keeps_the_parts_it_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, has_moved: bool
) -> None:
    bundle = create_bundle(folder)
    fill(bundle, 3)
    before = all_contents(bundle)
    move, tries = local_store.LocalStore.move, []

    def fail_once(self: local_store.LocalStore, name: str, new: str) -> None:
        tries.append(new)
        if len(tries) == 2:
            if has_moved:
                move(self, name, new)
            raise RunsyncError("the connection broke")
        move(self, name, new)

    monkeypatch.setattr(local_store.LocalStore, "move", fail_once)
    if has_moved:
        prune(folder)
    else:
        with pytest.raises(RunsyncError, match="the connection broke"):
            prune(folder)
    assert len(tries) == (3 if has_moved else 2)
    assert all_contents(bundle) == before
    assert check(folder).faults == []
    assert not list(folder.glob("claims/*"))
    prune(folder)
    found = check(folder)
    assert (found.faults, found.unused) == ([], [])
    assert all_contents(bundle) == before


@contextmanager
def _stops_at(moment: int) -> Iterator[list[str]]:
    """A disk that stops changing before a write, as for a process that is killed there. Gives what was written."""
    written: list[str] = []
    frozen = [False]

    def count(name: str) -> None:
        frozen[0] = frozen[0] or len(written) == moment
        if frozen[0]:
            raise RunsyncError("killed")
        written.append(name)

    keep, remove, create = local_store.LocalIncoming.keep, local_store.LocalStore.remove, local_store.LocalStore.create

    def counted_keep(self: Any, name: str, replace: bool = False) -> None:
        count(name)
        keep(self, name, replace)

    def counted_remove(self: Any, name: str) -> None:
        count(name)
        remove(self, name)

    def counted_create(self: Any, name: str, content: bytes) -> bool:
        count(name)
        return create(self, name, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "here", lambda: GONE)
        patch.setattr(local_store, "here", lambda: GONE)
        patch.setattr(local_store.LocalIncoming, "keep", counted_keep)
        patch.setattr(local_store.LocalStore, "remove", counted_remove)
        patch.setattr(local_store.LocalStore, "create", counted_create)
        yield written


@pytest.mark.parametrize(
    ("forgets", "step"),
    [
        pytest.param(True, 5, id="forget and prune"),
        pytest.param(True, 1, id="forget and prune, every write", marks=pytest.mark.slow),
        pytest.param(False, 1, id="prune, every write", marks=pytest.mark.slow),
    ],
)
def test_stopped_before_any_write_every_snapshot_is_whole_and_pruning_again_finishes(
    tmp_path: Path, forgets: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repack, "LARGEST", 4)
    monkeypatch.setattr(repack, "MOST_SMALL", 1)
    origin = tmp_path / "origin"
    fill(create_bundle(origin), 3, runs=5)
    before = all_contents(open_bundle(origin))
    moment = 0
    is_done = False
    while not is_done:
        folder = tmp_path / str(moment)
        shutil.copytree(origin, folder)
        with _stops_at(moment):
            try:
                if forgets:
                    forget(folder, Policy(last=2), prune=True)
                else:
                    prune(folder)
                is_done = not list(folder.glob("locks/*"))
            except RunsyncError as error:
                assert str(error) == "killed"  # noqa: PT017
        bundle = open_bundle(folder)
        held = all_contents(bundle)
        assert held == {snapshot_id: before[snapshot_id] for snapshot_id in held}, f"stopped before write {moment}"
        assert len(held) >= (2 if forgets else 3)
        assert check(folder).faults == [], f"stopped before write {moment}"
        prune(folder)
        assert all_contents(bundle) == held
        found = check(folder)
        assert (found.faults, found.unused) == ([], []), f"stopped before write {moment}"
        assert not list(folder.glob("locks/*"))
        report = export_to(bundle, source_of_night(2, 5))
        assert (report.runs.updated, report.runs.created) == (0, 0), f"stopped before write {moment}"
        shutil.rmtree(folder)
        moment += step
    assert moment > 20


def test_what_a_stopped_prune_left_does_not_make_an_export_read_runs_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New parts that no manifest names yet hold old versions of runs: those must not be taken for newer ones."""
    bundle = create_bundle(folder)
    fill(bundle, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prune_module, "publish", lambda *_, **__: (_ for _ in ()).throw(RunsyncError("killed")))
        with pytest.raises(RunsyncError, match="killed"):
            prune(folder)
    assert check(folder).unused
    report = export_to(bundle, source_of_night(3))
    assert (report.runs.updated, report.runs.created) == (0, 0)
    before = all_contents(bundle)
    prune(folder)
    assert all_contents(bundle) == before


def test_a_run_that_looks_again_as_it_once_did_is_read_and_not_taken_from_an_old_snapshot(folder: Path) -> None:
    """Its old version stands in a part that prune has just written, as new as what a killed export leaves."""
    bundle = create_bundle(folder)
    source = source_of_night(0)
    export_to(bundle, source)
    once = source.runs[5]
    source.runs[5] = dataclasses.replace(once, tags={"now": "otherwise"})
    source.files["run5"]["own.bin"] = b"replaced"
    export_to(bundle, source)
    prune(folder)
    source.runs[5] = once
    made = export_to(bundle, source).snapshot
    assert all_contents(bundle)[made]["run5"][-1]["own.bin"] == b"replaced"


def test_another_process_at_work_is_waited_for_or_named(folder: Path) -> None:
    from runsync.bundle import locks

    bundle = create_bundle(folder)
    fill(bundle, 1)
    with locks.shared(bundle.store, "export"):
        with pytest.raises(BundleLocked, match=rf"locked by export of process {os.getpid()} on "):
            prune(folder)
        assert prune(folder, dry_run=True).snapshots == 1
        forget(folder, Policy(last=1))
