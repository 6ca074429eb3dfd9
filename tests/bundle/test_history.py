"""A bundle knows which snapshots it should have, and in which order: removed and renamed files are reported."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from support.clocks import Clock
from support.memory import add_snapshot, export_to
from support.old_bundle import make_old
from support.processes import GONE
from support.s3 import Bucket
from support.stopping import Stopped, StoppingStore

from runsync.bundle import announced, history, layout, schemas
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, create_bundle, open_bundle, open_store
from runsync.bundle.check import CheckReport, check
from runsync.bundle.copy import copy
from runsync.bundle.forget import forget
from runsync.bundle.history import Position
from runsync.bundle.inspect import inspect
from runsync.bundle.local_store import LocalStore
from runsync.bundle.manifest import Manifest
from runsync.bundle.processes import here
from runsync.bundle.prune import prune
from runsync.bundle.retention import Policy
from runsync.bundle.snapshot import open_snapshot
from runsync.bundle.snapshots import snapshots
from runsync.bundle.store import Store
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import BundleDamaged, BundleNotFound, RunsyncError
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.runs.listing import list_runs
from runsync.s3 import S3Options
from runsync.testing.memory import small_source
from runsync.transfer.engine import transfer
from runsync.transfer.repair import repair
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted


@dataclass(frozen=True)
class Place:
    """A bundle on a disk or on S3, and hands on its files."""

    address: str | Path
    access: Access
    store: Store

    @property
    def path(self) -> Path:
        return Path(self.address)

    @property
    def bundle(self) -> Bundle:
        return open_store(self.store)

    def night(self, number: int) -> TransferReport:
        """One more snapshot, of another content each night."""
        source = small_source()
        source.runs[0] = dataclasses.replace(source.runs[0], params={"night": str(number)})
        return export_to(Bundle(self.store), source)

    def check(self) -> CheckReport:
        return check(self.address, quick=True, access=self.access)

    def names(self, folder: str) -> list[str]:
        return sorted(entry.name for entry in self.store.list(folder))

    def write(self, name: str, content: bytes) -> None:
        self.store.remove(name)
        assert self.store.create(name, content)


@pytest.fixture(params=["disk", pytest.param("S3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Three nights."""
    address, access = str(tmp_path / "bundle"), Access()
    if request.param == "S3":
        bucket: Bucket = request.getfixturevalue("bucket")
        # One client for them all: to make one takes longer than to use it.
        monkeypatch.setattr("runsync.bundle.address.S3", lambda *_, **__: bucket.s3)
        address, access = f"{bucket.url}/backup", Access(s3=S3Options(bucket.endpoint))
    store = create_bundle(address, access).store
    made = Place(address, access, store)
    for number in range(3):
        made.night(number)
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    made = Place(str(tmp_path / "bundle"), Access(), create_bundle(tmp_path / "bundle").store)
    for number in range(3):
        made.night(number)
    return made


def night_of(place: Place, named: str = "") -> str:
    """Which night a reader sees who opens the bundle, or a snapshot of it."""
    snapshot = open_snapshot(f"{place.address}{named}", place.access)
    return snapshot.batch(["first"], ()).runs[0].params["night"]


def test_each_snapshot_has_a_record_that_says_what_its_manifest_does(place: Place) -> None:
    bundle = place.bundle
    assert json.loads(place.store.read(layout.MARKER))["required_features"] == [layout.ORDERED]
    records = [json.loads(place.store.read(name)) for name in place.names(layout.HISTORY)]
    for record, snapshot_id in zip(records, bundle.snapshot_ids(), strict=True):
        schemas.check("record", record, "a record")
        manifest = bundle.manifest(snapshot_id)
        assert (record["id"], record["created_at"]) == (snapshot_id, manifest.created_at)
        assert (record["order"], record["source"]) == (layout.time_of(snapshot_id), "memory")
        assert "order" not in json.loads(place.store.read(layout.snapshot(snapshot_id)))
    report = place.check()
    assert (report.faults, report.foreign) == ([], [])


# Removed.


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_manifest_that_was_removed_is_reported_and_no_older_state_is_taken_for_it(place: Place, number: int) -> None:
    ids = place.bundle.snapshot_ids()
    gone = ids[number]
    place.store.remove(layout.snapshot(gone))
    report = place.check()
    assert [(fault.file, fault.kind, fault.snapshots) for fault in report.faults] == [
        (layout.snapshot(gone), "missing", [gone])
    ]
    listed = snapshots(place.address, access=place.access)
    assert (listed.exit_code, [one.id for one in listed.missing_snapshots]) == (12, [gone])
    assert [one.id for one in listed.snapshots] == [other for other in ids if other != gone]
    for name in (f"@{gone}", "" if number == 2 else f"@{gone[-6:]}"):
        with pytest.raises(BundleDamaged, match=rf"snapshot {gone} is missing: .* runsync forget .*@{gone}$"):
            open_snapshot(f"{place.address}{name}", place.access)
    if number == 2:
        assert night_of(place, f"@{ids[1]}") == "1"
        with pytest.raises(BundleDamaged, match="is missing"):
            list_runs(str(place.address), access=place.access)
        with pytest.raises(BundleDamaged, match="is missing"):
            inspect(place.address, access=place.access)
    else:
        assert night_of(place) == "2"


def test_a_time_that_means_a_missing_snapshot_means_no_older_one(disk: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for day in (-3, -2, -1):
        clock.set(day)
        disk.night(10 + day)
    clock.set(0.1)
    gone = disk.bundle.find("1d")
    disk.store.remove(layout.snapshot(gone))
    assert disk.bundle.find("1d") == gone
    with pytest.raises(BundleDamaged, match="is missing"):
        night_of(disk, "@1d")
    assert night_of(disk, "@2d") == "8"


def test_an_export_goes_on_where_the_newest_snapshot_is_missing_and_says_so_and_then_it_is_the_newest(
    place: Place,
) -> None:
    (first, _, last) = place.bundle.snapshot_ids()
    for gone in (first, last):
        place.store.remove(layout.snapshot(gone))
    writer_told = _warnings(place, skip_unchanged=False)
    assert [gone for gone in (last, first) if any(f"snapshot {gone} is missing" in told for told in writer_told)] == [
        last,
        first,
    ]
    assert night_of(place) == "9"
    assert [one.id for one in snapshots(place.address, access=place.access).missing_snapshots] == [first, last]


def test_a_snapshot_is_made_though_nothing_changed_where_the_newest_one_is_missing(disk: Place) -> None:
    assert _warnings(disk, skip_unchanged=False, number=2) == []
    assert len(disk.bundle.snapshot_ids()) == 4
    assert _warnings(disk, skip_unchanged=True, number=2) == []
    assert len(disk.bundle.snapshot_ids()) == 4
    disk.store.remove(layout.snapshot(disk.bundle.snapshot_ids()[-1]))
    assert len(_warnings(disk, skip_unchanged=True, number=2)) == 1
    assert len(disk.bundle.snapshot_ids()) == 5


def test_prune_deletes_nothing_that_a_missing_snapshot_needs(disk: Place) -> None:
    gone = disk.bundle.snapshot_ids()[1]
    disk.store.remove(layout.snapshot(gone))
    before = disk.names("")
    for verb in (lambda: prune(disk.address), lambda: forget(disk.address, Policy(last=1), prune=True)):
        with pytest.raises(BundleDamaged, match=rf"snapshot {gone} is missing.*what is needed cannot be known"):
            verb()
    assert disk.names("") == before
    report = forget(disk.address, Policy(last=1))
    assert (report.exit_code, [one.id for one in report.broken]) == (12, [gone])
    assert gone in disk.bundle.snapshot_ids()


def test_forgetting_a_missing_snapshot_accepts_that_it_is_lost(place: Place) -> None:
    gone = place.bundle.snapshot_ids()[2]
    place.store.remove(layout.snapshot(gone))
    report = forget(f"{place.address}@{gone}", access=place.access)
    assert (report.to_remove, report.exit_code) == ([gone], 0)
    assert night_of(place) == "1"
    assert place.check().exit_code == 0
    assert not [name for name in place.names(layout.HISTORY) if gone in name]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_record_that_was_removed_is_reported_changes_no_order_and_is_written_again(place: Place, number: int) -> None:
    ids = place.bundle.snapshot_ids()
    name = place.names(layout.HISTORY)[number]
    content = place.store.read(name)
    place.store.remove(name)
    report = place.check()
    assert [(fault.file, fault.kind) for fault in report.faults] == [(name, "missing")]
    assert (place.bundle.snapshot_ids(), night_of(place)) == (ids, "2")
    told = _warnings(place, skip_unchanged=False)
    assert told == [f"the record of snapshot {ids[number]} was lost: it is written again"]
    assert place.store.read(name) == content
    assert (place.check().faults, place.bundle.snapshot_ids()[:3]) == ([], ids)


def test_without_any_record_the_order_is_still_what_the_manifests_tell(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    for day in (400, -4):
        clock.set(day)
        place.night(day)
    ids = place.bundle.snapshot_ids()
    for name in place.names(layout.HISTORY):
        place.store.remove(name)
    assert (place.bundle.snapshot_ids(), night_of(place)) == (ids, "-4")
    assert len(place.check().faults) == 5
    place.night(1)
    assert len(place.names(layout.HISTORY)) == 6
    assert place.bundle.snapshot_ids()[:5] == ids


# Renamed, swapped, copied.


def test_manifests_under_each_others_names_are_refused_by_whoever_opens_them(place: Place) -> None:
    names = [layout.snapshot(snapshot_id) for snapshot_id in place.bundle.snapshot_ids()]
    contents = [place.store.read(name) for name in names]
    for one, other in ((0, 2), (1, 2), (0, 1)):
        place.write(names[one], contents[other])
        place.write(names[other], contents[one])
        report = place.check()
        assert {fault.file for fault in report.faults} == {names[one], names[other]}
        assert all("the manifest of another snapshot" in fault.error for fault in report.faults)
        if other == 2:
            with pytest.raises(BundleDamaged, match="the manifest of another snapshot"):
                night_of(place)
        place.write(names[one], contents[one])
        place.write(names[other], contents[other])
    assert place.check().exit_code == 0


@pytest.mark.parametrize("name", ["20991231T000000.000Z-ffffff", "20200101T000000.000Z-000000"])
@pytest.mark.parametrize("is_copy", [True, False])
def test_a_manifest_with_a_new_name_is_no_snapshot(place: Place, name: str, is_copy: bool) -> None:
    ids = place.bundle.snapshot_ids()
    place.store.create(layout.snapshot(name), place.store.read(layout.snapshot(ids[2])))
    if not is_copy:
        place.store.remove(layout.snapshot(ids[2]))
    report = place.check()
    assert report.exit_code == 12
    assert {fault.file for fault in report.faults} == {
        layout.snapshot(name),
        *(() if is_copy else (layout.snapshot(ids[2]),)),
    }
    if name.startswith("2099") or not is_copy:
        with pytest.raises(BundleDamaged, match=r"another snapshot|is missing"):
            night_of(place)
    else:
        assert night_of(place) == "2"
    place.night(7)  # backups go on
    assert night_of(place) == "7"


def test_a_record_with_another_name_is_none(place: Place) -> None:
    ids, names = place.bundle.snapshot_ids(), place.names(layout.HISTORY)
    last = place.store.read(names[2])
    order, snapshot_id = layout.recorded(names[2]) or (0, "")
    earlier = f"{layout.HISTORY}{1:015d}-{snapshot_id}-{names[2][-13:]}"
    as_mark = names[2].replace(".json", ".forgotten")
    assert earlier != names[2]
    for new in (earlier, as_mark, names[2] + ".bak", names[2].upper()):
        place.store.remove(names[2])
        place.store.create(new, last)
        report = place.check()
        assert (report.foreign, [fault.file for fault in report.faults]) == ([new], [names[2]])
        assert (place.bundle.snapshot_ids(), night_of(place)) == (ids, "2")
        place.store.remove(new)
    place.store.create(names[2], last)
    place.write(names[0], last)
    place.write(names[1], b"")
    assert {fault.file for fault in place.check().faults} == set(names[:2])
    assert place.bundle.snapshot_ids() == ids
    assert order == layout.time_of(snapshot_id)


def test_a_record_of_another_order_than_its_manifest_tells_is_a_fault(disk: Place) -> None:
    ids = disk.bundle.snapshot_ids()
    name = layout.record(5, ids[2])
    disk.store.remove(disk.names(layout.HISTORY)[2])
    disk.store.create(name, history.Record(ids[2], 5, "2026-11-01T00:00:00.000Z", "memory").content())
    assert name in {fault.file for fault in disk.check().faults}


# Killed.


def _stopped(place: Place, moment: int, act: Callable[[Bundle], None]) -> bool:
    stopping = StoppingStore(place.store, moment)
    with suppress(Stopped):
        act(Bundle(stopping))
    return stopping.is_stopped


@pytest.fixture
def places(disk: Place, tmp_path: Path) -> Iterator[Place]:
    """As many bundles of three nights as are asked for."""
    places = (tmp_path / f"copy-{number}" for number in count())
    return (Place(shutil.copytree(disk.address, where), Access(), LocalStore(where)) for where in places)


def test_a_forget_killed_at_any_write_leaves_the_snapshot_there_or_forgotten(places: Iterator[Place]) -> None:
    moments = 0
    for place in places:
        ids = place.bundle.snapshot_ids()
        position = place.bundle.history().position(ids[1])

        def act(bundle: Bundle, position: Position = position) -> None:
            history.forget(bundle.store, position)

        if not _stopped(place, moments, act):
            break
        left = place.bundle.snapshot_ids()
        assert left in (ids, [ids[0], ids[2]])
        assert place.check().faults == []
        if moments % 2:
            prune(place.address)
            assert place.bundle.snapshot_ids() == left
        else:
            forget(place.address, Policy(last=1), prune=True)
            assert place.bundle.snapshot_ids() == ids[2:]
        known = place.bundle.history()
        assert (known.marked, known.unrecorded, known.missing) == ((), (), frozenset())
        assert len(place.names(layout.HISTORY)) == len(place.names(layout.SNAPSHOTS)) == len(known.ids)
        moments += 1
    assert moments == 12


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.long
def test_recording_killed_at_any_write_makes_no_snapshot_look_lost(places: Iterator[Place], is_old: bool) -> None:
    moments = 0
    for place in places:
        ids = place.bundle.snapshot_ids()
        if is_old:
            make_old(place.store)
        again = dataclasses.replace(place.bundle.latest(), id="20990101T000000.000Z-abcdef")

        def act(bundle: Bundle, again: Manifest = again) -> None:
            bundle.record_all(bundle.history())
            add_snapshot(bundle, again)

        if not _stopped(place, moments, act):
            break
        assert place.bundle.snapshot_ids() in (ids, [*ids, "20990101T000000.000Z-abcdef"])
        assert place.check().faults == []
        place.night(9)
        assert (place.check().faults, place.bundle.history().unrecorded) == ([], ())
        moments += 1
    assert moments == (14 if is_old else 6)


@pytest.mark.parametrize("was_missing", [False, True])
def test_what_a_process_left_that_died_before_its_manifest_appeared_is_removed_by_prune(
    disk: Place, was_missing: bool
) -> None:
    again = dataclasses.replace(disk.bundle.latest(), id="20990101T000000.000Z-abcdef")
    ids = disk.bundle.snapshot_ids()
    if was_missing:  # a copy was to bring it back
        record = disk.names(layout.HISTORY)[2]
        again = disk.bundle.latest()
        disk.store.remove(layout.snapshot(again.id))
        os.utime(disk.path / record, (0, 0))
    assert _stopped(disk, 4 if not was_missing else 2, lambda bundle: add_snapshot(bundle, again))
    (claim,) = disk.names(layout.CLAIMS)
    disk.store.move(claim, claim.replace(here().token, GONE.token))
    assert disk.bundle.history().missing == ({again.id} if was_missing else set())
    assert disk.bundle.snapshot_ids() == ids
    announced.claims(disk.store, "")
    assert disk.names(layout.CLAIMS) == []
    assert disk.bundle.history().missing == ({again.id} if was_missing else set())
    assert len(disk.names(layout.HISTORY)) == 3


def test_whoever_lists_while_another_makes_or_forgets_a_snapshot_sees_none_missing(disk: Place) -> None:
    """Between two listings, as another process would."""

    class Between(LocalStore):
        def list(self, prefix: str = ""):  # type: ignore[no-untyped-def]
            found = list(super().list(prefix))
            if prefix == layout.HISTORY:
                forget(f"{disk.address}@{disk.bundle.snapshot_ids()[0]}")
                disk.night(5)
            return iter(found)

    seen = Bundle(Between(Path(disk.address))).history()
    assert (seen.missing, len(seen.positions)) == (frozenset(), 3)


def test_a_forget_on_a_full_disk_works_without_a_mark(disk: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: LocalStore, name: str, content: bytes) -> bool:
        raise RunsyncError("No space left on device")

    known = disk.bundle.history()
    monkeypatch.setattr(LocalStore, "create", full)
    history.forget(disk.store, known.positions[2])
    assert disk.bundle.snapshot_ids() == known.ids[:2]


# Bundles from before there were records, copies, repairs.


def test_a_bundle_from_before_there_were_records_is_read_as_ever_and_recorded_by_the_next_export(place: Place) -> None:
    make_old(place.store)
    ids = place.bundle.snapshot_ids()
    assert (night_of(place), place.check().exit_code) == ("2", 0)
    place.store.remove(layout.snapshot(ids[0]))  # nobody can know
    assert place.check().exit_code == 0
    place.night(3)
    assert json.loads(place.store.read(layout.MARKER))["required_features"] == [layout.ORDERED]
    assert len(place.names(layout.HISTORY)) == 3
    place.store.remove(layout.snapshot(ids[1]))
    assert [one.id for one in snapshots(place.address, access=place.access).missing_snapshots] == [ids[1]]


def test_a_bundle_in_which_no_export_finished_says_so(tmp_path: Path) -> None:
    create_bundle(tmp_path / "bundle")
    with pytest.raises(BundleNotFound, match="holds no finished snapshot"):
        open_bundle(tmp_path / "bundle").latest()


def test_a_copy_is_recorded_in_the_order_of_its_source_and_older_snapshots_stay_older(
    disk: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    clock.set(400)
    disk.night(3)
    clock.set(-1)
    disk.night(4)
    ids = disk.bundle.snapshot_ids()
    target = tmp_path / "target"
    copy(f"{disk.address}@{ids[4]}", target)
    copy(disk.address, target)
    copied = open_bundle(target)
    assert copied.snapshot_ids() == ids
    assert {e.name for e in copied.store.list(layout.HISTORY)} == set(disk.names(layout.HISTORY))
    other = Place(str(tmp_path / "other"), Access(), create_bundle(tmp_path / "other").store)
    clock.set(500)
    other.night(1)
    (newest,) = other.bundle.snapshot_ids()
    copy(disk.address, tmp_path / "other")
    assert other.bundle.snapshot_ids() == [*ids, newest]


def test_a_missing_snapshot_is_not_copied_and_comes_back_from_a_copy(disk: Place, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    copy(disk.address, copied)
    ids = disk.bundle.snapshot_ids()
    disk.store.remove(layout.snapshot(ids[1]))
    report = copy(disk.address, tmp_path / "third")
    assert (report.exit_code, report.copied, [f.snapshot for f in report.failed]) == (12, [ids[0], ids[2]], [ids[1]])
    assert copy(copied, disk.address).copied == [ids[1]]
    assert (disk.check().exit_code, disk.bundle.snapshot_ids()) == (0, ids)


@pytest.mark.parametrize("number", [1, 2])
def test_repair_takes_a_missing_snapshot_from_a_copy(disk: Place, tmp_path: Path, number: int) -> None:
    copied = tmp_path / "copied"
    copy(disk.address, copied)
    gone = disk.bundle.snapshot_ids()[number]
    content = disk.store.read(layout.snapshot(gone))
    disk.store.remove(layout.snapshot(gone))
    report = repair(disk.address, str(copied))
    assert (report.exit_code, report.repaired, report.set_aside) == (0, [layout.snapshot(gone)], [])
    assert (disk.store.read(layout.snapshot(gone)), disk.check().exit_code) == (content, 0)


def test_repair_without_a_source_accepts_the_loss_and_deletes_nothing(disk: Place) -> None:
    gone = disk.bundle.snapshot_ids()[2]
    record = next(name for name in disk.names(layout.HISTORY) if gone in name)
    disk.store.remove(layout.snapshot(gone))
    report = repair(disk.address)
    assert (report.exit_code, report.set_aside, report.quarantined) == (0, [gone], [])
    assert [name.split("/", 2)[2] for name in disk.names(layout.QUARANTINE)] == [record]
    assert (disk.check().exit_code, night_of(disk)) == (0, "1")


def test_repair_writes_lost_and_broken_records_again(disk: Place) -> None:
    names = disk.names(layout.HISTORY)
    contents = [disk.store.read(name) for name in names]
    disk.store.remove(names[0])
    disk.write(names[1], b"broken")
    report = repair(disk.address)
    assert (report.exit_code, report.repaired, report.set_aside) == (0, names[:2], [])
    assert [disk.store.read(name) for name in names] == contents


def _warnings(place: Place, skip_unchanged: bool, number: int = 9) -> list[str]:
    """What an export says; it makes a snapshot of that night."""
    source = small_source()
    source.runs[0] = dataclasses.replace(source.runs[0], params={"night": str(number)})
    writer = SnapshotWriter(Bundle(place.store), skip_unchanged=skip_unchanged)
    report = TransferReport("export", source.place, writer.place)
    transfer(report, Wanted(source, Selection()), writer, 2, Silent())
    writer.close()
    assert report.exit_code == 0
    return writer.warnings
