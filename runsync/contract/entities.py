"""What a source and a target of one kind of entity must do (see `runsync.kinds`)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeVar

from runsync.kinds.kind import Entity
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile

E = TypeVar("E", bound=Entity)


class EntitySource(Protocol[E]):
    """Yields the entities of one kind. Methods may be called from several threads."""

    @property
    def is_exact(self) -> bool:
        """Whether all that was carried here is here as it was, as in a bundle; else it may be changed or left out."""

    def list(self, scope: Scope) -> Iterator[E]:
        """Those that are meant, each once, told as cheaply as may be. Raises BundleDamaged, RequestRefused."""

    def complete(self, item: E) -> E:
        """With all that is to be told of it but its bytes. Raises RequestRefused."""

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """The bytes of a complete one, and what of it they really are. Raises RequestRefused, BundleDamaged."""

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of a file of a complete one, of a kind that has files. Raises RequestRefused, BundleDamaged."""

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What is named and not listed."""


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

    def left(self) -> list[NotCarried]:
        """What of them has no place in the target, or is not there any more at the source."""
