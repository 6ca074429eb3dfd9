"""What a sync does in a target about traces that were deleted at the source.

As with models (see `arrival.model_deletions`): they are told, and followed when that is asked for; only what was
brought from this very source, into experiments that it still has, and none at all when it is too much.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from runsync.contract.entities import tells_deletions
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, TooManyDeletions, may_pass
from runsync.kinds.left_behind import changed
from runsync.kinds.scope import Scope
from runsync.kinds.traces import TRACES, Trace
from runsync.model import brought
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.provenance import key_of
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import address_of
from runsync.workspaces.arrival.document_deletions import Pairs

TOGETHER = 100
"""Traces that are deleted by one request, or in one transaction."""


class TraceHoldings(Protocol):
    """The traces of a target."""

    def held(self, experiment_ids: Sequence[str]) -> Iterator[Trace]:
        """Those of experiments, without spans. Raises RequestRefused."""

    def delete(self, experiment_id: str, trace_ids: Sequence[str]) -> None:
        """Deletes some of an experiment, for good; one that is not there is no fault. Raises RequestRefused."""


class TraceDeletions:
    """The deletions of one transfer. Without `holdings` the target has no traces."""

    def __init__(self, policy: DeletionPolicy, holdings: TraceHoldings | None, pairs: Pairs) -> None:
        self._policy = policy
        self._holdings = holdings
        self._pairs = pairs
        self._gone: dict[str, str] = {}
        """Experiments in the target, by the ids of traces."""
        self._is_unread = False
        self._is_done = False

    def begin(
        self, source: Source, selection: Selection, experiments: Sequence[Experiment], existing: Sequence[Experiment]
    ) -> None:
        """Finds what is gone; `existing` are the experiments of the target. Raises TooManyDeletions before anything is
        deleted."""
        side = source.entities(TRACES)
        if self._policy.replays or selection.is_narrow or not selection.has(TRACES.name) or side is None:
            return
        alive = {e.experiment_id for e in experiments if e.lifecycle_stage == ACTIVE}
        homes = [e.experiment_id for e in existing if self._pairs.source_id(e.experiment_id) in alive]
        copies = self._copies(homes, key_of(address_of(source.place)))
        if not copies:
            return
        scope = Scope([e for e in experiments if e.experiment_id in alive], linked_runs=frozenset())
        self._is_unread = True
        with suppress(BundleDamaged, *ITEM_ERRORS):
            known = {trace.trace_id for trace in side.list(scope)}
            if tells_deletions(side) and not side.left_behind(scope):
                self._is_unread = False
                self._gone = {id: home for id, home in copies.items() if id not in known}
        brake = self._policy.brake
        if brake is not None and not brake.allows(len(self._gone), len(copies)):
            raise TooManyDeletions(
                f"{len(self._gone)} of {many(len(copies), TRACES.noun)} from {source.place.address} would be deleted, "
                f"more than --max-delete {brake} allows: nothing was written; if the source is as it should be, say "
                f"--max-delete {len(self._gone)}"
            )

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

    def _copies(self, homes: Sequence[str], key: str) -> dict[str, str]:
        """What was brought from this source, with its experiment in the target."""
        found: dict[str, str] = {}
        with suppress(*ITEM_ERRORS):
            for trace in self._holdings.held(homes) if self._holdings is not None and homes else ():
                if brought.came_from(trace.tags) == key:
                    found[trace.trace_id] = trace.experiment_id
        return found
