"""Dates of snapshots that cannot be right: a clock was wrong when they were made. Pure, but for `warnings`."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from runsync.bundle import layout
from runsync.bundle.bundle import Bundle
from runsync.model import times

TOLERANCE = timedelta(hours=1)
"""Clocks differ by less than that."""
WORTH_A_WARNING = 300.0
"""Seconds between this machine's clock and that of the place where the bundle is, above which an export says so."""
FUTURE = "future"
OUT_OF_ORDER = "out of order"
WORDS: Mapping[str, str] = {
    FUTURE: "dated in the future",
    OUT_OF_ORDER: "its date does not fit those before and after it",
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """A snapshot whose date cannot be right, and why: `problem` is one of WORDS. `date` is ISO 8601 in UTC."""

    id: str
    date: str
    problem: str

    def __str__(self) -> str:
        return f"{self.id}: {WORDS[self.problem]}"


def doubts(snapshot_ids: Iterable[str], now: datetime | None = None) -> list[Doubt]:
    """Of the snapshots of a bundle, given oldest first, those with a date in the future or out of order.

    Where dates contradict the order, as few days as possible are doubted, and all of them where that leaves a choice.
    """
    limit = (now or times.utc_now()) + TOLERANCE
    dated = [(snapshot_id, layout.date_of(snapshot_id)) for snapshot_id in snapshot_ids]
    past = [(snapshot_id, date) for snapshot_id, date in dated if date <= limit]
    misfits = _misfits([date for _, date in past])
    problems = {past[number][0]: OUT_OF_ORDER for number in misfits}
    problems |= {snapshot_id: FUTURE for snapshot_id, date in dated if date > limit}
    return [Doubt(i, times.iso(layout.time_of(i)), problems[i]) for i, _ in dated if i in problems]


def warnings(bundle: Bundle, older: Sequence[str], made: str) -> list[str]:
    """What an export says after it made a snapshot: dates in the future, its own date, a clock that is wrong now."""
    found = [one for one in doubts([*older, made]) if one.problem == FUTURE or one.id == made]
    told = [
        f"snapshot {one}. The clock was wrong when it was made. No retention rule counts or removes it: forget "
        f"{bundle.address}@{one.id} when it is no longer needed"
        for one in found
    ]
    if found and {one.id for one in found} >= set(older):
        told = [f"snapshot {made} has a date before that of all {len(older)} older ones: set this machine's clock"]
    ahead = bundle.store.ahead()
    if ahead is not None and abs(ahead) > WORTH_A_WARNING:
        apart, way = times.duration(round(abs(ahead) * 1000)), "behind" if ahead > 0 else "ahead of"
        told.append(f"this machine's clock is {apart} {way} that of {bundle.address}: set it, for it dates snapshots")
    return told


def _misfits(dates: Sequence[datetime]) -> list[int]:
    """Which dates do not fit: those that contradict a longest chain of growing days, and are not in all such chains.

    Of two dates that contradict only each other nobody can say which is wrong: both are misfits.
    """
    days = [date.toordinal() for date in dates]
    places = _chain_lengths(days)
    after = _chain_lengths([-day for day in reversed(days)])[::-1]
    longest = max(places, default=0)
    in_some = [here + there - 1 == longest for here, there in zip(places, after, strict=True)]
    rivals = Counter(place for place, is_in in zip(places, in_some, strict=True) if is_in)
    contradicted = _contradicted(dates, in_some)
    return [n for n, wrong in enumerate(contradicted) if wrong and not (in_some[n] and rivals[places[n]] == 1)]


def _chain_lengths(values: Sequence[int]) -> list[int]:
    """For each value, the length of the longest strictly growing part of the sequence that ends with it."""
    ends: list[int] = []  # by length, the smallest value that ends a growing part of that length
    lengths = []
    for value in values:
        length = bisect_left(ends, value)
        ends[length : length + 1] = [value]
        lengths.append(length + 1)
    return lengths


def _contradicted(dates: Sequence[datetime], witnesses: Sequence[bool]) -> list[bool]:
    """Whether a witness before it has a later date, or one after it an earlier one."""
    latest_before = accumulate(
        (date if is_one else datetime.min.replace(tzinfo=UTC) for date, is_one in zip(dates, witnesses, strict=True)),
        max,
    )
    earliest_after = accumulate(
        (
            date if is_one else datetime.max.replace(tzinfo=UTC)
            for date, is_one in zip(reversed(dates), reversed(witnesses), strict=True)
        ),
        min,
    )
    bounds = zip(dates, latest_before, reversed(list(earliest_after)), strict=True)
    return [latest - date > TOLERANCE or date - earliest > TOLERANCE for date, latest, earliest in bounds]
