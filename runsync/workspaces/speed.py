"""How long a small request to a workspace takes."""

import statistics
import time
from collections.abc import Callable

from runsync.model.finding import Finding, ok, warning

TRIES = 5
MOST = 0.5
"""Tries of one request, and the seconds after which no further one is made."""
SLOW = 0.15
"""Seconds of a round trip from which on many small requests take long."""
NEARER = "run it nearer to the server, or with more --workers"


def round_trip(ask: Callable[[], object]) -> float:
    """Seconds that a request takes, as a rule."""
    seconds: list[float] = []
    while len(seconds) < TRIES and sum(seconds) < MOST:
        begun = time.monotonic()
        ask()
        seconds.append(time.monotonic() - begun)
    return statistics.median(seconds)


def speed(ask: Callable[[], object]) -> Finding:
    """The finding on a workspace of which no more is known than how long a request takes."""
    seconds = round_trip(ask)
    told = f"{seconds * 1000:.0f} ms a small request"
    return ok("speed", told) if seconds < SLOW else warning("speed", told, NEARER)
