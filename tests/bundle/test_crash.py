"""A snapshot is whole or absent, wherever the process that made it was stopped, and nothing is read twice for it."""

import dataclasses
import errno
import gzip
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.s3 import Bucket
from support.stopping import Stopped, StoppingStore

from runsync.bundle import address, locks
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import create_in, open_store
from runsync.bundle.check import check
from runsync.bundle.snapshot import open_snapshot
from runsync.bundle.store import Store
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import BundleNotFound
from runsync.model.identity import fingerprint
from runsync.model.progress import Silent
from runsync.model.run import RUNNING
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.testing.memory import START, MemorySource, run_with_metrics, small_source
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

pytestmark = pytest.mark.long


class Home:
    """Where a test's bundles lie: `of(number)` is the address of one. Of the moments to stop at every `step`th is."""

    def __init__(self, root: str, access: Access | None = None, step: int = 1) -> None:
        self.root = root
        self.access = access
        self.step = step

    def of(self, number: object) -> str:
        return f"{self.root}/{number}"

    def store(self, number: object) -> Store:
        return locate(self.of(number), self.access).store


SLOW = ("disk, every write", "S3", "S3, every write")


@pytest.fixture(params=["disk", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    if request.param.startswith("disk"):
        return Home(str(tmp_path), step=1 if "every" in request.param else 3)
    bucket: Bucket = request.getfixturevalue("bucket")
    # One client for them all: to make one takes longer than to use it.
    monkeypatch.setattr(address, "S3", lambda *_, **__: bucket.s3)
    return Home(bucket.url, Access(s3=S3Options(bucket.endpoint)), step=1 if "every" in request.param else 5)


def first() -> MemorySource:
    """Five runs in three batches; one of them is still running."""
    source = small_source()
    del source.files["first"]["empty"]
    for name in ("fourth", "running"):
        points = {"loss": [(step, START + step, step / 7) for step in range(5)]}
        source.points = {**source.points, name: points}
        source.runs.append(run_with_metrics(name, points, start_time=START + 50))
        source.files[name] = {"out.txt": name.encode()}
    source.runs[4] = dataclasses.replace(source.runs[4], status=RUNNING, end_time=None)
    source.batch_size = 2
    return source


def second() -> MemorySource:
    """A night later: one changed, one deleted, one gone, one new, one still running."""
    source = first()
    source.runs[0] = dataclasses.replace(source.runs[0], params={"lr": "0.2"})
    source.files["first"]["late.txt"] = b"late"
    source.runs[3] = dataclasses.replace(source.runs[3], lifecycle_stage="deleted")
    del source.runs[1]
    points = {"acc": [(0, START, 0.5)]}
    source.points = {**source.points, "new": points}
    source.runs.append(run_with_metrics("new", points, start_time=START + 60))
    source.files["new"] = {"new.txt": b"new"}
    return source


def export(target: Store, source: MemorySource) -> TransferReport:
    """What `runsync.export` does."""
    bundle = create_in(target)
    with locks.shared(target, "export") as lock:
        writer = SnapshotWriter(bundle, lock=lock)
        report = TransferReport("export", source.place, writer.place)
        try:
            transfer(report, Wanted(source, Selection()), writer, 4, Silent())
        finally:
            writer.close()
    report.snapshot = writer.snapshot_id
    assert not report.stopped
    return report


def stopped_export(target: Store, source: MemorySource, moment: int) -> bool:
    """Whether it was stopped; else there are no so many moments."""
    stopping = StoppingStore(target, moment)
    with suppress(Stopped):
        export(stopping, source)
    return stopping.is_stopped


def contents(home: Home, number: object) -> dict[str, Any]:
    """All that the newest snapshot holds: documents, points and the bytes of artifacts."""
    snapshot = open_snapshot(home.of(number), home.access)
    experiments = snapshot.experiments(Selection())
    found: dict[str, Any] = {e.experiment_id: e for e in experiments}
    for batch in snapshot.batches(experiments, Selection()):
        with snapshot.histories(batch, None) as histories:  # type: ignore[arg-type]
            for run in batch.runs:
                points = [tuple(map(str, p.values())) for piece in histories.of(run.run_id) for p in piece.to_pylist()]
                files = {
                    f.path: b"".join(snapshot.read_artifact(run, f)) for f in batch.contents[run.run_id].artifacts or ()
                }
                assert run.run_id not in found
                found[run.run_id] = (str(run), batch.contents[run.run_id], points, files)  # NaN is not equal to itself
    counts = dataclasses.asdict(snapshot.manifest.counts)
    return {**found, "counts": counts, "problems": snapshot.manifest.problems, "failed": snapshot.manifest.failed}


def stored(target: Store) -> set[tuple[str, str]]:
    """Id and fingerprint of every run that some runs part holds."""
    names = [entry.name for entry in target.list("parts/") if entry.name.endswith(".runs.jsonl.gz")]
    lines = [json.loads(line) for name in names for line in gzip.decompress(target.read(name)).splitlines()]
    return {(document["run_id"], document["fingerprint"]) for document in lines}


def to_be_read(target: Store, source: MemorySource) -> set[str]:
    """The runs that an export must read: those that no part holds as they are, and those still running."""
    there = stored(target)
    return {r.run_id for r in source.runs if r.status == RUNNING or (r.run_id, fingerprint(r)) not in there}


def assert_clean(home: Home, number: object) -> int:
    """Every listed snapshot is whole; gives how many there are."""
    report = check(home.of(number), access=home.access)
    assert report.faults == []
    return report.snapshots


def assert_goes_on(home: Home, number: object, source: Callable[[], MemorySource], wanted: dict[str, Any]) -> None:
    """The next export finishes, reads only what was not stored, and equals one that nothing disturbed."""
    again = source()
    needed = to_be_read(home.store(number), again)
    report = export(home.store(number), again)
    assert sorted(again.asked) == sorted(needed)
    assert report.exit_code == 0
    assert_clean(home, number)
    assert contents(home, number) == wanted


def test_a_first_export_stopped_at_any_write_leaves_no_snapshot_or_a_whole_one(home: Home) -> None:
    export(home.store("undisturbed"), first())
    wanted = contents(home, "undisturbed")
    moment = 0
    while stopped_export(home.store(moment), first(), moment):
        # Where not even the marker was written there is no bundle yet.
        if home.store(moment).size("runsync.json") is not None:
            snapshots = assert_clean(home, moment)
            assert snapshots == 0 or contents(home, moment) == wanted
        assert_goes_on(home, moment, first, wanted)
        moment += home.step
    assert moment >= 2 * 13


def test_a_second_export_stopped_at_any_write_leaves_the_first_snapshot_and_a_whole_one_or_none(home: Home) -> None:
    export(home.store("undisturbed"), first())
    before = contents(home, "undisturbed")
    export(home.store("undisturbed"), second())
    wanted = contents(home, "undisturbed")
    assert wanted != before
    moment = 0
    while True:
        export(home.store(moment), first())
        if not stopped_export(home.store(moment), second(), moment):
            break
        snapshots = assert_clean(home, moment)
        assert contents(home, moment) == (before if snapshots == 1 else wanted)
        assert_goes_on(home, moment, second, wanted)
        moment += home.step
    assert moment >= 2 * 8


def test_an_export_stopped_again_and_again_ends_as_one_that_was_not(home: Home) -> None:
    export(home.store("undisturbed"), first())
    wanted = contents(home, "undisturbed")
    tries = 0
    # Each gets as far as to store the files of one batch and the parts that name them.
    while stopped_export(home.store("one"), first(), 16) and tries < 40:
        tries += 1
        assert_clean(home, "one")
    assert 1 <= tries < 40
    assert contents(home, "one") == wanted


def test_two_exports_at_once_into_a_new_bundle_both_finish(home: Home) -> None:
    reports: list[TransferReport] = []
    begin = threading.Barrier(4)

    def one() -> None:
        target = home.store("shared")
        begin.wait()
        reports.append(export(target, first()))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({report.snapshot for report in reports}) == 4
    assert assert_clean(home, "shared") == 4


def test_an_unchanged_run_is_not_read_again_though_an_older_version_of_it_was_written_a_moment_ago(home: Home) -> None:
    export(home.store("one"), first())
    export(home.store("one"), second())
    source = second()
    report = export(home.store("one"), source)
    assert source.asked == ["running"]
    assert (report.runs.updated, report.runs.unchanged) == (0, 5)


def test_the_few_runs_of_many_batches_that_changed_make_one_part(home: Home) -> None:
    source = first()
    export(home.store("one"), source)
    before = {entry.name for entry in home.store("one").list("parts/")}
    changed = first()
    for number in (0, 2):
        changed.runs[number] = dataclasses.replace(changed.runs[number], params={"new": "param"})
    report = export(home.store("one"), changed)
    new = {entry.name.partition(".")[2] for entry in home.store("one").list("parts/") if entry.name not in before}
    assert (report.runs.updated, new) == (2, {"runs.jsonl.gz", "metrics.parquet"})
    assert len([entry for entry in home.store("one").list("parts/") if entry.name not in before]) == 2


def test_a_run_that_cannot_be_read_in_full_is_not_written_again_while_it_stays_so(home: Home) -> None:
    source = first()
    source.files["first"]["lost"] = None
    export(home.store("one"), source)
    before = sorted(entry.name for entry in home.store("one").list())
    for _ in range(2):
        report = export(home.store("one"), source)
        assert [(p["run_id"], p["name"]) for p in report.problems] == [("first", "lost")]
    after = sorted(entry.name for entry in home.store("one").list())
    assert [name for name in after if name not in before and not name.startswith(("snapshots/", "history/"))] == []
    assert len(contents(home, "one")["problems"]) == 1
    del source.files["first"]["lost"]
    assert export(home.store("one"), source).runs.updated == 1
    assert contents(home, "one")["problems"] == ()


class Disk:
    """What a power cut would leave: contents that were synced, and names whose folder was synced after they came."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.contents: set[int] = set()
        self.names: set[str] = set()
        self.manifests: list[tuple[str, set[int], set[str]]] = []
        fsync, replace = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            place = Path(f"/proc/self/fd/{descriptor}").readlink()
            if place.is_dir():
                self.names |= {str(child) for child in place.iterdir()}
            else:
                self.contents.add(os.fstat(descriptor).st_ino)

        def renamed(source: Path, target: Path) -> Path:
            if target.parent.name == "snapshots":
                self.manifests.append((str(target), set(self.contents), set(self.names)))
            self.names.discard(str(target))
            return replace(source, target)

        patch.setattr(os, "fsync", synced)
        patch.setattr(Path, "replace", renamed)

    def lacks(self, file: Path, root: Path, contents: set[int], names: set[str]) -> str:
        """What of a file a power cut would have taken."""
        if file.stat().st_ino not in contents:
            return f"the bytes of {file}"
        places = [file, *(p for p in file.parents if p.is_relative_to(root))]
        return next((f"the name {place}" for place in places if str(place) not in names), "")


def test_before_a_manifest_is_there_all_else_has_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "new" / "bundle"
    disk = Disk(monkeypatch)
    for number, source in enumerate((first(), second())):
        export(locate(root).store, source)
        manifest, contents, names = disk.manifests[number]
        others = [f for f in root.rglob("*") if f.is_file() and str(f) != manifest]
        assert len(others) > 8
        assert [lack for f in others if (lack := disk.lacks(f, root.parent, contents, names))] == []
        assert disk.lacks(Path(manifest), root.parent, disk.contents, disk.names) == ""


def test_a_disk_without_hard_links_takes_a_bundle_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    target = locate(tmp_path / "bundle").store
    assert export(target, first()).exit_code == 0
    assert not target.create("runsync.json", b"another")
    assert check(tmp_path / "bundle").faults == []


def test_a_place_that_was_stopped_before_its_marker_is_no_bundle_yet(tmp_path: Path) -> None:
    stopped_export(locate(tmp_path / "bundle").store, first(), 0)
    with pytest.raises(BundleNotFound):
        open_store(locate(tmp_path / "bundle").store)
