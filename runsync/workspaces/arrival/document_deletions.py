"""What a sync does in a target about documents (see `arrival.documents`) that were deleted at the source.

As with models (see `arrival.model_deletions`): they are told, and followed when that is asked for; only what was
brought from this very source, as the marks on its experiments tell, and none at all when it is too much.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from runsync.contract.entities import tells_deletions
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, TooManyDeletions, may_pass
from runsync.kinds.document import DocumentKind
from runsync.kinds.left_behind import changed
from runsync.kinds.scope import Scope
from runsync.model.deletions import DeletionPolicy
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.experiment_marks import Mark, marks
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import FAILED, Outcome
from runsync.model.provenance import key_of
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.arrival.copy import address_of
from runsync.workspaces.documents import Stores

Found = Mapping[DocumentKind[Any], Sequence[tuple[str, Mark]]]
"""Marks with the ids of their experiments in the target."""


class Pairs(Protocol):
    """Which experiment of the target is which of the source."""

    def source_id(self, target_id: str) -> str:
        """The id at the source; "" where there is none."""


class DocumentDeletions:
    """The deletions of one transfer. `existing` are the experiments of the target, `untag` takes tags from one."""

    def __init__(
        self,
        policy: DeletionPolicy,
        stores: Stores,
        pairs: Pairs,
        existing: Callable[[], Iterable[Experiment]],
        untag: Callable[[str, Sequence[str]], None],
    ) -> None:
        self._policy = policy
        self._stores = stores
        self._pairs = pairs
        self._existing = existing
        self._untag = untag
        self._gone: Found = {}
        self._unread: list[str] = []
        self._is_done = False

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> None:
        """Finds what is gone. Raises TooManyDeletions before anything is deleted."""
        if self._policy.replays or selection.is_narrow:
            return
        key = key_of(address_of(source.place))
        alive = {e.experiment_id for e in experiments if e.lifecycle_stage == ACTIVE}
        copies = {kind: list(self._copies(kind, key, alive)) for kind in self._stores if selection.has(kind.name)}
        scope = Scope.of(selection, experiments, {})
        self._gone = {kind: self._missing(kind, some, source, scope) for kind, some in copies.items() if some}
        going, there = (sum(map(len, of.values())) for of in (self._gone, copies))
        brake = self._policy.brake
        if brake is not None and not brake.allows(going, there):
            what = ", ".join(kind.category.title for kind, some in self._gone.items() if some)
            raise TooManyDeletions(
                f"{going} of {there} {what} from {source.place.address} would be deleted, more than --max-delete "
                f"{brake} allows: nothing was written; if the source is as it should be, say --max-delete {going}"
            )

    @property
    def are_due(self) -> bool:
        """Whether any are to be followed."""
        return self._policy.brake is not None and any(self._gone.values())

    def finish(self) -> list[Outcome]:
        """Deletes them, if that was asked for."""
        self._is_done = True
        failed = []
        for kind, some in self._gone.items() if self.are_due else ():
            for home, mark in some:
                try:
                    self._stores[kind].delete(home, mark.here)
                    if home:
                        self._untag(home, list(mark.tag))
                except ITEM_ERRORS as error:
                    told = (kind.noun, mark.origin, mark.here, FAILED, mark.here)
                    failed.append(Outcome(*told, error=str(error), retry=may_pass(error)))
        return failed

    def left(self) -> list[NotCarried]:
        """Deletions that were not followed."""
        if self._policy.brake is not None:
            return []
        why = "deleted at the source; left so in the target without --delete"
        told = ((kind, tuple(sorted(mark.here for _, mark in some))) for kind, some in self._gone.items() if some)
        return [changed(f"deletions of {kind.category.title}", len(ids), why, ids[:NAMED]) for kind, ids in told]

    def notes(self) -> list[str]:
        """Deletions that were, or would be, followed."""
        notes = []
        done = "deleted in the target, as at the source" if self._is_done else "would be deleted in the target"
        for kind, some in self._gone.items() if self.are_due else ():
            if some:
                notes.append(f"{many(len(some), kind.noun)} {done}: {', '.join(mark.here for _, mark in some[:NAMED])}")
        if self._unread:
            notes.append(f"not taken for deleted, as the source does not tell all of them: {', '.join(self._unread)}")
        return notes

    def _copies(self, kind: DocumentKind[Any], key: str, alive: set[str]) -> Iterator[tuple[str, Mark]]:
        """What was brought from this source into experiments that it still has, or beside them."""
        if kind.has_own_marks:
            with suppress(*ITEM_ERRORS):
                for item in self._stores[kind].listed(list(self._existing()), is_asked=True):
                    if item.came_from == key:
                        yield "", Mark(kind.schema, item.born_as, item.key[0], key)
            return
        for experiment in self._existing():
            home = experiment.experiment_id
            if experiment.lifecycle_stage == ACTIVE and self._pairs.source_id(home) in alive:
                yield from ((home, mark) for mark in marks(experiment, kind.schema) if mark.came_from == key)

    def _missing(
        self, kind: DocumentKind[Any], copies: Sequence[tuple[str, Mark]], source: Source, scope: Scope
    ) -> Sequence[tuple[str, Mark]]:
        side = source.entities(kind)
        if side is not None:
            with suppress(BundleDamaged, *ITEM_ERRORS):
                known = {id for item in side.list(scope) for id in (item.key[0], *kind.origin(item))}
                if tells_deletions(side) and not side.left_behind(scope):
                    return [(home, mark) for home, mark in copies if mark.origin not in known]
        self._unread.append(kind.category.title)
        return ()
