"""Threads that do not hold up whoever wants to stop."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from runsync.errors import Interrupted

P = ParamSpec("P")
T = TypeVar("T")

WORKERS = 8
"""How many requests are made side by side, unless told otherwise."""
_SLICE = 0.1
"""Seconds between two looks at whether to stop."""
_here = threading.local()


class _Pool(ThreadPoolExecutor):
    """Can drop what has not begun, so that whoever waits for it hears of it.

    ThreadPoolExecutor's own `cancel_futures` leaves `concurrent.futures.wait` waiting for ever: it tells nobody of
    futures that are cancelled before a thread has taken them up.
    """

    def __init__(self, workers: int, name: str) -> None:
        super().__init__(workers, name)
        self._above = _current()
        self._dropped = threading.Event()

    @property
    def is_dropped(self) -> bool:
        """Whether this pool was stopped, or the one that it was made in."""
        return self._dropped.is_set() or (self._above is not None and self._above.is_dropped)

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        return super().submit(self._act, act, *args, **kwargs)

    def drop(self) -> None:
        self._dropped.set()

    def _act(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.is_dropped:
            raise Interrupted("stopped")
        _here.pool = self
        return act(*args, **kwargs)


@contextmanager
def pool(workers: int, name: str = "runsync") -> Iterator[ThreadPoolExecutor]:
    """A pool that is waited for at the end of the block.

    An error drops what has not begun (its futures raise Interrupted), wakes what sleeps (see `pause`), and waits for
    the rest, so that nothing is written after it. Ctrl-C (and its like) waits for nothing.
    """
    executor = _Pool(workers, name)
    try:
        yield executor
    except BaseException as error:
        executor.drop()
        executor.shutdown(wait=isinstance(error, Exception))
        raise
    executor.shutdown()


class Stop:
    """A `threading.Event` that is also set, for the threads of a pool, once an error has stopped that pool."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Wakes all that wait."""
        self._event.set()

    @property
    def is_final(self) -> bool:
        """Whether `set` was called: then it is set for all threads."""
        return self._event.is_set()

    def is_set(self) -> bool:
        """Whether the thread that asks is to stop."""
        above = _current()
        return self._event.is_set() or (above is not None and above.is_dropped)

    def wait(self, seconds: float) -> bool:
        """Waits, at most that long, for `is_set`; gives what that is then."""
        until = time.monotonic() + seconds
        while not self.is_set() and (left := until - time.monotonic()) > 0:
            self._event.wait(left if _current() is None else min(left, _SLICE))
        return self.is_set()


def pause(seconds: float) -> None:
    """Sleeps. Raises Interrupted once an error has stopped the pool that this thread belongs to."""
    if Stop().wait(seconds):
        raise Interrupted("stopped")


@contextmanager
def last_words() -> Iterator[None]:
    """Around what a thread is still to do after its pool was stopped: taking away what is half made."""
    above, _here.pool = _current(), None
    try:
        yield
    finally:
        _here.pool = above


def _current() -> _Pool | None:
    return getattr(_here, "pool", None)
