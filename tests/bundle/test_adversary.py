"""A snapshot that was written is whole, whatever happens to locks: here they keep nobody off, and are never missed.

Two commands on one bundle are interleaved operation by operation, on a disk and on S3. Each ends with an error, or with
what it promises; what is left is a sound bundle.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.interleaving import Command, NoLock, SteppedStore, interleave
from support.processes import GONE, run_as
from support.s3 import Bucket
from support.stopping import Stopped

from runsync.bundle import address, history, layout, local_store, removal, repack
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import create_in, open_store
from runsync.bundle.checker import Checker
from runsync.bundle.copy import CopyReport, copy_snapshots
from runsync.bundle.processes import Process
from runsync.bundle.prune import carry_out, plan_prune
from runsync.bundle.store import Store
from runsync.bundle.subset import Subset
from runsync.bundle.unlock import unlock
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import BundleLocked, RunsyncError
from runsync.model.experiment import Experiment
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.s3_errors import Refused
from runsync.testing.memory import START, MemorySource, run_with_metrics
from runsync.transfer.engine import transfer
from runsync.transfer.repair import RepairReport, repair_from
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "BATCH", 3)
    monkeypatch.setattr(repack, "MOST_SMALL", 1)


def source(*names: str) -> MemorySource:
    points = {name: {"loss": [(0, START, 1.0)]} for name in names}
    runs = [run_with_metrics(name, points[name]) for name in names]
    files: dict[str, dict[str, bytes | None]] = {
        name: {"a": name.encode(), "b": f"{name} b".encode()} for name in names
    }
    return MemorySource([Experiment("1", "kept")], runs, points, files)


def export(target: Store, *names: str, thorough: bool = False) -> str:
    """Gives the id of the snapshot."""
    bundle = create_in(target)
    writer = SnapshotWriter(bundle, thorough=thorough, lock=NoLock(), workers=1)  # type: ignore[arg-type]
    found = source(*names)
    report = TransferReport("export", found.place, writer.place)
    try:
        transfer(report, Wanted(found, Selection()), writer, 1, Silent())
    finally:
        writer.close()
    if report.stopped:
        assert report.exit_code in (11, 12)
        raise BundleLocked(report.stopped)
    return writer.snapshot_id


def export_again(target: Store) -> str:
    """Of what was forgotten, and is about to be deleted."""
    return export(target, "old", "older", "kept")


def prune(target: Store) -> str:
    bundle = open_store(target)
    carry_out(bundle, plan_prune(bundle, bundle.snapshot_ids(), Silent()), NoLock())  # type: ignore[arg-type]
    return ""


def forget_and_prune(target: Store) -> str:
    bundle = open_store(target)
    oldest, *stay = bundle.snapshot_ids()
    plan = plan_prune(bundle, stay, Silent())
    history.forget(target, bundle.history().position(oldest))
    carry_out(bundle, plan, NoLock())  # type: ignore[arg-type]
    return ""


def copy_from(origin: Store) -> Command:
    """Brings back the snapshot that was forgotten."""

    def copy(target: Store) -> str:
        report = CopyReport("", "")
        copy_snapshots(open_store(origin), open_store(target), report, None, NoLock(), 1, Silent())  # type: ignore[arg-type]
        return report.copied[0] if report.copied else ""

    return copy


class Place:
    """Where each attempt gets a bundle of its own: two snapshots, of which the first is forgotten where `is_pruned`."""

    def __init__(self, root: str, access: Access | None = None) -> None:
        self._root = root
        self._access = access
        self.origin = self.store("origin")
        self.forgotten = export(self.origin, "old", "older", "kept")
        export(self.origin, "kept")
        self._files = {entry.name: self.origin.read(entry.name) for entry in self.origin.list()}

    def store(self, name: str) -> Store:
        return locate(f"{self._root}/{name}", self._access).store

    def new(self, name: str, is_forgotten: bool) -> Store:
        target = self.store(name)
        for file, content in self._files.items():
            if not (is_forgotten and self.forgotten in file):
                target.create(file, content)
        return target


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return Place(str(tmp_path))


@pytest.fixture
def s3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(address, "S3", lambda *_, **__: bucket.s3)
    return Place(bucket.url, Access(s3=S3Options(bucket.endpoint)))


def assert_sound(target: Store, outcomes: list[Any]) -> None:
    checker = Checker(open_store(target))
    checker.check(Subset(), 1, Silent())
    assert checker.faults() == [], outcomes
    for made in outcomes:
        assert made == "" or isinstance(made, RunsyncError) or target.size(layout.snapshot(made)) is not None


def assert_goes_on(target: Store) -> None:
    """Whatever was left, the next prune and the next export do as they always do."""
    prune(target)
    made = export_again(target)
    assert_sound(target, [made])
    assert made


COMMANDS: dict[str, Callable[[Place], tuple[Command, Command, bool]]] = {
    "export, prune": lambda place: (export_again, prune, True),
    "prune, export": lambda place: (prune, export_again, True),
    "export, forget and prune": lambda place: (export_again, forget_and_prune, False),
    "forget and prune, export": lambda place: (forget_and_prune, export_again, False),
    "copy, prune": lambda place: (copy_from(place.origin), prune, True),
    "prune, copy": lambda place: (prune, copy_from(place.origin), True),
    "prune, prune": lambda place: (prune, prune, True),
    "prune, forget and prune": lambda place: (prune, forget_and_prune, False),
}


def attempt(place: Place, pair: str, at: int, until: int | None) -> list[Any] | None:
    first, second, is_forgotten = COMMANDS[pair](place)
    target = place.new(f"{at} {until}", is_forgotten)
    outcomes = interleave((target, place.store(f"{at} {until}")), first, second, at, until)
    if outcomes is not None:
        assert_sound(target, outcomes)
    return outcomes


EVERY = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
"""A sample of the operations in `make test`, each of them in `make stress`."""


@EVERY
@pytest.mark.parametrize("pair", COMMANDS)
def test_one_command_that_is_held_at_any_operation_while_another_runs(disk: Place, pair: str, step: int) -> None:
    at, ended = 0, []
    while (outcomes := attempt(disk, pair, at, None)) is not None:
        ended.append(outcomes)
        at += step
    assert at > 7
    # The adversary is not kept off by errors alone: often enough both do what they promise.
    assert any(not isinstance(one, RunsyncError) and not isinstance(other, RunsyncError) for one, other in ended)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("disk", (2, 3)), ("s3", (8, 17))])
@pytest.mark.parametrize("pair", COMMANDS)
def test_two_commands_held_at_operations_of_each(
    request: pytest.FixtureRequest, kind: str, steps: tuple[int, int], pair: str
) -> None:
    place = request.getfixturevalue(kind)
    at = 0
    while attempt(place, pair, at, 0) is not None:
        for until in range(1, 70, steps[1]):
            attempt(place, pair, at, until)
        at += steps[0]
    assert at > 7


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["export, prune", pytest.param("prune, export", marks=pytest.mark.slow)])
def test_the_same_on_s3(s3: Place, pair: str) -> None:
    at = 0
    while attempt(s3, pair, at, None) is not None:
        at += 24
    assert at > 24


ELSEWHERE = Process(1, "f" * 32, "4026531836-4026531834", 7)
"""On another machine: nobody can tell whether it runs."""


def killed(command: Command, target: Store, at: int, process: Process) -> bool:
    """Runs a command as that process, which is killed before operation `at`; False where it ended before."""

    def stop(number: int) -> None:
        if number >= at:
            raise Stopped

    stepped = SteppedStore(target, stop)
    with run_as(process), suppress(Stopped):
        command(stepped)
    return stepped.steps > at


@EVERY
@pytest.mark.parametrize("pair", ["export, prune", "prune, export", "copy, prune", "prune, copy"])
def test_what_a_command_left_that_was_killed_at_any_operation_holds_nobody_up(
    disk: Place, pair: str, step: int
) -> None:
    first, second, is_forgotten = COMMANDS[pair](disk)
    at, is_killed = 0, True
    while is_killed:
        target = disk.new(str(at), is_forgotten)
        is_killed = killed(first, target, at, GONE)
        assert_sound(target, [second(target)])
        prune(target)
        assert list(target.list(layout.CLAIMS)) == []
        at += step
    assert at > 7


def later(target: Store) -> None:
    """A day passes for what was announced."""
    assert isinstance(target, local_store.LocalStore)
    for entry in target.list(layout.CLAIMS):
        os.utime(target.folder / entry.name, (entry.modified - 86500, entry.modified - 86500))


def test_what_a_process_claimed_that_may_run_is_spared_for_a_day(disk: Place) -> None:
    target = disk.new("one", True)
    at = 0
    while not list(target.list(layout.CLAIMS)):
        killed(export_again, target, at, ELSEWHERE)
        at += 1
    blobs = len(list(target.list(layout.BLOBS)))
    prune(target)
    assert len(list(target.list(layout.BLOBS))) == blobs
    later(target)
    prune(target)
    assert len(list(target.list(layout.BLOBS))) == 2
    assert list(target.list(layout.CLAIMS)) == []


def test_a_snapshot_that_needs_what_a_process_was_deleting_that_may_run_is_refused_for_a_day(disk: Place) -> None:
    target = disk.new("one", True)
    at = 0
    while not list(target.list(layout.CLAIMS)):
        killed(prune, target, at, ELSEWHERE)
        at += 1
    with pytest.raises(BundleLocked, match="files that this snapshot needs were deleted meanwhile"):
        export_again(target)
    assert export(target, "kept"), "what needs none of these files is not affected"
    later(target)
    assert_sound(target, [export_again(target)])


def test_an_empty_announcement_stands_for_all_that_no_snapshot_needs(disk: Place) -> None:
    target = disk.new("one", True)
    target.create(f"{layout.CLAIMS}removal_{ELSEWHERE.token}_0123abcd.json", b"")
    with pytest.raises(BundleLocked):
        export_again(target)


def test_who_may_not_delete_publishes_and_prune_removes_the_claim(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    target = s3.new("one", True)
    with monkeypatch.context() as patch:
        patch.setattr(type(target), "remove", lambda self, name: (_ for _ in ()).throw(Refused("no", "AccessDenied")))
        assert not killed(export_again, target, 10**6, GONE)
    made = open_store(target).snapshot_ids()[-1]
    (claim,) = target.list(layout.CLAIMS)
    assert made in claim.name
    prune(target)
    assert list(target.list(layout.CLAIMS)) == []
    assert_sound(target, [made])


def set_aside(target: Store) -> str:
    report = RepairReport(target.address, "")
    repair_from(open_store(target), None, report, NoLock(), 1, None, Silent())  # type: ignore[arg-type]
    return ""


def export_thoroughly(target: Store) -> str:
    """Reads all again, and so writes broken files anew."""
    return export(target, "kept", thorough=True)


@EVERY
@pytest.mark.parametrize("is_first", [True, False])
def test_repair_sets_no_file_aside_that_an_export_has_written_anew(disk: Place, is_first: bool, step: int) -> None:
    commands = (set_aside, export_thoroughly) if is_first else (export_thoroughly, set_aside)
    at, made = 0, 0
    while True:
        target = disk.new(f"{is_first} {at}", False)
        broken = next(e.name for e in target.list(layout.BLOBS) if target.read(e.name) == b"kept b")
        target.remove(broken)
        target.create(broken, b"Kept b")
        outcomes = interleave((target, disk.store(f"{is_first} {at}")), *commands, at)
        if outcomes is None:
            break
        if not isinstance(outcomes[int(is_first)], RunsyncError):
            assert_sound(target, outcomes)
            made += 1
        at += step
    assert made > 7 // step


def test_unlock_tells_of_what_was_announced_and_removes_it_when_asked(
    disk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["runsync.bundle.unlock"], "NOTICED", 0)
    target = disk.new("one", True)
    for at in range(100):
        killed(prune, target, at, ELSEWHERE)
        if list(target.list(layout.CLAIMS)):
            break
    target.create(f"{layout.CLAIMS}removal_{GONE.token}_0123abcd.json", b"")
    report = unlock(target.address)
    assert [(one.verb, one.pid) for one in report.removed] == [("a deletion", GONE.pid)]
    assert [(one.verb, one.pid) for one in report.held] == [("a deletion", ELSEWHERE.pid)]
    assert [one.pid for one in unlock(target.address, everything=True).removed] == [ELSEWHERE.pid]
    assert list(target.list(layout.CLAIMS)) == []
    assert_sound(target, [export_again(target)])
