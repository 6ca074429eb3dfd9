"""A source of which some texts are replaced before anything else sees them (`--redact`)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Generic

from runsync.contract.entities import Completed, EntitySource
from runsync.kinds.kind import E, Kind
from runsync.kinds.redaction import NAME, Redaction, Redactor
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile


def redacted(kind: Kind[E], side: EntitySource[E] | None, scope: Scope) -> EntitySource[E] | None:
    """The same side, redacted where that is asked for."""
    redaction = scope.asked.get(NAME)
    return Redacted(kind, side, redaction) if side is not None and isinstance(redaction, Redaction) else side


@dataclass(frozen=True)
class Redacted(Generic[E]):
    """See `EntitySource`."""

    kind: Kind[E]
    side: EntitySource[E]
    redaction: Redaction

    @property
    def is_exact(self) -> bool:
        """That of the side."""
        return self.side.is_exact

    def list(self, scope: Scope) -> Iterator[E]:
        """See `EntitySource`."""
        return map(self._redacted, self.side.list(scope))

    def complete(self, item: E) -> E:
        """See `EntitySource`."""
        return self._redacted(self.side.complete(item))

    def complete_many(self, items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """See `EntitySource`."""
        for done in self.side.complete_many(items, pool):
            yield replace(done, item=self._redacted(done.item))

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """See `EntitySource`."""
        return self.side.read(item)

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        return self.side.read_file(item, file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """See `EntitySource`."""
        return self.side.left_behind(scope)

    def _redacted(self, item: E) -> E:
        redactor = Redactor(self.redaction.rules)
        found = self.kind.redacted(item, redactor)
        self.redaction.note(self.kind.name, item.key, redactor.count)
        return found
