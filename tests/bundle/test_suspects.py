"""A stored file that is broken is not taken for sound: once check has found it, or with --verify-stored."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.attempts import attempt
from support.damage import files_of, flip, one_of
from support.memory import export_into, export_to
from support.mutations import NIGHTS, export_nights, source_of
from support.s3 import Bucket

from runsync.bundle import layout
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import create_bundle, open_bundle
from runsync.bundle.check import check
from runsync.bundle.copy import copy
from runsync.bundle.local_store import LocalIncoming, LocalStore
from runsync.bundle.store import Store, cannot_write
from runsync.bundle.writer import SnapshotWriter
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.testing.memory import MemorySource, small_source
from runsync.transfer.engine import transfer
from runsync.transfer.repair import repair
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

DATA = ["blob", "metrics part"]


@dataclass(frozen=True)
class Stored:
    """A bundle on a disk or on S3."""

    address: str
    access: Access
    store: Store

    def check(self, snapshot: str = "") -> int:
        where = f"{self.address}@{snapshot}" if snapshot else self.address
        return check(where, access=self.access).exit_code

    def overwrite(self, name: str) -> None:
        """With other bytes, as many."""
        content = self.store.read(name)
        self.store.remove(name)
        self.store.create(name, b"?" * len(content))

    def export(self, source: MemorySource, *, verify_stored: bool = False) -> TransferReport:
        writer = SnapshotWriter(create_bundle(self.address, self.access), verify_stored=verify_stored)
        report = TransferReport("export", source.place, writer.place)
        transfer(report, Wanted(source, Selection()), writer, 4, Silent())
        report.snapshot = writer.snapshot_id
        return report


# A part on a disk and a blob on S3; the others in `make stress`.
EACH = pytest.mark.parametrize(
    ("stored", "kind"),
    [
        *(("disk", "metrics part"), ("S3", "blob")),
        *(pytest.param(*both, marks=pytest.mark.slow) for both in (("disk", "blob"), ("S3", "metrics part"))),
    ],
    indirect=["stored"],
)


@pytest.fixture(params=["disk", "S3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    address, access = str(tmp_path / "bundle"), Access()
    if request.param == "S3":
        bucket: Bucket = request.getfixturevalue("bucket")
        address, access = f"{bucket.url}/backup", Access(s3=S3Options(bucket.endpoint))
    made = Stored(address, access, locate(address, access).store)
    made.export(small_source())
    return made


def name_of(stored: Stored, kind: str) -> str:
    folder = layout.BLOBS if kind == "blob" else layout.PARTS
    found = {e.name: e.size for e in stored.store.list(folder) if kind == "blob" or e.name.endswith(".parquet")}
    return max(found, key=lambda name: found[name])


@EACH
def test_what_a_check_found_broken_is_read_again_by_the_next_export(stored: Stored, kind: str) -> None:
    name = name_of(stored, kind)
    sound = stored.store.read(name)
    stored.overwrite(name)
    assert stored.check() == 12
    assert [e.name for e in stored.store.list(layout.SUSPECTS)] == [layout.suspect(name)]
    source = small_source()
    report = stored.export(source)
    assert (report.exit_code, bool(source.asked)) == (0, True)
    assert stored.store.read(name) == sound
    assert list(stored.store.list(layout.SUSPECTS)) == []
    assert stored.check() == 0


@EACH
def test_without_a_check_verify_stored_finds_it_and_else_only_sizes_are_compared(stored: Stored, kind: str) -> None:
    name = name_of(stored, kind)
    stored.overwrite(name)
    source = small_source()
    taken = stored.export(source)
    assert (taken.exit_code, source.asked, stored.check(taken.snapshot)) == (0, [], 12)
    stored.store.remove(layout.suspect(name))
    assert stored.export(small_source(), verify_stored=True).exit_code == 0
    assert stored.check() == 0
    assert list(stored.store.list(layout.SUSPECTS)) == []


def test_what_became_sound_again_or_is_gone_is_suspect_no_more(stored: Stored) -> None:
    names = [name_of(stored, kind) for kind in DATA]
    sound = [stored.store.read(name) for name in names]
    for name in names:
        stored.overwrite(name)
    assert stored.check() == 12
    stored.store.remove(names[0])
    stored.store.remove(names[1])
    assert stored.store.create(names[1], sound[1])
    assert stored.check() == 12
    assert list(stored.store.list(layout.SUSPECTS)) == []


def test_a_run_that_cannot_be_read_now_is_not_kept_with_a_broken_file(tmp_path: Path) -> None:
    export_into(tmp_path / "bundle", small_source())
    blob = one_of(tmp_path / "bundle", "blob")
    flip(blob, 3)
    assert check(tmp_path / "bundle").suspects == [blob.relative_to(tmp_path / "bundle").as_posix()]
    source = small_source()
    source.files["first"]["model/weights.bin"] = None
    report = export_into(tmp_path / "bundle", source)
    assert (report.exit_code, [p["name"] for p in report.problems]) == (3, ["model/weights.bin"])
    assert check(f"{tmp_path / 'bundle'}@{report.snapshot}").exit_code == 0


@pytest.mark.parametrize("way", ["after a check", "verified"])
def test_a_copy_does_not_build_on_what_is_broken_in_its_target(tmp_path: Path, way: str) -> None:
    bundle, target = tmp_path / "bundle", tmp_path / "target"
    export_nights(bundle)
    copy(f"{bundle}@{open_bundle(bundle).snapshot_ids()[0]}", target)
    for kind in DATA:
        flip(one_of(target, kind), 20)
    if way == "after a check":
        check(target)
    report = copy(bundle, target, verify_stored=way == "verified")
    assert (report.exit_code, report.already_there, len(report.copied)) == (0, 1, NIGHTS - 1)
    assert check(target).exit_code == 0


def test_a_copy_that_verifies_mends_the_snapshots_that_are_there_too(tmp_path: Path) -> None:
    bundle, target = tmp_path / "bundle", tmp_path / "target"
    export_nights(bundle)
    copy(bundle, target)
    flip(one_of(target, "blob"), 3)
    assert (copy(bundle, target).exit_code, check(target).exit_code) == (0, 12)
    report = copy(bundle, target, verify_stored=True)
    assert (report.exit_code, report.already_there, report.copied, report.files) == (0, NIGHTS, [], 1)
    assert check(target).exit_code == 0


def test_notebooks_are_read_again_too(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    export_nights(bundle)
    for file in bundle.glob("blobs/*/*"):
        file.write_bytes(b"?" * file.stat().st_size)
    assert len(check(bundle).suspects) == sum(file.stat().st_size > 0 for file in bundle.glob("blobs/*/*"))
    made = export_to(open_bundle(bundle), source_of(NIGHTS - 1), notebooks=("SOURCE",))
    assert check(f"{bundle}@{made.snapshot}").exit_code == 0


def test_repair_clears_the_suspicion(tmp_path: Path) -> None:
    bundle, other = tmp_path / "bundle", tmp_path / "other"
    export_nights(bundle)
    shutil.copytree(bundle, other)
    flip(one_of(bundle, "blob"), 3)
    check(bundle)
    assert repair(bundle, str(other)).exit_code == 0
    assert not [name for name in files_of(bundle) if name.startswith("suspects/")]


def test_a_bundle_that_cannot_be_written_is_checked_and_the_report_says_that_nothing_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_into(tmp_path / "bundle", small_source())
    flip(one_of(tmp_path / "bundle", "blob"), 3)

    def refuse(self: LocalStore) -> LocalIncoming:
        raise cannot_write(self.folder, OSError(30, "Read-only file system"))

    monkeypatch.setattr(LocalStore, "incoming", refuse)
    report = check(tmp_path / "bundle")
    assert (report.exit_code, report.suspects) == (12, [])
    assert "run the next export with --verify-stored" in attempt("check", tmp_path / "bundle").stdout


def test_the_command_says_what_the_next_export_will_do(tmp_path: Path) -> None:
    export_into(tmp_path / "bundle", small_source())
    flip(one_of(tmp_path / "bundle", "blob"), 3)
    checked = attempt("check", tmp_path / "bundle")
    assert "1 broken file noted in the bundle: the next export reads it again" in checked.stdout
