"""A pool that an error ends: nothing goes on after it, and nobody waits for ever."""

import threading
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import suppress

import pytest

from runsync import threads
from runsync.errors import Interrupted


def test_after_an_error_what_runs_is_waited_for_and_the_rest_is_dropped() -> None:
    begun, done = threading.Event(), []

    def work() -> None:
        begun.set()
        threading.Event().wait(0.1)
        done.append("first")

    with suppress(ZeroDivisionError), threads.pool(1) as pool:
        pool.submit(work)
        dropped = pool.submit(done.append, "second")
        begun.wait()
        raise ZeroDivisionError
    assert done == ["first"]
    with pytest.raises(Interrupted):
        dropped.result(timeout=300)


def test_whoever_waits_for_any_of_what_was_dropped_hears_of_it() -> None:
    begun, ready = threading.Event(), threading.Event()
    heard: list[int] = []

    def work() -> None:
        begun.set()
        ready.wait()

    with suppress(ZeroDivisionError), threads.pool(1) as pool:
        pool.submit(work)
        begun.wait()
        later = {pool.submit(print) for _ in range(3)}
        waiter = threading.Thread(target=lambda: heard.append(len(wait(later, 5, FIRST_COMPLETED).done)))
        waiter.start()
        threading.Timer(0.1, ready.set).start()
        raise ZeroDivisionError
    waiter.join()
    assert heard
    assert heard[0] > 0
