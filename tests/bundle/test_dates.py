"""One clock that was wrong spoils no other snapshot: each has its own date, and rules pass over the doubtful one."""

import dataclasses
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clocks import TODAY, Clock
from support.memory import export_to
from support.s3 import Bucket

from runsync.bundle import dates
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.check import check
from runsync.bundle.dates import FUTURE, OUT_OF_ORDER, doubts
from runsync.bundle.forget import ForgetReport, forget
from runsync.bundle.known import learn
from runsync.bundle.retention import Policy, Within
from runsync.bundle.snapshot import open_snapshot
from runsync.bundle.snapshots import snapshots
from runsync.bundle.suspects import Reusable
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import NoRoom
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.testing.memory import small_source
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

AHEAD = [-5.0, -4, -3, 400, -2, -1, 0]
"""Three good nights, one with a clock that is 400 days ahead, three good nights; in days from TODAY."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return create_bundle(tmp_path / "bundle")


def night(bundle: Bundle, clock: Clock, day: float, called: float | None = None) -> list[str]:
    """An export while the clock tells that day; gives its warnings."""
    clock.set(day)
    source = small_source()
    source.runs[0] = dataclasses.replace(source.runs[0], params={"night": str(day if called is None else called)})
    writer = SnapshotWriter(bundle)
    report = TransferReport("export", source.place, writer.place)
    transfer(report, Wanted(source, Selection()), writer, 2, Silent())
    writer.close()
    assert report.exit_code == 0
    # The file system has no part in this: what it says of the time is that of the machine that runs the tests.
    return [told for told in writer.warnings if "this machine's clock is" not in told]


def night_of(bundle: Bundle, named: str) -> float:
    snapshot = open_snapshot(f"{bundle.address}{named}")
    return float(snapshot.batch(["first"], ()).runs[0].params["night"])


def kept(report: ForgetReport) -> list[str]:
    """Dates, newest first."""
    return [one.id[:8] for one in report.snapshots if one.keep]


def test_after_a_night_with_a_clock_far_ahead_each_night_has_its_own_date_and_the_last_is_the_newest(
    bundle: Bundle, clock: Clock
) -> None:
    told = [night(bundle, clock, day) for day in AHEAD]
    made = [bundle.manifest(snapshot_id) for snapshot_id in bundle.snapshot_ids()]
    assert [datetime.fromisoformat(one.created_at).date() for one in made] == [
        (TODAY + timedelta(days=day)).date() for day in AHEAD
    ]
    assert all(one.id.startswith(one.created_at[:10].replace("-", "")) for one in made)
    assert [night_of(bundle, name) for name in ("", "@latest", "@1d", "@2d", "@2026-11-27", "@2026-11-28")] == [
        *(0, 0, -1, -2, -3, -2),
    ]
    # The night itself has no way to know; those after it do.
    assert [len(lines) for lines in told] == [0, 0, 0, 0, 1, 1, 1]
    assert f"snapshot {made[3].id}: dated in the future" in told[4][0]


def test_a_date_in_the_future_is_reported_by_snapshots_check_and_forget_and_is_no_damage(
    bundle: Bundle, clock: Clock
) -> None:
    for day in AHEAD:
        night(bundle, clock, day)
    wrong = bundle.snapshot_ids()[3]
    listed = snapshots(bundle.address)
    assert [one.id for one in listed.snapshots] == bundle.snapshot_ids()
    for report in (listed, check(bundle.address), forget(bundle.address, Policy(last=9), dry_run=True)):
        assert [(one.id, one.problem) for one in report.doubtful_dates] == [(wrong, FUTURE)]
        assert report.exit_code == 0


@pytest.mark.parametrize(
    ("policy", "stay"),
    [
        (Policy(daily=7), [400, 0, -1, -2, -3, -4, -5]),
        (Policy(daily=3), [400, 0, -1, -2]),
        (Policy(last=2), [400, 0, -1]),
        (Policy(within=Within(days=2)), [400, 0, -1]),
        (Policy(within=Within(days=2, hours=1)), [400, 0, -1, -2]),
        (Policy(weekly=1), [400, 0]),
        (Policy(yearly=2), [400, 0, -5]),
    ],
    ids=str,
)
@pytest.mark.long
def test_rules_keep_what_they_would_keep_without_the_wrong_night(
    bundle: Bundle, clock: Clock, policy: Policy, stay: list[int]
) -> None:
    for day in AHEAD:
        night(bundle, clock, day)
    policy = dataclasses.replace(policy, zone=UTC)
    assert kept(forget(bundle.address, policy)) == [f"{TODAY + timedelta(days=day):%Y%m%d}" for day in stay]
    assert night_of(bundle, "") == 0


def test_a_clock_that_was_behind_has_its_night_kept_and_counted_in_no_rule(bundle: Bundle, clock: Clock) -> None:
    for day in (-5, -4, -3):
        night(bundle, clock, day)
    told = night(bundle, clock, -800, called=-2)
    (wrong,) = [snapshot_id for snapshot_id in bundle.snapshot_ids() if snapshot_id.startswith("2024")]
    assert told == [f"snapshot {wrong} has a date before that of all 3 older ones: set this machine's clock"]
    assert night_of(bundle, "") == -2  # the newest, whatever its date
    clock.set(-2)
    assert len(kept(forget(bundle.address, Policy(last=2, zone=UTC), dry_run=True))) == 3
    assert [night(bundle, clock, day) for day in (-1, 0)] == [[], []]
    assert [night_of(bundle, name) for name in ("", "@1d", "@2d", "@2025-01-01")] == [0, -1, -3, -2]
    for report in (snapshots(bundle.address), check(bundle.address), forget(bundle.address, Policy(last=9))):
        assert [(one.id, one.problem) for one in report.doubtful_dates] == [(wrong, OUT_OF_ORDER)]
    assert kept(forget(bundle.address, Policy(daily=2, zone=UTC)))[:2] == ["20261130", "20261129"]
    assert wrong in bundle.snapshot_ids()


def test_a_clock_that_is_behind_while_forgetting_removes_nothing(bundle: Bundle, clock: Clock) -> None:
    for day in (-3, -2, -1):
        night(bundle, clock, day)
    for day in (-1000, -10):
        clock.set(day)
        assert forget(bundle.address, Policy(last=1, within=Within(days=1), zone=UTC)).to_remove == []
    clock.set(1000)
    assert len(forget(bundle.address, Policy(last=1, zone=UTC), dry_run=True).to_remove) == 2


def test_every_source_has_its_newest_kept_by_order_also_with_one_clock_that_is_always_behind(
    bundle: Bundle, clock: Clock
) -> None:
    for day in (-4, -3, -2, -1):
        night(bundle, clock, day)
        night(bundle, clock, day - 0.01, called=day)
    newest = bundle.snapshot_ids()[-1]
    assert newest in [one.id for one in forget(bundle.address, Policy(last=1, zone=UTC)).snapshots if one.keep]


def test_a_wrong_night_is_forgotten_by_its_id(bundle: Bundle, clock: Clock) -> None:
    for day in AHEAD:
        night(bundle, clock, day)
    wrong = bundle.snapshot_ids()[3]
    assert forget(f"{bundle.address}@{wrong}").to_remove == [wrong]
    assert check(bundle.address).doubtful_dates == []
    assert night(bundle, clock, 0.5) == []
    assert night_of(bundle, "") == 0.5


def test_two_exports_in_one_millisecond_are_two_snapshots(
    bundle: Bundle, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = iter(["00000a", "00000a", "00000a", "00000b"])
    monkeypatch.setattr("runsync.bundle.layout.secrets.token_hex", lambda count: next(digits))
    monkeypatch.setattr("runsync.model.times.utc_now", lambda: TODAY)
    for _ in range(2):
        export_to(bundle, small_source())
    assert [snapshot_id[-6:] for snapshot_id in bundle.snapshot_ids()] == ["00000a", "00000b"]


# Which dates are doubted.


def ids_of(days: list[float]) -> list[str]:
    return [f"{TODAY + timedelta(days=day):%Y%m%dT%H%M%S}.000Z-{number:06x}" for number, day in enumerate(days)]


@pytest.mark.parametrize(
    ("days", "doubted"),
    [
        ([], {}),
        ([-1], {}),
        ([0.04], {}),
        ([0.05], {0: FUTURE}),
        ([-3, -2, -1, 0], {}),
        ([-3, -2.97, -2.99, -1], {}),  # two machines, half an hour apart
        ([-3, -2.5, -2.6, -1], {1: OUT_OF_ORDER, 2: OUT_OF_ORDER}),
        ([-5, -4, -1.5, -3, -2], {2: OUT_OF_ORDER}),  # ahead once, and no longer in the future
        ([-5, -4, -30, -3, -2], {2: OUT_OF_ORDER}),
        ([-4, -30, -3, -2], {0: OUT_OF_ORDER, 1: OUT_OF_ORDER}),  # one of the first two, nobody knows which
        ([-4, -3, -2, -800, -800, -800, -800, -800, -1], dict.fromkeys(range(3, 8), OUT_OF_ORDER)),  # each boot in 2024
        ([-2, -1, 400, 401, 0], {2: FUTURE, 3: FUTURE}),
    ],
    ids=str,
)
def test_those_dates_are_doubted_without_which_the_rest_fits(days: list[float], doubted: dict[int, str]) -> None:
    ids = ids_of(days)
    found = {ids.index(one.id): one.problem for one in doubts(ids, TODAY)}
    assert found == doubted


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-900, 0), max_size=40))
def test_in_order_no_date_is_doubted_and_of_dates_in_disorder_what_is_left_is_in_order(days: list[float]) -> None:
    assert doubts(ids_of(sorted(days)), TODAY) == []
    ids = ids_of(days)
    left = set(ids) - {one.id for one in doubts(ids, TODAY)}
    again = [snapshot_id for snapshot_id in ids if snapshot_id in left]
    assert doubts(again, TODAY) == []


# What a wrong clock does to an export that goes on where one was killed.


def test_parts_that_a_killed_export_left_are_found_whatever_the_clock_of_an_earlier_night(
    bundle: Bundle, clock: Clock, tmp_path: Path
) -> None:
    night(bundle, clock, -2)
    night(bundle, clock, 400)
    wrong = (TODAY + timedelta(days=400)).timestamp()
    clock.set(0)
    older = (TODAY - timedelta(days=2)).timestamp()
    for file in tmp_path.rglob("*"):
        os.utime(file, (older, older))
    os.utime(tmp_path / f"bundle/snapshots/{bundle.snapshot_ids()[1]}.json", (wrong, wrong))
    left = small_source()
    left.runs[0] = dataclasses.replace(left.runs[0], params={"night": "left"})
    writer = SnapshotWriter(bundle)
    writer.finish = lambda not_carried: []  # type: ignore[method-assign]  # killed before its manifest
    transfer(TransferReport("export", left.place, writer.place), Wanted(left, Selection()), writer, 2, Silent())
    writer.store_held_back()
    parts = {entry.name for entry in bundle.store.list("parts/")}
    now = TODAY.timestamp()
    for name in parts - {p.runs.path for i in bundle.snapshot_ids() for p in bundle.manifest(i).parts}:
        os.utime(tmp_path / "bundle" / name, (now, now))
    stored = Reusable(bundle.store, {entry.name: entry.size for entry in bundle.store.list()}, frozenset())
    known = learn(bundle, stored, with_digests=False)
    assert len(known.runs["first"]) == 2
    again = small_source()
    again.runs[0] = left.runs[0]
    export_to(bundle, again)
    assert again.asked == []


# The clock of the place.


@pytest.mark.parametrize(("hours", "way"), [(-3, "(3h 0m|2h 59m) behind"), (5, "5h 0m ahead of"), (0, "")])
def test_an_export_to_s3_says_when_its_clock_is_not_that_of_s3(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, hours: int, way: str
) -> None:
    access = Access(s3=S3Options(bucket.endpoint))
    bundle = create_bundle(f"{bucket.url}/backup", access)
    monkeypatch.setattr("runsync.model.times.utc_now", lambda: datetime.now(UTC) + timedelta(hours=hours))
    source = small_source()
    writer = SnapshotWriter(bundle)
    transfer(TransferReport("export", source.place, writer.place), Wanted(source, Selection()), writer, 2, Silent())
    told = [line for line in writer.warnings if "this machine's clock is" in line]
    assert len(told) == (1 if way else 0)
    assert all(re.fullmatch(rf"this machine's clock is {way} that of {bundle.address}: .*", line) for line in told)


def test_on_a_disk_the_clock_of_the_file_system_is_compared(tmp_path: Path, clock: Clock) -> None:
    store = locate(create_bundle(tmp_path / "bundle").address).store
    clock.now = datetime.now(UTC) - timedelta(hours=2)
    ahead = store.ahead()
    assert ahead is not None
    assert abs(ahead - 7200) < 600
    with pytest.MonkeyPatch.context() as patch:  # the snapshot is made: a disk that is full by now does not undo it
        patch.setattr(store, "incoming", _refuse)
        assert store.ahead() is None
    (told,) = dates.warnings(Bundle(store), [], f"{clock.now:%Y%m%dT%H%M%S}.000Z-abcdef")
    assert told.startswith("this machine's clock is ")


def _refuse() -> None:
    raise NoRoom("No space left on device")
