"""How long to go on when a server fails, and when requests may go."""

import email.utils
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from runsync.errors import WrongUsage
from runsync.model.threads import Stop

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
NOT_DONE = frozenset({429})
"""After which a request may be sent again, whatever it does."""
ASKS_FOR_PAUSE = frozenset({429, 503})
LONGEST_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a server fails. `seconds` bounds a request with all its tries after the first
    failure; `tries` bounds failures that waiting seldom mends (HTTP 500, a connection that breaks while the
    server is otherwise well)."""

    seconds: float = 60.0
    tries: int = 5
    first_delay: float = 0.2
    longest_delay: float = 10.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Patience":
        """`RUNSYNC_PATIENCE` in seconds, where it is set. Raises WrongUsage when it is no number."""
        text = environ.get("RUNSYNC_PATIENCE", "")
        if not text:
            return cls()
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < math.inf:
            raise WrongUsage(f"RUNSYNC_PATIENCE is a number of seconds, not “{text}”")
        return cls(seconds)

    def delay(self, failures: int) -> float:
        """Seconds before the next try: exponential, half of it random."""
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


class Pace(Protocol):
    """When requests may go, where that depends on what they ask for."""

    def take(self, method: str, path: str, stopped: Stop) -> None:
        """Waits until this request may be sent, or until `stopped`."""

    def refused(self, method: str, path: str, retry_after: float | None) -> bool:
        """Told of an answer 429: the next `take` waits longer. Whether patience has reason to go on."""

    def granted(self, method: str, path: str) -> None:
        """Told of any other answer."""


def retry_after(text: str) -> float | None:
    """The seconds that such a header asks for, which may also name a time; None where it says nothing."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
