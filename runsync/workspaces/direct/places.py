"""Where the files of models lie, as lists told it: the last few thousand are remembered."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from runsync.kinds.kind import Key

KEPT = 5000


class Places:
    """URIs by the keys of what lies there; `look_up` finds one that is not remembered. Safe for many threads."""

    def __init__(self, look_up: Callable[[Key], str]) -> None:
        self._look_up = look_up
        self._known: OrderedDict[Key, str] = OrderedDict()
        self._lock = Lock()

    def note(self, key: Key, uri: str) -> None:
        """Remembers one."""
        with self._lock:
            self._known[key] = uri
            self._known.move_to_end(key)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def of(self, key: Key) -> str:
        """Raises RequestRefused where nothing is there."""
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = self._look_up(key)
            self.note(key, known)
        return known
