"""What a server lists that cannot be: runs of another form, runs of other experiments, the same run again."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from runsync.model.run import Run, Unreadable
from runsync.model.wording import many

NAMED = 5
"""Ids in a note."""


class Oddities:
    """Of one server. Runs that cannot be read fail by themselves; of a run that comes again one copy is kept."""

    def __init__(self) -> None:
        self._unreadable: dict[str, Unreadable] = {}
        self._again: Counter[str] = Counter()

    @property
    def notes(self) -> list[str]:
        """Which runs came more than once."""
        if not self._again:
            return []
        few = ", ".join(list(self._again)[:NAMED]) + (" …" if len(self._again) > NAMED else "")
        return [f"the server listed {many(len(self._again), 'run')} more than once: one copy of each was taken ({few})"]

    def sound(self, runs: Iterable[Run], odd: Iterable[Unreadable], experiment_ids: Collection[str]) -> list[Run]:
        """The runs of a page that can be taken, each once. The others are kept to be told."""
        asked, found = frozenset(experiment_ids), dict[str, Run]()
        self._unreadable.update((one.id, one) for one in odd)
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
