"""Leaves out entities that cannot be read, or whose text is not valid Unicode, and names them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
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

    def left(self, unreadable: Mapping[str, str]) -> list[NotCarried]:
        """The others, and those that the store itself cannot read (why, by name)."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, why in (*dict.fromkeys(self._odd, WHY).items(), *unreadable.items()):
            names[why].append(name)
        return [self._kind.left(len(some), why, tuple(sorted(some)[:NAMED])) for why, some in sorted(names.items())]


def is_unicode(item: Entity) -> bool:
    """Whether it can be written as JSON."""
    try:
        orjson.dumps(item.to_document())
    except TypeError:
        return False
    return True
