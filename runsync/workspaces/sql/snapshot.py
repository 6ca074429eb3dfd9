"""One consistent state of a database, which several threads read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Snapshot:
    """A connection within a transaction that only reads. It ends once it is retired and nobody holds it."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.is_retired = False
        self._lock = RLock()
        self._holders = 0
        self._at_end: list[Callable[[], None]] = [connection.close]

    @contextmanager
    def held(self) -> Iterator[None]:
        """For as long as somebody reads a piece at a time."""
        with self._lock:
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                self._end_if_done()

    @contextmanager
    def used(self) -> "Iterator[Connection]":
        """For a short while: other threads wait for it."""
        with self._lock:
            yield self.connection

    def is_busy(self) -> bool:
        """Whether a thread waits for an answer."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            return False
        return True

    def at_end(self, done: Callable[[], None]) -> None:
        """What is to be done when it ends."""
        with self._lock:
            self._at_end.append(done)

    def go_on_in(self, connection: "Connection") -> None:
        """What is read from now on is read in another connection to the same state."""
        with self._lock:
            self.connection = connection
            self._at_end.append(connection.close)

    def retire(self) -> None:
        """Nobody begins to read it any more."""
        with self._lock:
            self.is_retired = True
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self.is_retired and not self._holders:
            while self._at_end:
                with suppress(Exception):
                    self._at_end.pop()()
