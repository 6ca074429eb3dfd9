"""copy brings what is missing, whole snapshots only, whichever way it goes and wherever it is stopped."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Runner
from support.damage import files_of, flip, one_of
from support.memory import export_into
from support.nights import fill
from support.s3 import Bucket
from support.stopping import Stopped, StoppingStore

from runsync.bundle import locks, schemas
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, create_bundle, create_in, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import CopyReport, _Copy, copy, copy_snapshots
from runsync.bundle.local_store import LocalStore
from runsync.bundle.prune import prune
from runsync.errors import BundleLocked, RunsyncError
from runsync.model.progress import Silent
from runsync.s3 import S3Options
from runsync.testing.memory import MemorySource, small_source

WAYS = ["disk to disk", "disk to S3", "S3 to disk", "S3 to S3"]


def changed(source: MemorySource, night: int) -> MemorySource:
    """The source a night later: one run has another param and another file."""
    source.runs[0] = dataclasses.replace(source.runs[0], params={"lr": str(night)})
    source.files["first"]["model/weights.bin"] = b"%d" % night * 700
    return source


def make(folder: Path, nights: int = 3) -> list[str]:
    """A bundle of several snapshots that share most of what they hold; their ids."""
    source = small_source()
    return [export_into(folder, changed(source, night)).snapshot for night in range(nights)]


def contents(files: dict[str, bytes], prefix: str = "") -> dict[str, bytes]:
    """All that is to be equal in both bundles: the marker tells when each was made."""
    named = {name.removeprefix(prefix): content for name, content in files.items()}
    return {name: content for name, content in named.items() if not name.startswith(("runsync.json", "locks/"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.slow if way == "S3 to S3" else []) for way in WAYS]
)
def test_a_copy_holds_the_same_files_and_a_second_copy_reads_nothing(
    folder: Path, target: Path, bucket: Bucket, way: str
) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    ids = make(folder)
    source: object = folder
    if way.startswith("S3"):
        source = f"{bucket.url}/one"
        copy(folder, source, access=access)
    goal = f"{bucket.url}/deep/other" if way.endswith("to S3") else target
    report = copy(str(source), goal, access=access)
    assert (report.copied, report.exit_code, report.already_there) == (ids, 0, 0)
    got = contents(bucket.files("deep/other/"), "deep/other/") if way.endswith("to S3") else contents(files_of(target))
    assert got == contents(files_of(folder))
    assert (report.files, report.bytes) == (len(got), sum(map(len, got.values())))
    checked = check(goal, access=access)
    assert (checked.exit_code, checked.unused, checked.foreign) == (0, [], [])
    again = copy(str(source), goal, access=access)
    assert (again.copied, again.already_there, again.files, again.exit_code) == ([], 3, 0, 0)
    for each in (report, again):
        schemas.check("copy-report", each.to_document(), "report")


def test_between_two_places_on_s3_no_file_passes_through_here(folder: Path, bucket: Bucket) -> None:
    source = small_source()
    source.files["first"]["large"] = b"large" * 100_000
    export_into(folder, source)
    access = Access(s3=S3Options(bucket.endpoint))
    copy(folder, f"{bucket.url}/one", access=access)
    place = locate(f"{bucket.url}/one", access).store
    goal = locate(f"{bucket.url}/other", access).store
    read: list[str] = []
    chunks = place.chunks
    place.chunks = lambda name: read.append(name) or chunks(name)  # type: ignore[method-assign, func-returns-value]
    copy_snapshots(Bundle(place), create_in(goal), CopyReport("", ""), None, None, 4, Silent())
    assert [name for name in read if name.startswith("blobs/") or name.endswith(".parquet")] == []
    assert len(contents(bucket.files("other/"), "other/")) == len(contents(bucket.files("one/"), "one/"))


def test_only_what_is_new_is_copied_the_next_time(folder: Path, target: Path) -> None:
    source = small_source()
    export_into(folder, changed(source, 1))
    copy(folder, target)
    before = files_of(target)
    newest = export_into(folder, changed(source, 2)).snapshot
    planned = copy(folder, target, dry_run=True)
    assert files_of(target) == before
    report = copy(folder, target)
    assert report.copied == [newest]
    assert (planned.copied, planned.files, planned.bytes) == (report.copied, report.files, report.bytes)
    new = {name: content for name, content in files_of(target).items() if before.get(name) != content}
    assert (report.files, report.bytes) == (len(new), sum(map(len, new.values())))
    assert len(new) == 4  # a blob, a runs part, a manifest, its record


def test_one_snapshot_is_copied_alone_with_what_it_needs(folder: Path, target: Path) -> None:
    ids = make(folder)
    assert copy(f"{folder}@{ids[1]}", target).copied == [ids[1]]
    assert open_bundle(target).snapshot_ids() == [ids[1]]
    checked = check(target)
    assert (checked.exit_code, checked.unused) == (0, [])
    assert copy(folder, target).copied == [ids[0], ids[2]]
    assert contents(files_of(target)) == contents(files_of(folder))


def test_a_dry_run_makes_no_bundle(folder: Path, target: Path) -> None:
    make(folder)
    report = copy(folder, target, dry_run=True)
    assert report.files == len(contents(files_of(folder)))
    assert not target.exists()


def _stopped_at(folder: Path, target: Path, moment: int) -> bool:
    """A copy that dies before or after some write; whether it did."""
    store = StoppingStore(LocalStore(target), moment)
    try:
        copy_snapshots(open_bundle(folder), Bundle(store), CopyReport("", ""), None, None, 3, Silent())
    except Stopped:
        return True
    finally:
        LocalStore(target).clear_temporary()
    return False


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.long
def test_stopped_at_any_write_every_snapshot_is_whole_or_absent_and_the_next_copy_finishes(
    folder: Path, tmp_path: Path, step: int
) -> None:
    ids = make(folder)
    died = 0
    while True:
        target = tmp_path / f"target-{died}"
        export_into(target, MemorySource([], []))
        first = open_bundle(target).snapshot_ids()
        if not _stopped_at(folder, target, died):
            break
        found = open_bundle(target).snapshot_ids()
        assert found == first + ids[: len(found) - 1] or set(found) <= {*first, *ids}
        assert check(target).faults == []
        assert copy(folder, target).exit_code == 0
        assert set(open_bundle(target).snapshot_ids()) == {*first, *ids}
        assert check(target).faults == []
        died += step
    # A manifest is written as a claim, and then moved.
    assert 0 <= died - 2 * (len(contents(files_of(folder))) + len(ids)) < step


Damage = Callable[[Path], object]
DAMAGES: dict[str, Damage] = {
    "flipped": lambda file: flip(file, file.stat().st_size // 2),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("kind", ["blob", "metrics part", "runs part", "experiments part", "manifest"])
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.long
def test_a_broken_file_keeps_back_the_snapshots_that_need_it_and_no_other(
    folder: Path, target: Path, kind: str, how: str
) -> None:
    if (kind, how) == ("manifest", "missing"):
        return  # then there is no such snapshot
    source = small_source()
    ids = [export_into(folder, source).snapshot]
    before = set(folder.rglob("*"))
    source.all_experiments[0] = dataclasses.replace(source.all_experiments[0], name="renamed")
    source.points = {**source.points, "first": {"loss": [(0, 0, 7.5)], "acc": source.points["first"]["acc"]}}
    ids.append(export_into(folder, changed(source, 1)).snapshot)
    suffix = {"blob": "blobs/*/*", "manifest": "snapshots/*.json"}.get(kind, f"parts/*.{kind.split()[0]}.*")
    (file,) = set(folder.glob(suffix)) - before
    DAMAGES[how](file)
    report = copy(folder, target)
    assert (report.exit_code, report.copied) == (12, ids[:1])
    assert [(f.snapshot, f.file) for f in report.failed] == [(ids[1], file.relative_to(folder).as_posix())]
    assert open_bundle(target).snapshot_ids() == ids[:1]
    assert check(target).faults == []


def test_a_broken_file_on_s3_is_not_copied_by_s3_either(folder: Path, bucket: Bucket) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    ids = make(folder, 1)
    copy(folder, f"{bucket.url}/one", access=access)
    blob = one_of(folder, "blob").relative_to(folder).as_posix()
    content = bucket.files("one/")[f"one/{blob}"]
    bucket.put(f"one/{blob}", b"x" + content[1:])
    report = copy(f"{bucket.url}/one", f"{bucket.url}/other", access=access)
    assert [(f.snapshot, f.file) for f in report.failed] == [(ids[0], blob)]
    assert (report.exit_code, report.copied) == (12, [])


def test_a_snapshot_that_is_in_the_target_is_left_as_it_is(folder: Path, target: Path) -> None:
    make(folder)
    copy(folder, target)
    file = one_of(target, "manifest")
    file.write_bytes(b"mine")
    report = copy(folder, target)
    assert (report.copied, report.already_there) == ([], 3)
    assert file.read_bytes() == b"mine"


def test_prune_waits_for_a_copy_and_a_copy_for_prune(folder: Path, target: Path) -> None:
    make(folder)
    copy(folder, target)
    for place in (folder, target):
        with locks.exclusive(LocalStore(place), "prune"), pytest.raises(BundleLocked, match=f"{place} is locked"):
            copy(folder, target)
    with locks.shared(LocalStore(folder), "export"), locks.shared(LocalStore(target), "export"):
        assert copy(folder, target).exit_code == 0


def test_a_source_that_is_pruned_in_spite_of_the_lock_gives_no_snapshot_without_its_parts(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(create_bundle(folder), 3)
    publish = _Copy.publish

    def prune_first(self: _Copy, at_once: bool) -> None:
        if at_once:
            locks.unlock(LocalStore(folder), everything=True)
            prune(folder)
        publish(self, at_once)

    monkeypatch.setattr(_Copy, "publish", prune_first)
    with pytest.raises(BundleLocked, match="changed while it was read"):
        copy(folder, target)
    monkeypatch.undo()
    assert check(target).faults == []
    copy(folder, target)
    assert check(target).faults == []
    assert open_bundle(target).snapshot_ids() == open_bundle(folder).snapshot_ids()


def test_a_source_that_may_only_be_read_is_copied_without_a_lock(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(folder)
    create = LocalStore.create

    def refuse(self: LocalStore, name: str, content: bytes) -> bool:
        if self.folder == folder:
            raise RunsyncError(f"{folder} cannot be written: Read-only file system")
        return create(self, name, content)

    monkeypatch.setattr(LocalStore, "create", refuse)
    assert len(copy(folder, target).copied) == 3


def test_the_command_tells_what_it_did_and_what_it_could_not(folder: Path, target: Path, runsync: Runner) -> None:
    make(folder, 1)
    done = runsync("copy", folder, target)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 snapshot copied" in done.stdout
    flip(one_of(folder, "blob"), 3)
    done = runsync("copy", folder, target.with_name("third"), "--json")
    assert (done.returncode, done.stderr) == (12, "")
    assert [f["file"] for f in json.loads(done.stdout)["failed"]] == [
        one_of(folder, "blob").relative_to(folder).as_posix()
    ]
    assert runsync("copy", folder / "nothing", target).returncode == 10
    assert runsync("copy", folder, f"{target}@latest").returncode == 2
