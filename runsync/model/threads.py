"""Threads that do not hold up whoever wants to stop."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def pool(workers: int, name: str = "runsync") -> Iterator[ThreadPoolExecutor]:
    """A pool that is waited for at the end of the block, unless an error (or Ctrl-C) ends the block: then what has
    not begun is dropped, and what has is not waited for."""
    executor = ThreadPoolExecutor(workers, name)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
