"""How much of a network may be used: bytes a second either way, and requests a second."""

import re
import time
from threading import Lock

from runsync import threads
from runsync.errors import WrongUsage

_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG]?)")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class _Pace:
    """Lets so many units a second through, with at most one second saved up. Safe for many threads."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0
        self._lock = Lock()

    def take(self, units: float) -> None:
        """Waits until these units may pass."""
        with self._lock:
            now = time.monotonic()
            begin = max(self._free_at, now - 1.0)
            self._free_at = begin + units / self._per_second
            pause = self._free_at - now
        if pause > 0:
            threads.pause(pause)


class Limits:
    """Shared by all that a command sends and receives; 0 means no limit. Bytes, and requests, a second."""

    def __init__(self, upload: float = 0, download: float = 0, requests: float = 0) -> None:
        self.upload = upload
        self._up = _Pace(upload) if upload else None
        self._down = _Pace(download) if download else None
        self._requests = _Pace(requests) if requests else None

    def request(self) -> None:
        """Waits until one more request may be sent."""
        if self._requests:
            self._requests.take(1)

    def sent(self, size: int) -> None:
        """Waits as long as these bytes should have taken to send."""
        if self._up and size > 0:
            self._up.take(size)

    def received(self, size: int) -> None:
        """Waits as long as these bytes should have taken to come."""
        if self._down and size:
            self._down.take(size)


UNLIMITED = Limits()


def parse_rate(text: str) -> tuple[float, float]:
    """Bytes a second up and down: `20M` is both, `5M:20M` each; k, M and G are thousands. Raises WrongUsage."""
    up, sign, down = text.partition(":")
    return _rate(up, text), _rate(down if sign else up, text)


def _rate(one: str, text: str) -> float:
    found = _RATE.fullmatch(one.strip())
    if not found:
        raise WrongUsage(f"“{text}” is no rate: write bytes a second such as 500k or 20M, or UP:DOWN")
    return float(found[1]) * _UNITS[found[2].lower()]
