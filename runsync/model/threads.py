"""Threads that do not hold up whoever wants to stop."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from runsync.errors import Interrupted

P = ParamSpec("P")
T = TypeVar("T")


class _Pool(ThreadPoolExecutor):
    """Can drop what has not begun, so that whoever waits for it hears of it.

    ThreadPoolExecutor's own `cancel_futures` leaves `concurrent.futures.wait` waiting for ever: it tells nobody of
    futures that are cancelled before a thread has taken them up.
    """

    _is_dropped = False

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        return super().submit(self._act, act, *args, **kwargs)

    def drop(self) -> None:
        self._is_dropped = True

    def _act(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._is_dropped:
            raise Interrupted("stopped")
        return act(*args, **kwargs)


@contextmanager
def pool(workers: int, name: str = "runsync") -> Iterator[ThreadPoolExecutor]:
    """A pool that is waited for at the end of the block.

    An error drops what has not begun (its futures raise Interrupted) and waits for what has, so that nothing is
    written after it. Ctrl-C (and its like) waits for nothing.
    """
    executor = _Pool(workers, name)
    try:
        yield executor
    except BaseException as error:
        executor.drop()
        executor.shutdown(wait=isinstance(error, Exception))
        raise
    executor.shutdown()
