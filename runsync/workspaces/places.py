"""Where the files of models and traces lie, as lists told it: the last few thousand are remembered."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from runsync.kinds.kind import Key

KEPT = 5000

T = TypeVar("T")


class Places(Generic[T]):
    """Places by the keys of what lies there; `look_up` finds one that is not remembered. Safe for many threads."""

    def __init__(self, look_up: Callable[[Key], T]) -> None:
        self._look_up = look_up
        self._known: OrderedDict[Key, T] = OrderedDict()
        self._lock = Lock()

    def note(self, key: Key, place: T) -> None:
        """Remembers one."""
        with self._lock:
            self._known[key] = place
            self._known.move_to_end(key)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def of(self, key: Key) -> T:
        """Raises RequestRefused where nothing is there."""
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = self._look_up(key)
            self.note(key, known)
        return known
