"""A store that stops, as it does for a process that is killed: at a chosen write, and from then on for every call."""

from collections.abc import Callable, Iterator
from threading import Lock
from typing import IO, TypeVar

from runsync.bundle.store import MOST, Entry, Incoming, Store
from runsync.model.stored_object import StoredObject

T = TypeVar("T")


class Stopped(BaseException):
    """Nothing catches it: the process is gone."""


class StoppingStore:
    """Counts moments, one before and one after each write; at that of number `stop_at` (from 0) it stops."""

    def __init__(self, store: Store, stop_at: int) -> None:
        self.address = store.address
        self.folder = store.folder
        self.moments = 0
        self._store = store
        self._stop_at = stop_at
        self._lock = Lock()

    @property
    def is_stopped(self) -> bool:
        return self.moments > self._stop_at

    def incoming(self) -> Incoming:
        self._refuse()
        return _StoppingIncoming(self._store.incoming(), self)

    def create(self, name: str, content: bytes) -> bool:
        return self.around(lambda: self._store.create(name, content))

    def version(self, name: str) -> str:
        self._refuse()
        return self._store.version(name)

    def replace(self, name: str, content: bytes, version: str) -> bool:
        return self.around(lambda: self._store.replace(name, content, version))

    def remove(self, name: str) -> None:
        self.around(lambda: self._store.remove(name))

    def move(self, name: str, new: str) -> None:
        self.around(lambda: self._store.move(name, new))

    def hash_kept(self, name: str) -> str | None:
        self._refuse()
        return self._store.hash_kept(name)

    def copy_in(self, source: StoredObject, name: str) -> bool:
        return self.around(lambda: self._store.copy_in(source, name))

    def open(self, name: str) -> IO[bytes]:
        self._refuse()
        return self._store.open(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        self._refuse()
        return self._store.chunks(name)

    def read(self, name: str, most: int = MOST) -> bytes:
        self._refuse()
        return self._store.read(name, most)

    def locate(self, name: str, size: int, sha256: str | None) -> StoredObject | None:
        self._refuse()
        return self._store.locate(name, size, sha256)

    def size(self, name: str) -> int | None:
        self._refuse()
        return self._store.size(name)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        self._refuse()
        return self._store.list(prefix)

    def check_place(self) -> None:
        self._refuse()
        self._store.check_place()

    def ahead(self) -> float | None:
        self._refuse()
        return self._store.ahead()

    def leave(self) -> None:
        self._refuse()
        self._store.leave()

    def clear_temporary(self) -> None:
        self._refuse()
        self._store.clear_temporary()

    def around(self, write: Callable[[], T]) -> T:
        """A write, with a moment before and one after it; no other thread writes between."""
        with self._lock:
            self._moment()
            done = write()
            self._moment()
            return done

    def _moment(self) -> None:
        self._refuse()
        self.moments += 1
        self._refuse()

    def _refuse(self) -> None:
        if self.is_stopped:
            raise Stopped


class _StoppingIncoming:
    def __init__(self, incoming: Incoming, store: StoppingStore) -> None:
        self._incoming = incoming
        self._store = store

    @property
    def size(self) -> int:
        return self._incoming.size

    def write(self, data: bytes) -> int:
        if self._store.is_stopped:
            raise Stopped
        return self._incoming.write(data)

    def sha256(self) -> str:
        return self._incoming.sha256()

    def keep(self, name: str, replace: bool = False) -> None:
        self._store.around(lambda: self._incoming.keep(name, replace))

    def discard(self) -> None:
        """Frees memory and file handles, also of a process that is gone."""
        self._incoming.discard()
