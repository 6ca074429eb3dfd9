"""Which failures of a server pass, and when requests may go."""

import email.utils
import time
from typing import Protocol

from runsync.threads import Stop

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
NOT_DONE = frozenset({429})
"""After which a request may be sent again, whatever it does."""
ASKS_FOR_PAUSE = frozenset({429, 503})
LONGEST_RETRY_AFTER = 300.0


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
