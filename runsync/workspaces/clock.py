"""Whether the clock of a workspace agrees with this machine's."""

import email.utils
import time
from collections.abc import Callable, Iterator

import requests

from runsync.model.finding import Finding, ok, warning

SKEW = 60.0
"""Seconds by which they may differ: S3 refuses signatures at 15 minutes, and `7d ago` is meant by our own clock."""


def clock(ahead: float) -> Finding:
    """The finding on a clock that is so many seconds ahead of ours."""
    if abs(ahead) <= SKEW:
        return ok("clock", "its clock agrees with this machine's")
    return warning(
        "clock",
        f"its clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
        "have both set by NTP: at 15 minutes S3 refuses what is signed, and --since or “7d ago” mean another time",
    )


def clock_of(ask: Callable[[], requests.Response]) -> Iterator[Finding]:
    """The same of a server, by the Date of one answer; nothing where it has none."""
    begun = time.time()
    there = _date(ask().headers.get("Date"))
    if there is not None:
        # The header is cut to whole seconds, and of some moment between request and answer.
        yield clock(there + 0.5 - (begun + time.time()) / 2)


def _date(header: str | None) -> float | None:
    """Epoch seconds of a Date header."""
    try:
        return email.utils.parsedate_to_datetime(header or "").timestamp()
    except ValueError:
        return None
