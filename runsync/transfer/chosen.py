"""The entities of a source that were chosen by what they say, such as by `--trace-filter`."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from typing import Generic

from runsync import threads
from runsync.contract.entities import Completed, EntitySource
from runsync.kinds.kind import Choice, E, Kind
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.threads import WORKERS

TOGETHER = 200
"""Entities that are completed before it is known whether they are meant."""


def chosen(
    kind: Kind[E], side: EntitySource[E] | None, scope: Scope, unread: Callable[[E, Exception], bool] | None = None
) -> EntitySource[E] | None:
    """The same side, listing only what is chosen. One of which that cannot be read is listed too, unless `unread` takes
    it (and says so)."""
    choice = kind.choice(scope)
    return Chosen(side, choice, unread) if side is not None and choice is not None else side


@dataclass(frozen=True)
class Chosen(Generic[E]):
    """See `EntitySource`."""

    side: EntitySource[E]
    choice: Choice[E]
    unread: Callable[[E, Exception], bool] | None = None

    @property
    def is_exact(self) -> bool:
        """That of the side."""
        return self.side.is_exact

    def list(self, scope: Scope) -> Iterator[E]:
        """As cheaply as the side tells them, also those that had to be completed."""
        if self.choice.needs_others:
            for item in self.side.list(scope):
                self.choice.note(item)
        found = (item for item in self.side.list(scope) if self.choice.may_match(item))
        if not self.choice.needs_complete:
            yield from found
            return
        while some := list(islice(found, TOGETHER)):
            with threads.pool(WORKERS, "runsync-request") as pool:
                done = zip(some, self.side.complete_many(some, pool), strict=True)
                meant = [item for item, one in done if self._is_meant(item, one)]
            yield from meant

    def _is_meant(self, item: E, done: Completed[E]) -> bool:
        if done.error is not None:
            return self.unread is None or not self.unread(item, done.error)
        return self.choice.matches(done.item)

    def complete(self, item: E) -> E:
        """See `EntitySource`."""
        return self.side.complete(item)

    def complete_many(self, items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """See `EntitySource`."""
        return self.side.complete_many(items, pool)

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        return self.side.read(item)

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self.side.read_file(item, file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        return self.side.left_behind(scope)
