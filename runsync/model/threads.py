"""Threads that do not hold up whoever wants to stop."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def pool(workers: int, name: str = "runsync") -> Iterator[ThreadPoolExecutor]:
    """A pool that is waited for at the end of the block.

    An error drops what has not begun and waits for what has, so that nothing is written after it. Ctrl-C (and its like)
    waits for nothing.
    """
    executor = ThreadPoolExecutor(workers, name)
    try:
        yield executor
    except Exception:
        executor.shutdown(cancel_futures=True)
        raise
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
