"""What a server lists that cannot be: runs of another form, of other experiments, that were not asked for, twice."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from runsync.model.run import UNTOLD, Run, Unreadable
from runsync.model.wording import many

NAMED = 5
"""Ids in a note."""


class Oddities:
    """Of one server. Runs that cannot be read fail by themselves; of a run that comes again one copy is kept."""

    def __init__(self) -> None:
        self._unreadable: dict[str, Unreadable] = {}
        self._again: Counter[str] = Counter()
        self._unasked = 0
        self._is_unordered = False

    @property
    def notes(self) -> list[str]:
        """What else than the runs that were asked for it listed, and in which order."""
        told = []
        if self._again:
            few = ", ".join(list(self._again)[:NAMED]) + (" …" if len(self._again) > NAMED else "")
            count = many(len(self._again), "run")
            told.append(f"the server listed {count} more than once: one copy of each was taken ({few})")
        if self._unasked:
            told.append(f"the server ignores filters: {many(self._unasked, 'run')} that it listed too left out")
        if self._is_unordered:
            told.append("the server ignores the order or the bounds of start time: all of its pages were read instead")
        return told

    def asked_for(
        self, runs: Iterable[Run], is_meant: Callable[[Run], bool], is_likely: Callable[[Run], bool]
    ) -> Iterator[Run]:
        """Those that a search was for. Of the others, none is told that a server which heeds filters may list."""
        for run in runs:
            if is_meant(run):
                yield run
            elif not is_likely(run):
                self._unasked += 1

    def is_ordered(self, runs: Sequence[Run], since: int | None, descending: bool) -> bool:
        """Whether a page is by start time, and begins where it was asked to. If not, that is kept to be told."""
        sign = -1 if descending else 1
        times = [sign * run.start_time for run in runs if run.start_time is not None]
        bound = times[:1] if since is None else [sign * since]
        if all(a <= b for a, b in pairwise([*bound, *times])):
            return True
        self._is_unordered = True
        return False

    def sound(self, runs: Iterable[Run], odd: Iterable[Unreadable], experiment_ids: Collection[str]) -> list[Run]:
        """The runs of a page that can be taken, each once. The others are kept to be told."""
        asked, found = frozenset(experiment_ids), dict[str, Run]()
        self._unreadable.update((one.id if one.id != UNTOLD else one.reason, one) for one in odd)
        for run in runs:
            if run.run_id in found:
                self._again[run.run_id] += 1
            elif run.experiment_id not in asked:
                why = f"the server lists it in other experiments than its own, which is {run.experiment_id}"
                self._unreadable[run.run_id] = Unreadable(run.run_id, "on the server", why)
            else:
                found[run.run_id] = run
        return list(found.values())

    def once(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Each run once, though it was changed meanwhile and came again on another page."""
        seen: set[str] = set()
        for run in runs:
            if run.run_id in seen:
                self._again[run.run_id] += 1
            else:
                seen.add(run.run_id)
                yield run

    def untold(self, told: set[str]) -> tuple[Unreadable, ...]:
        """What cannot be read, and is not among those `told`, which it joins."""
        fresh = [run_id for run_id in self._unreadable if run_id not in told]
        told.update(fresh)
        return tuple(self._unreadable[run_id] for run_id in fresh)
