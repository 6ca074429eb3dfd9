"""How many requests a workspace answers in a second, by class of endpoint, and how well a client used them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from emulators.databricks.errors import Refusal

DOCUMENTED: Mapping[str, float] = {
    "experiments": 7,
    "runs-search": 7,
    "models-search": 7,
    "log-batch": 47,
    "tracking": 127,
    "registry": 40,
    "workspace-export": 60,
    "workspace-import": 30,
    "permissions-get": 100,
    "permissions-write": 30,
    "dbfs": 30,
    "jobs-submit": 35,
}
"""Requests a second (see README.md for their sources). A class that is not here is not limited."""


class Now(Protocol):
    """The part of a clock that is needed here."""

    def now(self) -> float:
        """Seconds since the epoch."""


@dataclass(frozen=True)
class Usage:
    """What one class of endpoints was asked for, over `seconds` from the first request to the last.

    `permitted` is what the rate allowed in that time, the burst at its beginning included.
    """

    granted: int
    refused: int
    seconds: float
    permitted: float

    @property
    def share_used(self) -> float:
        """How much of what was permitted was used, 0 to 1."""
        return self.granted / self.permitted if self.permitted else 0.0

    @property
    def share_refused(self) -> float:
        """How much of what was sent was answered 429, 0 to 1."""
        sent = self.granted + self.refused
        return self.refused / sent if sent else 0.0


class Bucket:
    """A token bucket that is full at first."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = max(1.0, burst)
        self.granted = 0
        self.refused = 0
        self.first: float | None = None
        self.last = now
        self._tokens = self.burst
        self._at = now

    def take(self, now: float) -> float:
        """Takes one token; returns 0, or the seconds until there is one."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = self.last = now
        self.first = now if self.first is None else self.first
        if self._tokens + 1e-9 >= 1:
            self._tokens -= 1
            self.granted += 1
            return 0.0
        self.refused += 1
        return (1 - self._tokens) / self.rate

    def usage(self) -> Usage:
        """What was asked of it so far."""
        seconds = 0.0 if self.first is None else self.last - self.first
        return Usage(self.granted, self.refused, seconds, self.burst + seconds * self.rate)


class Rates:
    """A bucket a class. `burst_seconds`: how many seconds' worth of requests may come at once.

    `retry_after` says whether answers 429 carry that header, in whole seconds.
    """

    def __init__(
        self, limits: Mapping[str, float], clock: Now, burst_seconds: float = 1.0, retry_after: bool = True
    ) -> None:
        self.retry_after = retry_after
        self._clock = clock
        self._buckets = {name: Bucket(rate, rate * burst_seconds, clock.now()) for name, rate in limits.items()}

    def take(self, kind: str) -> None:
        """Counts one request. Raises Refusal when it comes too early."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            return
        wait = bucket.take(self._clock.now())
        if wait:
            headers = {"Retry-After": str(max(1, math.ceil(wait)))} if self.retry_after else {}
            message = "Too many requests. Please wait a moment and try again."
            raise Refusal("RESOURCE_EXHAUSTED", message, headers=headers)

    def usage(self, kind: str) -> Usage:
        """How one class was used."""
        return self._buckets[kind].usage()

    def used(self) -> dict[str, Usage]:
        """How every class that was asked for something was used."""
        return {name: bucket.usage() for name, bucket in self._buckets.items() if bucket.first is not None}
