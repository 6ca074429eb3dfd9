"""Exporting into a bundle: the same in, the same out, and whole snapshots only, wherever it was stopped."""

import dataclasses
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.damage import files_of, flip, manifest_of, one_of
from support.memory import export_into
from support.processes import GONE

from runsync.bundle import local_store
from runsync.bundle.bundle import open_bundle
from runsync.bundle.check import check
from runsync.bundle.snapshot import open_snapshot
from runsync.errors import RunsyncError
from runsync.model.selection import Selection
from runsync.testing.memory import MemorySource, small_source

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


def test_an_export_that_finds_nothing_new_writes_a_manifest_with_its_record_and_nothing_else(folder: Path) -> None:
    export_into(folder, small_source())
    before = files_of(folder)
    report = export_into(folder, small_source())
    after = files_of(folder)
    record = open_bundle(folder).history().position(report.snapshot).record
    assert {name for name in after if name not in before} == {f"snapshots/{report.snapshot}.json", record}
    assert {name: after[name] for name in before} == before
    assert (report.runs.unchanged, report.runs.total) == (3, 3)


def test_an_unchanged_run_is_not_asked_for_its_artifacts_again(folder: Path) -> None:
    export_into(folder, small_source())
    source = small_source()
    export_into(folder, source)
    assert source.asked == []


def test_two_exports_of_the_same_source_have_the_same_parts_and_blobs(tmp_path: Path) -> None:
    export_into(tmp_path / "one", small_source())
    export_into(tmp_path / "other", small_source())
    one, other = files_of(tmp_path / "one"), files_of(tmp_path / "other")
    stable = [name for name in one if name.startswith(("parts/", "blobs/"))]
    assert len(stable) == 9
    assert {name: one[name] for name in stable} == {name: other.get(name) for name in stable}


def test_an_export_leaves_no_temporary_files(folder: Path) -> None:
    export_into(folder, small_source())
    assert sorted(place.name for place in folder.iterdir()) == [
        *("blobs", "claims", "history", "parts", "runsync.json", "snapshots"),
    ]
    assert list((folder / "claims").iterdir()) == []


def test_of_two_snapshots_made_within_one_second_the_later_is_the_newest(folder: Path) -> None:
    made = [export_into(folder, small_source()).snapshot for _ in range(6)]
    assert open_bundle(folder).snapshot_ids() == made
    assert open_bundle(folder).latest().id == made[-1]


def test_sha256sum_of_every_part_and_blob_is_its_name(folder: Path) -> None:
    export_into(folder, small_source())
    named = {name: content for name, content in files_of(folder).items() if name.startswith(("parts/", "blobs/"))}
    assert named
    for name, content in named.items():
        assert Path(name).name.split(".")[0] == hashlib.sha256(content).hexdigest(), name


def test_equal_files_of_several_runs_are_stored_once(folder: Path) -> None:
    source = small_source()
    source.files = {"first": {"a": b"same", "b/c": b"same"}, "second": {"d": b"same"}}
    report = export_into(folder, source)
    assert len(list(folder.glob("blobs/*/*"))) == 1
    assert (report.artifacts, manifest_of(folder)["counts"]["artifacts"]) == (3, 3)


def test_a_run_that_changed_is_stored_anew_and_its_old_version_no_longer_counts(folder: Path) -> None:
    export_into(folder, small_source())
    source = small_source()
    source.runs[0] = dataclasses.replace(source.runs[0], params={"lr": "0.2"})
    report = export_into(folder, source)
    assert (report.runs.updated, report.runs.unchanged) == (1, 2)
    assert check(folder).faults == []
    snapshot = open_snapshot(folder)
    batches = list(snapshot.batches(snapshot.experiments(Selection()), Selection()))
    runs = [run for batch in batches for run in batch.runs]
    assert sorted(run.run_id for run in runs) == ["first", "second", "third"]
    assert next(run for run in runs if run.run_id == "first").params == {"lr": "0.2"}


def test_a_running_run_is_read_every_time(folder: Path) -> None:
    source = small_source()
    source.runs[0] = dataclasses.replace(source.runs[0], status="RUNNING", end_time=None)
    export_into(folder, source)
    source.asked.clear()
    report = export_into(folder, source)
    assert source.asked == ["first"]
    assert (report.runs.updated, report.runs.unchanged) == (0, 3)


def test_a_run_exported_without_artifacts_gets_them_when_they_are_asked_for(folder: Path) -> None:
    export_into(folder, small_source(), artifacts=False)
    assert manifest_of(folder)["counts"]["artifacts"] == 0
    assert not (folder / "blobs").exists()
    export_into(folder, small_source())
    assert manifest_of(folder)["counts"]["artifacts"] == 3
    assert check(folder).faults == []


def test_an_artifact_that_cannot_be_read_is_named_and_tried_again_by_the_next_export(folder: Path) -> None:
    source = small_source()
    content = source.files["first"]["empty"]
    source.files["first"]["empty"] = None
    report = export_into(folder, source)
    assert report.exit_code == 3
    assert [(p["run_id"], p["kind"], p["name"]) for p in report.problems] == [("first", "artifact", "empty")]
    assert [one | {"retry": False} for one in manifest_of(folder)["problems"]] == report.problems
    assert manifest_of(folder)["counts"]["artifacts"] == 2
    source.files["first"]["empty"] = content
    report = export_into(folder, source)
    assert (report.exit_code, report.runs.updated, report.runs.unchanged) == (0, 1, 2)
    assert manifest_of(folder)["counts"]["artifacts"] == 3


def test_a_blob_that_got_lost_is_fetched_again_by_the_next_export(folder: Path) -> None:
    """A bundle that lost a file must not pass on the loss: the next snapshot is whole."""
    export_into(folder, small_source())
    lost = max(folder.glob("blobs/*/*"), key=lambda file: file.stat().st_size)
    lost.unlink()
    export_into(folder, small_source())
    newest = open_bundle(folder).snapshot_ids()[-1]
    assert not [f for f in check(folder).faults if newest in f.snapshots]


def test_a_metrics_part_that_got_lost_is_read_again_by_the_next_export(folder: Path) -> None:
    export_into(folder, small_source())
    max(folder.glob("parts/*.parquet"), key=lambda file: file.stat().st_size).unlink()
    export_into(folder, small_source())
    newest = open_bundle(folder).snapshot_ids()[-1]
    assert not [f for f in check(folder).faults if newest in f.snapshots]


@pytest.mark.parametrize("kind", ["metrics part", "blob", "experiments part", "runs part"])
def test_a_flipped_byte_in_what_an_export_writes_again_is_mended(folder: Path, kind: str) -> None:
    """The same content has the same name: a broken file of that name must not be taken for it."""
    export_into(folder, small_source())
    broken = one_of(folder, kind)
    flip(broken, broken.stat().st_size // 2)
    source = small_source()
    source.runs = [dataclasses.replace(run, params={"changed": "yes"}) for run in source.runs]
    export_into(folder, source)
    newest = open_bundle(folder).snapshot_ids()[-1]
    assert not [f for f in check(folder).faults if newest in f.snapshots]


def test_a_runs_part_that_got_broken_is_read_again_by_the_next_export(folder: Path) -> None:
    export_into(folder, small_source())
    broken = max(folder.glob("parts/*.runs.jsonl.gz"), key=lambda file: file.stat().st_size)
    broken.write_bytes(broken.read_bytes()[:-20])
    export_into(folder, small_source())
    newest = open_bundle(folder).snapshot_ids()[-1]
    assert not [f for f in check(folder).faults if newest in f.snapshots]


def _temporary(folder: Path) -> list[Path]:
    return [place for place in (folder / "tmp").rglob("*") if place.is_file()]


"""The number of a process that is no more."""


class _FrozenDisk:
    """A disk that stops changing at the k-th moment, as it does for a process that is killed there."""

    def __init__(self, moments: int) -> None:
        self.left = moments
        self.frozen = False

    def moment(self) -> None:
        """One instant at which a process may die."""
        if not self.left:
            self.frozen = True
        self.left -= 1
        self.refuse()

    def refuse(self) -> None:
        if self.frozen:
            raise RunsyncError("killed")


@contextmanager
def _frozen(disk: _FrozenDisk) -> Iterator[None]:
    """Puts the disk under every local store."""
    with pytest.MonkeyPatch.context() as patch:
        write, keep = local_store.LocalIncoming.write, local_store.LocalIncoming.keep
        discard, incoming = local_store.LocalIncoming.discard, local_store.LocalStore.incoming

        def frozen_write(self: Any, data: bytes) -> int:
            disk.moment()
            half = len(data) // 2
            write(self, data[:half])
            disk.moment()
            return half + write(self, data[half:])

        def frozen_keep(self: Any, name: str, replace: bool = False) -> None:
            disk.moment()
            keep(self, name, replace)
            disk.moment()

        def frozen_incoming(self: Any) -> local_store.LocalIncoming:
            disk.refuse()
            return incoming(self)

        def frozen_discard(self: Any) -> None:
            if disk.frozen:
                self._file.close()
            else:
                discard(self)

        clear = local_store.LocalStore.clear_temporary
        patch.setattr(local_store, "here", lambda: GONE)
        patch.setattr(local_store.LocalIncoming, "write", frozen_write)
        patch.setattr(local_store.LocalIncoming, "keep", frozen_keep)
        patch.setattr(local_store.LocalIncoming, "discard", frozen_discard)
        patch.setattr(local_store.LocalStore, "incoming", frozen_incoming)
        patch.setattr(local_store.LocalStore, "clear_temporary", lambda self: None if disk.frozen else clear(self))
        yield


def _export_killed_after(moments: int, folder: Path, source: MemorySource) -> bool:
    """Whether the export came to its end before that many moments."""
    disk = _FrozenDisk(moments)
    with _frozen(disk):
        try:
            report = export_into(folder, source)
        except RunsyncError:
            return False
    return not report.stopped


@pytest.mark.slow
def test_an_export_killed_at_any_write_leaves_whole_snapshots_and_the_next_one_finishes(tmp_path: Path) -> None:
    reached_the_end = False
    moments = 0
    while not reached_the_end:
        folder = tmp_path / str(moments)
        reached_the_end = _export_killed_after(moments, folder, small_source())
        if (folder / "runsync.json").exists():
            report = check(folder)
            assert report.faults == [], f"killed at moment {moments}: {report.faults}"
            assert report.snapshots == (1 if list(folder.glob("snapshots/*.json")) else 0)
        again = export_into(folder, small_source())
        assert again.exit_code == 0, f"killed at moment {moments}: {again.stopped}"
        report = check(folder)
        assert (report.faults, report.unused) == ([], []), f"killed at moment {moments}"
        assert _temporary(folder) == [], f"killed at moment {moments}: temporary files are left"
        moments += 1
    assert moments > 30


@pytest.mark.slow
def test_a_second_export_killed_at_any_write_leaves_the_first_snapshot_whole(tmp_path: Path) -> None:
    changed = small_source()
    changed.runs[0] = dataclasses.replace(changed.runs[0], params={"lr": "0.2"})
    changed.files["first"]["new.txt"] = b"new"
    reached_the_end = False
    moments = 0
    while not reached_the_end:
        folder = tmp_path / str(moments)
        export_into(folder, small_source())
        reached_the_end = _export_killed_after(moments, folder, changed)
        assert check(folder).faults == [], f"killed at moment {moments}"
        export_into(folder, changed)
        assert check(folder).faults == [], f"killed at moment {moments}"
        assert manifest_of(folder)["counts"]["artifacts"] == 4
        moments += 1
    assert moments > 10


def test_what_a_killed_export_stored_is_not_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    source = small_source()
    disk = _FrozenDisk(10**9)
    with _frozen(disk):
        real = local_store.LocalIncoming.link

        def link(self: Any, name: str) -> bool:
            if name.startswith("claims/"):
                disk.left = 0
            return real(self, name)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(local_store.LocalIncoming, "link", link)
            report = export_into(folder, source)
    assert report.stopped
    assert not list(folder.glob("snapshots/*.json"))
    again = small_source()
    report = export_into(folder, again)
    assert (report.runs.unchanged, again.asked) == (3, [])


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_full_disk_is_told_in_one_sentence_leaves_no_snapshot_and_the_next_export_finishes(
    folder: Path, failing: str
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile:
        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, data: object) -> None:
            full()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    export_into(folder, small_source(), artifacts=False)
    with pytest.MonkeyPatch.context() as patch:
        if failing == "write":
            made = local_store.LocalIncoming.__init__

            def make(self: Any, *arguments: Any) -> None:
                made(self, *arguments)
                self._file = FullFile(self._file)

            patch.setattr(local_store.LocalIncoming, "__init__", make)
        elif failing == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        report = export_into(folder, small_source())
    assert report.exit_code == 1
    assert report.stopped == (
        f"{folder} cannot be written: No space left on device; make room or choose another place, then run it again"
    )
    assert len(list(folder.glob("snapshots/*.json"))) == 1
    assert check(folder).faults == []
    assert _temporary(folder) == []
    assert export_into(folder, small_source()).exit_code == 0
    assert check(folder).faults == []
