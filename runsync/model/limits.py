"""How much of a network may be used: bytes a second either way, and requests a second."""

import time
from threading import Lock


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
            time.sleep(pause)


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
        if self._up and size:
            self._up.take(size)

    def received(self, size: int) -> None:
        """Waits as long as these bytes should have taken to come."""
        if self._down and size:
            self._down.take(size)


UNLIMITED = Limits()
