"""How many requests a second a workspace takes, by class of endpoint: kept to before it hurts, and learnt from 429.

The rates are those of Databricks' older documentation (docs.azure.cn, api/latest/mlflow; the registry's and the
workspace's from its knowledge base): the present ones are not told in public. So a rate that is refused is lowered,
and found again slowly; it never goes above the documented one.
"""

import re
import time
from collections.abc import Callable, Mapping
from threading import Lock

from runsync.threads import Stop

RATES: Mapping[str, float] = {
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
}
"""Requests a second, of one workspace."""

_CLASSES = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("experiments", r"\w+ /api/2\.0/mlflow/experiments/(list|search|update|delete|restore)"),
        ("runs-search", r"\w+ /api/2\.0/mlflow/runs/search"),
        ("models-search", r"\w+ /api/2\.0/mlflow/logged-models/search"),
        ("log-batch", r"\w+ /api/2\.0/mlflow/runs/log-batch"),
        ("registry", r"\w+ /api/2\.0/mlflow/(databricks/)?(registered-models|model-versions|unity-catalog)\b"),
        ("tracking", r"\w+ /api/\d\.0/mlflow/"),
        ("workspace-export", r"\w+ /api/2\.0/workspace/export"),
        ("workspace-import", r"\w+ /api/2\.0/workspace/import"),
        ("permissions-get", r"GET /api/2\.0/permissions/"),
        ("permissions-write", r"\w+ /api/2\.0/permissions/"),
        ("dbfs", r"\w+ /api/2\.0/dbfs/"),
    )
)

SHARE = 0.98
"""Of a documented rate that is used: the answers on their way come closer together than they were asked for."""
BURST = 0.5
"""Seconds' worth of requests that may go at once, after as long without any."""
NO_RETRY_AFTER = 1.0
"""Seconds that databricks-sdk waits where an answer 429 does not tell how long."""
LOWERED = 0.8
FLOOR = 0.2
GROWTH = 0.002
"""Of the documented rate, that is tried more a second, once there was no refusal for CALM seconds."""
CALM = 20.0
HOPE = 60.0
"""Seconds since the last request of a class that was granted, within which a refused one is sent again."""
SLICE = 1.0


class Rates:
    """Paces requests of one workspace. Safe for many threads; `now` and `sleep` (seconds) are those of a clock."""

    def __init__(
        self,
        rates: Mapping[str, float] = RATES,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._buckets = {name: _Bucket(rate * SHARE, now()) for name, rate in rates.items()}

    def take(self, method: str, path: str, stopped: Stop) -> None:
        """Waits until this request may be sent, or until `stopped`."""
        bucket = self._bucket(method, path)
        while bucket is not None and not stopped.is_set():
            due, era = bucket.reserve(self._now())
            while bucket.era == era and (pause := due - self._now()) > 0 and not stopped.is_set():
                if self._sleep is None:
                    stopped.wait(min(pause, SLICE))
                else:
                    self._sleep(min(pause, SLICE))
            if bucket.era == era:
                return

    def refused(self, method: str, path: str, retry_after: float | None) -> bool:
        """Learns from an answer 429. Whether others of its class get through, so that waiting longer makes sense."""
        bucket = self._bucket(method, path)
        return bucket is not None and bucket.refused(self._now(), retry_after)

    def granted(self, method: str, path: str) -> None:
        """Learns from any other answer."""
        bucket = self._bucket(method, path)
        if bucket is not None:
            bucket.granted(self._now())

    def rate(self, method: str, path: str) -> float:
        """Requests a second that are sent of that class now; infinite where it has no limit."""
        bucket = self._bucket(method, path)
        return float("inf") if bucket is None else bucket.rate

    def _bucket(self, method: str, path: str) -> "_Bucket | None":
        name = endpoint_class(method, path)
        return self._buckets.get(name) if name else None


def endpoint_class(method: str, path: str) -> str:
    """The class of an endpoint in RATES; "" for one without a limit that is known."""
    asked = f"{method} {path}"
    return next((name for name, pattern in _CLASSES if pattern.match(asked)), "")


class _Bucket:
    """One class. Requests are given times one after the other; after a refusal those that wait are given new ones."""

    def __init__(self, most: float, now: float) -> None:
        self.rate = most
        self.era = 0
        self._most = most
        self._ceiling = most
        """What is thought to be granted."""
        self._free_at = self._closed_until = self._learnt_at = now - BURST
        self._refused_at = self._granted_at = float("-inf")
        self._lock = Lock()

    def reserve(self, now: float) -> tuple[float, int]:
        """When the next request may go, unless the era has changed by then."""
        with self._lock:
            self._recover(now)
            due = max(self._free_at, now - BURST)
            self._free_at = due + 1.0 / self.rate
            return due, self.era

    def refused(self, now: float, retry_after: float | None) -> bool:
        """Those sent together are refused together: that is one lesson."""
        pause = NO_RETRY_AFTER if retry_after is None else retry_after
        with self._lock:
            if now - self._refused_at > NO_RETRY_AFTER:
                least = self._most * FLOOR
                self._ceiling = max(least, self.rate * (1 + LOWERED) / 2)
                self.rate = max(least, self.rate * LOWERED)
            self._refused_at = now
            self._closed_until = self._free_at = max(self._closed_until, now + pause)
            self.era += 1
            return now - self._granted_at < HOPE

    def granted(self, now: float) -> None:
        """Told of an answer that was no refusal."""
        with self._lock:
            self._granted_at = now

    def _recover(self, now: float) -> None:
        passed = now - self._learnt_at
        self._learnt_at = now
        if now - self._refused_at > CALM:
            self._ceiling = min(self._most, self._ceiling + self._most * GROWTH * passed)
        if self.rate < self._ceiling:
            self.rate = min(self._ceiling, self.rate + self._most * 0.02 * passed)
