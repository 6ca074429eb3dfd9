"""How much of a network may be used: how it is written, and that nothing gets by it."""

import threading
import time

import pytest

from runsync.errors import WrongUsage
from runsync.limits import Limits, parse_rate

SAVED_UP = 1.0
"""Seconds of a limit that may be used at once."""


@pytest.mark.parametrize(
    ("text", "up", "down"),
    [
        ("0", 0, 0),
        ("1500", 1500, 1500),
        ("500k", 500_000, 500_000),
        ("20M", 20_000_000, 20_000_000),
        ("1.5M:2g", 1_500_000, 2_000_000_000),
        ("0:20M", 0, 20_000_000),
        ("5M:0", 5_000_000, 0),
    ],
)
def test_a_rate_is_for_both_ways_or_for_each(text: str, up: float, down: float) -> None:
    assert parse_rate(text) == (up, down)


@pytest.mark.parametrize("text", ["", "fast", "20MB", "-1", "1:2:3", ":", "5M:", "20 M/s"])
def test_what_is_no_rate_is_told_with_an_example(text: str) -> None:
    with pytest.raises(WrongUsage, match="no rate: write bytes a second such as 500k"):
        parse_rate(text)


@pytest.mark.parametrize("way", ["sent", "received"])
def test_threads_share_a_limit(way: str) -> None:
    limits = Limits(upload=100_000, download=100_000)

    def work() -> None:
        for _ in range(10):
            getattr(limits, way)(5_000)

    begun = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= 4 * 10 * 5_000 / 100_000 - SAVED_UP


def test_the_two_ways_do_not_slow_each_other() -> None:
    limits = Limits(upload=1, download=0)
    begun = time.monotonic()
    limits.received(10**9)
    assert time.monotonic() - begun < 300, "a byte a second would take years"
