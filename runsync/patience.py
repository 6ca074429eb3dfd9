"""How long to go on when a server, an S3 or a database fails."""

import math
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from runsync.errors import WrongUsage

PATIENCE = "RUNSYNC_PATIENCE"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
BACKOFF = "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
VARIABLES = (PATIENCE, RETRIES, BACKOFF, TIMEOUT)
LEAST_DELAY = 0.05


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a server fails. `seconds` bounds a request with all its tries after the first failure
    (where a user said how many, and nobody has answered yet, from its beginning); `tries` bounds failures that waiting
    seldom mends (HTTP 500, a connection that breaks while the server is otherwise well)."""

    seconds: float = 60.0
    tries: int = 5
    first_delay: float = 0.2
    longest_delay: float = 10.0
    retries: int | None = None
    """The most tries after the first one of any request; None for as many as there is time for."""
    timeout: float | None = None
    """Seconds for the next byte of an answer to come; None for what suits the request."""
    is_watched: bool = False
    """Whether somebody sits there: nothing is waited for at an address where nobody has answered yet."""
    is_asked: bool = False
    """Whether a user said how many seconds."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Patience":
        """`RUNSYNC_PATIENCE` in seconds, and what MLflow's clients read: `MLFLOW_HTTP_REQUEST_MAX_RETRIES`,
        `_BACKOFF_FACTOR` and `_TIMEOUT`. Raises WrongUsage for what is no number."""
        usual = cls()
        seconds, retries = _number(environ, PATIENCE), _number(environ, RETRIES, "tries")
        delay = _number(environ, BACKOFF)
        return cls(
            seconds=usual.seconds if seconds is None else seconds,
            is_asked=seconds is not None,
            first_delay=usual.first_delay if delay is None else max(LEAST_DELAY, delay),
            retries=None if retries is None else int(retries),
            timeout=_number(environ, TIMEOUT) or None,
        )

    def waiting(self, seconds: float | None, is_watched: bool) -> "Patience":
        """With so many seconds that were asked for (None: none were). Where none are asked for, and somebody watches,
        nobody is waited for who never answered."""
        if seconds is not None:
            return replace(self, seconds=seconds, is_asked=True)
        return replace(self, is_watched=is_watched and not self.is_asked)

    def delay(self, failures: int) -> float:
        """Seconds before the next try: exponential, half of it random."""
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


def _number(environ: Mapping[str, str], name: str, of: str = "seconds") -> float | None:
    text = environ.get(name, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise WrongUsage(f"{name} is a number of {of}, not “{text}”")
    return number
