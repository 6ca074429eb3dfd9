"""One consistent state of a database, which several threads read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Snapshot:
    """A connection within a transaction that only reads. It ends once it is retired and nobody holds it."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._lock = RLock()
        self._holders = 0
        self._retired = False

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

    def retire(self) -> None:
        """Nobody begins to read it any more."""
        with self._lock:
            self._retired = True
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._retired and not self._holders:
            with suppress(Exception):
                self.connection.close()
