"""What a source and a target of one kind of entity must do (see `runsync.kinds`)."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from runsync.errors import ITEM_ERRORS
from runsync.kinds.kind import Entity
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile

E = TypeVar("E", bound=Entity)


AHEAD = 32
"""Entities that are completed before somebody has asked for them."""


@dataclass(frozen=True, slots=True)
class Completed(Generic[E]):
    """A complete entity, or as it was listed with the `error` that stood in the way."""

    item: E
    error: Exception | None = None


def one_by_one(complete: Callable[[E], E], items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
    """Each completed by a call of its own, some side by side, in their order."""

    def act(item: E) -> Completed[E]:
        try:
            return Completed(complete(item))
        except ITEM_ERRORS as error:
            return Completed(item, error)

    running: deque[Future[Completed[E]]] = deque()
    for item in items:
        running.append(pool.submit(act, item))
        if len(running) > AHEAD:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


class EntitySource(Protocol[E]):
    """Yields the entities of one kind. Methods may be called from several threads.

    What has a body here is right where a listing tells all, and there are no bytes beside it.
    """

    @property
    def is_exact(self) -> bool:
        """Whether all that was carried here is here as it was, as in a bundle; else it may be changed or left out.
        Then a listing tells of files too, and one without any was stored without them."""
        return False

    def list(self, scope: Scope) -> Iterator[E]:
        """Those that are meant, each once, told as cheaply as may be. Raises BundleDamaged, RequestRefused."""

    def complete(self, item: E) -> E:
        """With all that is to be told of it but its bytes. Raises RequestRefused."""
        return item

    def complete_many(self, items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """Each of them complete, or why it cannot be, in their order; a few ahead of who asks. What cannot be read of
        one must not take others along."""
        return one_by_one(self.complete, items, pool)

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """The bytes of a complete one, and what of it they really are. Raises RequestRefused, BundleDamaged."""
        return item, iter(())

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of a file of a complete one, of a kind that has files. Raises RequestRefused, BundleDamaged."""

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What is named and not listed."""
        return ()


@runtime_checkable
class MayLackTheKind(Protocol):
    """The part of a source that finds out by listing whether its place has the kind at all, as servers do."""

    @property
    def lacks_kind(self) -> bool:
        """Whether the last listing found that it has not: an older server, or a proxy that lets nothing through."""


def tells_deletions(side: EntitySource[E]) -> bool:
    """Whether what a source has just not listed is gone from it."""
    return not (isinstance(side, MayLackTheKind) and side.lacks_kind)


class _Completes(Protocol[E]):
    def complete(self, item: E) -> E: ...


class OneByOne:
    """The part of a source that reads what is to be told of one entity after the other."""

    def complete_many(self: _Completes[E], items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """See `EntitySource`."""
        return one_by_one(self.complete, items, pool)


class WithoutFiles:
    """The part of a source whose kind has no files."""

    def read_file(self, item: object, file: ArtifactFile) -> Iterator[bytes]:
        """There are none to read."""
        raise NotImplementedError


class EntityTarget(Protocol[E]):
    """Takes the entities of one kind, once all runs are in, and all of the kinds that it requires; some at a time."""

    def plan(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> list[Outcome]:
        """What would be done with these, in no order; reads, but writes nothing."""

    def put(self, items: Sequence[E], source: EntitySource[E], pool: Executor, progress: Progress) -> list[Outcome]:
        """Does it. One entity's failure is an outcome, as with runs."""

    def finish(self, pool: Executor) -> list[Outcome]:
        """Does what can only be done once all of them are in."""
        return []

    def left(self) -> list[NotCarried]:
        """What of them has no place in the target, or is not there any more at the source."""
        return []
