"""How much is asked of a server at a time: less once it does not manage that, and more again when it has recovered."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from runsync.errors import AnswerTooLong, RequestRefused, TooMuch
from runsync.log import LOG
from runsync.model.wording import many
from runsync.workspaces.http.care import DIVISIBLE, NEEDED, Care

T = TypeVar("T")

GROWS_AFTER = 8
"""Answers in a row at the same size, after which twice as much is tried, once."""
AT_ONCE = 8
"""By which a page that was far too long is divided."""


class Portion:
    """Of one kind of thing on one server, at most so many at a time. Safe for many threads.

    `noun` is what one of them is called, `what` how so many are asked for, with {} for the number and noun: “pages of
    {}”.
    """

    def __init__(self, most: int, noun: str, what: str = "pages of {}") -> None:
        self.size = most
        self._noun = noun
        self._what = what
        self._most = most
        self._good = 0
        self._failed = 0
        self._managed: int | None = None
        self._why = ""
        self._grown_from = 0
        self._lock = Lock()

    @property
    def notes(self) -> list[str]:
        """At most one: that less was asked for, and came."""
        if self._managed is None:
            return []
        return [f"{self._named(self._managed)}: the server did not manage {self._failed:,} ({self._why})"]

    def _named(self, size: int) -> str:
        return self._what.format(many(size, self._noun))

    def ask(self, ask: Callable[[int, Care], T], most: int | None = None) -> T:
        """What comes of asking for so many as the server manages, `most` at most. Raises what `ask` raises of one."""
        while True:
            size = self.size if most is None else max(1, min(self.size, most))
            try:
                found = ask(size, DIVISIBLE if size > 1 else NEEDED)
            except TooMuch as error:
                if size == 1:
                    raise
                self.failed(size, error)
            else:
                self.worked(size)
                return found

    def failed(self, size: int, error: TooMuch) -> None:
        """Asks for fewer from now on than `size`, which was too many."""
        less = max(1, size // (AT_ONCE if isinstance(error, AnswerTooLong) else 2))
        with self._lock:
            if less >= self.size:  # others found out meanwhile
                return
            if self._grown_from:
                self._most = self._grown_from
            self._failed = max(self._failed, size)
            self._why = self._why or short(error)
            self._good, self._grown_from, self.size = 0, 0, less
        LOG.warning("%s from now on: the server did not manage %d (%s)", self._named(less), size, short(error))

    def worked(self, size: int) -> None:
        """So many were answered."""
        with self._lock:
            if size < self.size:
                return
            if self._failed:
                self._managed = min(self._managed or size, self.size)
            self._good += 1
            if self._good < GROWS_AFTER or self.size >= self._most:
                return
            self._good, self._grown_from = 0, self.size
            self.size = min(self._most, self.size * 2)

    def restore(self) -> None:
        """It was not how many were asked for that was too much."""
        with self._lock:
            self.size, self._failed, self._managed, self._why = self._most, 0, None, ""

    def shorten(self, size: int) -> None:
        """So many are managed, and yet too many to hold in memory."""
        with self._lock:
            self.size = self._most = max(1, min(self.size, size))


def short(error: RequestRefused) -> str:
    """What became of a request."""
    if isinstance(error, AnswerTooLong):
        return "too long an answer"
    return f"HTTP {error.status}" if error.status else "no answer"
