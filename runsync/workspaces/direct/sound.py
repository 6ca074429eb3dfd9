"""Leaves out entities whose text is not valid Unicode, and names them."""

from collections.abc import Iterator
from typing import Generic

import orjson

from runsync.kinds.kind import E, Entity, Kind
from runsync.model.not_carried import NAMED, NotCarried

WHY = "they hold text that is not UTF-8"


class Sound(Generic[E]):
    """Of one kind. SQLite lets any bytes stand as text, which are read as surrogates."""

    def __init__(self, kind: Kind[E]) -> None:
        self._kind = kind
        self._odd: set[str] = set()

    def holds(self, item: E) -> bool:
        """Whether the entity can be read whole; if not, its name is kept for `left`."""
        if is_unicode(item):
            return True
        name = item.name or item.key[0]
        self._odd.add(name.encode(errors="surrogateescape").decode(errors="backslashreplace"))
        return False

    def among(self, items: Iterator[E]) -> Iterator[E]:
        """The entities that can be read whole."""
        return filter(self.holds, items)

    def left(self) -> list[NotCarried]:
        """The others."""
        return [self._kind.left(len(self._odd), WHY, tuple(sorted(self._odd)[:NAMED]))] if self._odd else []


def is_unicode(item: Entity) -> bool:
    """Whether it can be written as JSON."""
    try:
        orjson.dumps(item.to_document())
    except TypeError:
        return False
    return True
