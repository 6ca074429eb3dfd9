"""Waiting for what comes by itself, however busy the machine is."""

import time
from collections.abc import Callable

LONGEST = 120.0
"""Seconds; what has not come by then never comes."""


def eventually(condition: Callable[[], object]) -> bool:
    """Whether something is so at last."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
