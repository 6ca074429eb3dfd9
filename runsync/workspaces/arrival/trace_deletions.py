"""What a sync does in a target about traces that were deleted at the source.

As with models (see `arrival.model_deletions`): they are told, and followed when that is asked for; only what was
brought from this very source, into experiments that it still has, and none at all when it is too much.

Only what is to be followed is looked for before anything is written. What is only told is known once all was carried,
and takes no listing of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from runsync.contract.entities import EntitySource, EntityTarget, tells_deletions
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, TooManyDeletions, may_pass
from runsync.kinds.left_behind import changed
from runsync.kinds.scope import Scope
from runsync.kinds.trace_filter import OPTION
from runsync.kinds.traces import TRACES, Trace
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.progress import Progress
from runsync.model.provenance import key_of
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import address_of
from runsync.workspaces.arrival.document_deletions import Pairs

TOGETHER = 100
"""Traces that are deleted by one request, or in one transaction."""


class TraceHoldings(Protocol):
    """The traces of a target."""

    def copies(self, experiment_ids: Sequence[str], key: str) -> Iterator[tuple[str, str]]:
        """The ids of those in experiments, and of these, that were brought from the workspace of a key. Raises
        RequestRefused where not all are told."""

    def delete(self, experiment_id: str, trace_ids: Sequence[str]) -> None:
        """Deletes some of an experiment, for good; one that is not there is no fault. Raises RequestRefused."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is looked at once all was carried: the source, and the experiments of the target."""

    source: Source
    homes: Sequence[str]


class TraceDeletions:
    """The deletions of one transfer. Without `holdings` the target has no traces. `asked` are options of kinds."""

    def __init__(
        self, policy: DeletionPolicy, holdings: TraceHoldings | None, pairs: Pairs, asked: Mapping[str, Any]
    ) -> None:
        self._policy = policy
        self._holdings = holdings
        self._pairs = pairs
        self._asked = asked
        self._gone: dict[str, str] = {}
        """Experiments in the target, by the ids of traces."""
        self._offered: set[str] = set()
        self._waiting: _Waiting | None = None
        self._is_unread = False
        self._is_done = False

    def begin(
        self, source: Source, selection: Selection, experiments: Sequence[Experiment], existing: Sequence[Experiment]
    ) -> None:
        """Finds what is gone, if that is to be deleted; `existing` are the experiments of the target. Raises
        TooManyDeletions before anything is deleted."""
        side = source.entities(TRACES)
        if self._policy.replays or selection.is_narrow or not selection.has(TRACES.name) or side is None:
            return
        alive = [e for e in experiments if e.lifecycle_stage == ACTIVE]
        ids = {e.experiment_id for e in alive}
        homes = [e.experiment_id for e in existing if self._pairs.source_id(e.experiment_id) in ids]
        if self._policy.brake is None and not self._asked.get(OPTION):
            self._waiting = _Waiting(source, homes)
            return
        copies = self._copies(homes, source)
        if not copies:
            return
        self._is_unread = True
        with suppress(BundleDamaged, *ITEM_ERRORS):
            known = {trace.trace_id for trace in side.list(Scope(alive, linked_runs=frozenset()))}
            self._compare(copies, known, side)
        brake = self._policy.brake
        if brake is not None and not brake.allows(len(self._gone), len(copies)):
            raise TooManyDeletions(
                f"{len(self._gone)} of {many(len(copies), TRACES.noun)} from {source.place.address} would be deleted, "
                f"more than --max-delete {brake} allows: nothing was written; if the source is as it should be, say "
                f"--max-delete {len(self._gone)}"
            )

    def watching(self, target: EntityTarget[Any]) -> EntityTarget[Any]:
        """The target of traces, that takes note of those that the source has."""
        return _Watched(target, self._offered)

    @property
    def are_due(self) -> bool:
        """Whether any are to be followed."""
        return self._policy.brake is not None and bool(self._gone)

    def finish(self) -> list[Outcome]:
        """Deletes them, if that was asked for."""
        self._is_done = True
        failed = []
        by_home: dict[str, list[str]] = defaultdict(list)
        for id, home in self._gone.items() if self.are_due else ():
            by_home[home].append(id)
        for home, ids in by_home.items():
            waiting = iter(ids)
            while some := list(islice(waiting, TOGETHER)):
                try:
                    if self._holdings is not None:
                        self._holdings.delete(home, some)
                except ITEM_ERRORS as error:
                    retry = may_pass(error)
                    failed += [Outcome(TRACES.noun, id, id, FAILED, id, error=str(error), retry=retry) for id in some]
        return failed

    def left(self) -> list[NotCarried]:
        """Deletions that were not followed."""
        self._look()
        if self._policy.brake is not None or not self._gone:
            return []
        why = "deleted at the source; left so in the target without --delete"
        return [changed(f"deletions of {TRACES.category.title}", len(self._gone), why, tuple(self._gone)[:NAMED])]

    def notes(self) -> list[str]:
        """Deletions that were, or would be, followed."""
        notes = []
        if self.are_due:
            done = "deleted in the target, as at the source" if self._is_done else "would be deleted in the target"
            more = f" and {len(self._gone) - NAMED:,} more" if len(self._gone) > NAMED else ""
            named = ", ".join(islice(self._gone, NAMED))
            notes.append(f"{many(len(self._gone), TRACES.noun)} {done}: {named}{more}")
        if self._is_unread:
            title = TRACES.category.title
            notes.append(f"not taken for deleted, as the source does not tell all of them: {title}")
        return notes

    def _look(self) -> None:
        """Finds what is gone, once all was carried."""
        waiting, self._waiting = self._waiting, None
        side = waiting.source.entities(TRACES) if waiting is not None else None
        if waiting is None or side is None:
            return
        copies = self._copies(waiting.homes, waiting.source)
        self._is_unread = bool(copies)
        self._compare(copies, self._offered, side)

    def _compare(self, copies: Mapping[str, str], known: Set[str], side: EntitySource[Trace]) -> None:
        if tells_deletions(side) and not side.left_behind(Scope()):
            self._is_unread = False
            self._gone = {id: home for id, home in copies.items() if id not in known}

    def _copies(self, homes: Sequence[str], source: Source) -> dict[str, str]:
        """What was brought from this source, with its experiment in the target."""
        found: dict[str, str] = {}
        with suppress(*ITEM_ERRORS):
            if self._holdings is not None and homes:
                found.update(self._holdings.copies(homes, key_of(address_of(source.place))))
        return found


class _Watched:
    """See `EntityTarget`."""

    def __init__(self, target: EntityTarget[Trace], offered: set[str]) -> None:
        self._target = target
        self._offered = offered

    def plan(self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor) -> list[Outcome]:
        self._offered.update(item.trace_id for item in items)
        return self._target.plan(items, source, pool)

    def put(
        self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        self._offered.update(item.trace_id for item in items)
        return self._target.put(items, source, pool, progress)

    def finish(self, pool: Executor) -> list[Outcome]:
        return self._target.finish(pool)

    def left(self) -> list[NotCarried]:
        return self._target.left()
