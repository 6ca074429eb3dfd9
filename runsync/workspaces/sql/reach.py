"""Waiting for a database server that does not answer."""

import time

from runsync import threads
from runsync.log import WAITING
from runsync.patience import Patience
from runsync.workspaces.sql import connect
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.faults import Unanswered, translated


def reach(address: DatabaseAddress, patience: Patience) -> None:
    """Tries until it answers, whatever it says, for as long as there is patience. Raises Unanswered."""
    since, failures = 0.0, 0
    while True:
        error = _tried(address)
        if error is None:
            return
        failures, since = failures + 1, since or time.monotonic()
        delay = patience.delay(failures)
        left = since + patience.seconds - time.monotonic()
        if delay > left:
            raise error
        if failures == 1:
            WAITING.warning("waiting for %s, up to %.0f s more", address.printable, left)
        threads.pause(delay)


def _tried(address: DatabaseAddress) -> Unanswered | None:
    try:
        connect.engine(address, read_only=True).connect().close()
    except Exception as error:
        told = translated(error, address)
        return told if isinstance(told, Unanswered) else None
    return None
