"""check on a disk and on S3 alike: every kind of damage to every kind of file; a share of the data at a time."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from conftest import Runner
from support.damage import edit_manifest, files_of, one_of
from support.memory import export_into
from support.s3 import Bucket

from runsync.bundle import locks
from runsync.bundle.address import Access, locate
from runsync.bundle.check import CheckReport, check
from runsync.bundle.copy import copy
from runsync.bundle.local_store import LocalIncoming, LocalStore
from runsync.bundle.store import Store, cannot_write
from runsync.bundle.subset import Subset
from runsync.errors import BundleDamaged, BundleLocked, WrongUsage
from runsync.model import times
from runsync.s3 import S3Options
from runsync.testing.memory import run_with_metrics, small_source

KINDS = ["manifest", "experiments part", "runs part", "metrics part", "blob"]


@dataclass(frozen=True)
class Copied:
    """The same bundle on a disk or on S3, and hands on its files."""

    address: str
    access: Access
    store: Store
    local: Path

    def check(self, **how: object) -> CheckReport:
        return check(self.address, access=self.access, **how)  # type: ignore[arg-type]

    def name(self, kind: str) -> str:
        return one_of(self.local, kind).relative_to(self.local).as_posix()

    def write(self, name: str, content: bytes) -> None:
        self.store.remove(name)
        assert self.store.create(name, content)


@pytest.fixture(params=["disk", pytest.param("S3", marks=pytest.mark.slow)])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Copied:
    local = tmp_path / "made"
    export_into(local, small_source())
    address, access = str(tmp_path / "bundle"), Access()
    if request.param == "S3":
        bucket: Bucket = request.getfixturevalue("bucket")
        address, access = f"{bucket.url}/backup", Access(s3=S3Options(bucket.endpoint))
    copy(local, address, access=access)
    return Copied(address, access, locate(address, access).store, local)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_done_to_a_file_is_found_and_the_file_named(bundle: Copied, kind: str) -> None:
    name = bundle.name(kind)
    sound = bundle.store.read(name)
    assert bundle.check().exit_code == 0
    chance = Random(kind)
    for bit in [chance.randrange(len(sound) * 8) for _ in range(4)]:
        content = bytearray(sound)
        content[bit // 8] ^= 1 << bit % 8
        bundle.write(name, bytes(content))
        assert {fault.file for fault in bundle.check().faults} == {name}, f"bit {bit}"
    for cut in (sound[: len(sound) // 2], b""):
        bundle.write(name, cut)
        report = bundle.check()
        assert ({fault.file for fault in report.faults}, report.exit_code) == ({name}, 12)
        assert all(fault.snapshots for fault in report.faults)
    bundle.store.remove(name)
    report = bundle.check()
    assert {(fault.file, fault.kind) for fault in report.faults} == {(name, "missing")}
    assert report.unused == []  # what only a missing snapshot needs is still needed


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b'{"format": "runsync", "version": "1"}', b"\xff"])
def test_a_marker_that_is_broken_or_missing_is_damage(bundle: Copied, content: bytes) -> None:
    bundle.write("runsync.json", content)
    with pytest.raises(BundleDamaged, match=r"runsync\.json"):
        bundle.check()
    bundle.store.remove("runsync.json")
    with pytest.raises(BundleDamaged, match=r"runsync\.json is missing, .* --repair writes it again"):
        bundle.check()


@pytest.mark.parametrize("content", [b"", b"\x00", b'{"format": "runsync-lock"'])
def test_locks_are_no_damage_and_what_is_no_lock_is_foreign(bundle: Copied, content: bytes) -> None:
    with locks.shared(bundle.store, "export"):
        bundle.write("locks/shared-odd.json", content)
        report = bundle.check()
    assert (report.exit_code, report.foreign, report.unused) == (0, ["locks/shared-odd.json"], [])


def test_left_over_and_foreign_files_are_told_apart_anywhere(bundle: Copied) -> None:
    sha256 = "b7d7db12fd2e3e28a86cb12feab71a80646b2af551a49911a931cf11ec8cb76e"
    left = [f"blobs/b7/{sha256}", f"parts/{sha256}.metrics.parquet"]
    foreign = [f"blobs/00/{sha256}", f"blobs/{sha256}", "blobs/x/y/z", "notes.txt", "parts/a", "snapshots/b.json"]
    for name in left + foreign:
        bundle.write(name, b"left over")
    bundle.write("quarantine/20261101T120000.000Z/parts/a", b"set aside")
    report = bundle.check()
    assert (report.exit_code, report.unused, report.foreign) == (0, left, foreign)


def test_quick_reads_no_artifacts_and_no_metrics_and_finds_what_is_missing_or_cut_short(bundle: Copied) -> None:
    report = bundle.check(quick=True)
    assert (report.exit_code, report.hashed, report.bytes) == (0, 0, 0)
    for kind in ("blob", "metrics part"):
        name = bundle.name(kind)
        bundle.write(name, bundle.store.read(name)[:-1])
    assert {fault.file for fault in bundle.check(quick=True).faults} == {
        bundle.name("blob"),
        bundle.name("metrics part"),
    }


def test_a_part_that_cannot_be_read_makes_no_blob_look_left_over(bundle: Copied) -> None:
    bundle.write(bundle.name("runs part"), b"")
    assert bundle.check().unused == []


def test_a_line_left_out_that_is_not_there_or_a_line_twice_is_told(tmp_path: Path) -> None:
    export_into(tmp_path / "bundle", small_source())
    edit_manifest(tmp_path / "bundle", lambda manifest: manifest["parts"][0].update(superseded=[7]))
    (fault,) = check(tmp_path / "bundle").faults
    assert (fault.kind, fault.error) == ("mismatch", "line 7 is left out of the 1 that there are")


def test_a_fault_tells_the_snapshots_and_runs_that_it_hits_and_no_others(tmp_path: Path) -> None:
    folder, source = tmp_path / "bundle", small_source()
    first = export_into(folder, source).snapshot
    source.files["first"]["model/weights.bin"] = b"new"
    source.runs[0] = run_with_metrics("first", source.points["first"], params={"lr": "9"})
    second = export_into(folder, source).snapshot
    third = export_into(folder, source).snapshot
    blobs = {f.stat().st_size: f for f in folder.glob("blobs/*/*")}
    for blob, hit in ((blobs[3], [second, third]), (blobs[1000], [first]), (blobs[5], [first, second, third])):
        sound = blob.read_bytes()
        blob.write_bytes(b"x" * len(sound))
        (fault,) = check(folder).faults
        assert sorted(fault.snapshots) == hit
        assert fault.runs == (["second"] if len(hit) == 3 else ["first"])
        blob.write_bytes(sound)


def test_a_medium_that_cannot_be_written_is_checked_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_into(tmp_path / "bundle", small_source())
    before = files_of(tmp_path / "bundle")

    def refuse(self: LocalStore) -> LocalIncoming:
        raise cannot_write(self.folder, OSError(30, "Read-only file system"))

    monkeypatch.setattr(LocalStore, "incoming", refuse)
    assert check(tmp_path / "bundle").exit_code == 0
    assert files_of(tmp_path / "bundle") == before


def test_prune_waits_for_a_check_and_a_check_for_prune(bundle: Copied) -> None:
    with locks.exclusive(bundle.store, "prune"), pytest.raises(BundleLocked):
        bundle.check()
    with locks.shared(bundle.store, "export"):
        assert bundle.check().exit_code == 0


# A share of the data.


def _many_blobs(folder: Path, count: int = 60) -> None:
    source = small_source()
    source.files["first"] = {f"{n}": b"%d" % n * 100 for n in range(count)}
    export_into(folder, source)


def test_the_groups_in_turn_read_every_file_once_and_the_same_ones_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    _many_blobs(folder)
    reports = [check(folder, read_data_subset=f"{n}/7") for n in range(1, 8)]
    assert [r.hashed for r in reports] == [check(folder, read_data_subset=f"{n}/7").hashed for n in range(1, 8)]
    always = len(list(folder.glob("parts/*.jsonl.gz")))
    data = len(list(folder.glob("blobs/*/*"))) + len(list(folder.glob("parts/*.parquet")))
    assert sum(r.hashed - always for r in reports) == data
    for blob in list(folder.glob("blobs/*/*"))[:5]:
        sound = blob.read_bytes()
        blob.write_bytes(b"x" * len(sound))
        found = [r.exit_code for r in (check(folder, read_data_subset=f"{n}/7") for n in range(1, 8))]
        assert sorted(found) == [0] * 6 + [12]
        blob.write_bytes(sound)


@pytest.mark.parametrize(("form", "days"), [("week/8", 7), ("day/30", 1), ("week/3", 7)])
def test_checks_of_a_year_read_one_group_after_the_other(monkeypatch: pytest.MonkeyPatch, form: str, days: int) -> None:
    groups = int(form.partition("/")[2])
    # Sundays, each a little earlier or later, over a year of 53 weeks and its end.
    moments = [
        datetime(2026, 1, 4, 6, 30, tzinfo=UTC) + timedelta(days=n * days, minutes=n % 21 - 10)
        for n in range(2 * 366 // days)
    ]
    read = [_chosen_at(monkeypatch, moment, form).group for moment in moments]
    for n in range(len(read) - groups):
        assert sorted(read[n : n + groups]) == list(range(1, groups + 1))
    sizes = {f"blobs/{n:02x}/{n * 7919:064x}": 1 for n in range(200)}
    chosen = [_chosen_at(monkeypatch, moment, form).choose(sizes) for moment in moments[:groups]]
    assert sorted(name for names in chosen for name in names) == sorted(sizes)


def _chosen_at(monkeypatch: pytest.MonkeyPatch, moment: datetime, form: str) -> Subset:
    monkeypatch.setattr(times, "utc_now", lambda: moment)
    return Subset.parse(form)


def test_a_group_stays_the_same_from_monday_to_sunday(monkeypatch: pytest.MonkeyPatch) -> None:
    monday = datetime(2026, 11, 30, tzinfo=UTC)
    week = [_chosen_at(monkeypatch, monday + timedelta(hours=h), "week/8") for h in (0, 1, 100, 167)]
    assert len(set(week)) == 1
    assert _chosen_at(monkeypatch, monday + timedelta(hours=168), "week/8").group == week[0].group % 8 + 1


def test_a_share_reads_about_that_many_bytes_and_at_least_one_file_and_not_always_the_same() -> None:
    sizes = {f"blobs/{n:02x}/{n:064x}": 100 + n for n in range(200)}
    chosen = [frozenset(Subset.parse("5%").choose(sizes)) for _ in range(5)]
    for each in chosen:
        read = sum(sizes[name] for name in each)
        assert 0.05 <= read / sum(sizes.values()) < 0.07
    assert len(set(chosen)) > 1
    assert len(Subset.parse("0.001%").choose(sizes)) == 1
    assert len(Subset.parse("100%").choose(sizes)) == 200
    assert Subset.parse("5%").choose({}) == []


@pytest.mark.parametrize(
    "text",
    [
        "0%",
        "101%",
        "-5%",
        "5",
        "%",
        "nan%",
        "0/3",
        "4/3",
        "1/0",
        "1/",
        "a/b",
        "5 %",
        "1/2/3",
        "week",
        "week/0",
        "year/2",
    ],
)
def test_a_subset_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, runsync: Runner) -> None:
    with pytest.raises(WrongUsage, match="is no subset"):
        check(tmp_path, read_data_subset=text)
    if text == "0%":
        done = runsync("check", tmp_path, "--read-data-subset", text)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        done = runsync("check", tmp_path, "--quick", "--read-data-subset", "5%")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_command_tells_which_share_was_read(tmp_path: Path, runsync: Runner) -> None:
    _many_blobs(tmp_path / "bundle", 10)
    done = runsync("check", tmp_path / "bundle", "--read-data-subset", "2/5", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["subset"], report["quick"]) == (0, "2/5", False)
    assert 0 < report["hashed"] < len(files_of(tmp_path / "bundle"))
    lines = [
        runsync("check", tmp_path / "bundle", *options).stdout.splitlines()[-1]
        for options in (("--read-data-subset", "2/5"), ("--read-data-subset", "50%"), ("--quick",), ())
    ]
    assert lines == [
        "Sound, as far as it was read: group 2 of 5 of artifacts and metrics.",
        "Sound, as far as it was read: 50% of artifacts and metrics.",
        "Sound, as far as it was read: no hashes of artifacts and metrics were compared.",
        "Sound.",
    ]
    report = json.loads(runsync("check", tmp_path / "bundle", "--read-data-subset", "week/5", "--json").stdout)
    assert report["subset"] in {f"{n}/5" for n in range(1, 6)}
