"""Which document of a target is the counterpart of which one of the source."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Generic

from runsync.kinds.document import D, DocumentKind
from runsync.kinds.kind import Key


class Counterparts(Generic[D]):
    """What is there, each of which is the counterpart of one item: by the id with which it was born, else by its place.
    Of several in one place those that say the same are of each other."""

    def __init__(self, kind: DocumentKind[D], there: Sequence[D], pairs: Sequence[tuple[D, D]]) -> None:
        """Of pairs of an item and how it reads in the target."""
        self._kind = kind
        born = {item.born_as: item for item in there}
        self._of = {item.key: born[item.born_as] for item, _ in pairs if item.born_as in born}
        taken = {item.key for item in self._of.values()}
        places: dict[Key, list[D]] = defaultdict(list)
        for item in there:
            if item.key not in taken and item.born_as == item.key[0]:
                places[kind.place(item)].append(item)
        looked_for: dict[Key, list[tuple[D, D]]] = defaultdict(list)
        for item, wanted in pairs:
            if item.key not in self._of:
                looked_for[kind.place(wanted)].append((item, wanted))
        for place, some in looked_for.items():
            self._pair(some, places[place])

    def of(self, item: D) -> D | None:
        """The counterpart of one."""
        return self._of.get(item.key)

    def _pair(self, some: Sequence[tuple[D, D]], there: list[D]) -> None:
        rest = (
            some if len(there) < 2 else [(item, wanted) for item, wanted in some if not self._took(item, wanted, there)]
        )
        for (item, _), each in zip(rest, there, strict=False):
            self._of[item.key] = each

    def _took(self, item: D, wanted: D, there: list[D]) -> bool:
        """Whether there is one that says the same, which is then no other one's."""
        for each in there:
            if not any(self._kind.lacks(wanted, each)):
                self._of[item.key] = each
                there.remove(each)
                return True
        return False
