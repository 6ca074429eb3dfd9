"""Dates of snapshots that cannot be right: a clock was wrong when they were made. Pure, but for `warnings`."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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

    Where dates contradict the order, those are doubted without which the rest fits: as few days as can be.
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
    """Which dates do not fit: those off the longest chain of growing days, and not between their neighbours in it."""
    chain = _longest_growing([date.toordinal() for date in dates])
    misfits, following = [], 0
    for number, date in enumerate(dates):
        while following < len(chain) and chain[following] < number:
            following += 1
        is_late = following < len(chain) and date > dates[chain[following]] + TOLERANCE
        is_early = following > 0 and date < dates[chain[following - 1]] - TOLERANCE
        if is_late or is_early:
            misfits.append(number)
    return misfits


def _longest_growing(values: Sequence[int]) -> list[int]:
    """The indices of a longest strictly growing part of a sequence."""
    ends: list[int] = []  # by length, the index of the smallest value that ends a growing part of that length
    before: list[int] = []
    for number, value in enumerate(values):
        length = bisect_left(ends, value, key=lambda index: values[index])
        before.append(ends[length - 1] if length else -1)
        ends[length : length + 1] = [number]
    chain = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(number)
        number = before[number]
    return chain[::-1]
