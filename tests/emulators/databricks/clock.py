"""Time as the emulator knows it: real, simulated, or real and faster."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

START = 1_760_000_000.0
"""When simulated time begins: seconds since the epoch (October 2025)."""


class Clock(Protocol):
    """Seconds since the epoch, and sleeping. Give `clock.now` and `clock.sleep` to a client that waits."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Returns when so much time has passed on this clock."""

    def advance(self, seconds: float) -> None:
        """Lets time pass at once."""

    def working(self) -> AbstractContextManager[None]:
        """A context in which a request is being answered."""


class RealClock:
    """The machine's clock; `advance` puts it forward, as for the 30 days until deleted runs are purged."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    @contextmanager
    def working(self) -> Iterator[None]:
        yield


class FasterClock:
    """Real time, so many times faster: for clients in other processes, whose sleeps are real."""

    def __init__(self, factor: float, start: float = START) -> None:
        self._factor = factor
        self._start = start
        self._began = time.monotonic()
        self._ahead = 0.0

    def now(self) -> float:
        return self._start + (time.monotonic() - self._began) * self._factor + self._ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self._factor)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    @contextmanager
    def working(self) -> Iterator[None]:
        yield


class SimulatedClock:
    """Time that stands still unless something moves it.

    Every request costs `per_request` seconds. Threads may `sleep` on it: when no request is being answered and
    nothing has happened for `quiet` real seconds, time jumps to when the first sleeper wakes. So any number of
    threads that keep to a rate take the time that they would take, in a fraction of it.
    """

    def __init__(self, start: float = START, per_request: float = 0.0, quiet: float = 0.002) -> None:
        self._now = start
        self._per_request = per_request
        self._quiet = quiet
        self._changed = threading.Condition()
        self._events = 0
        self._busy = 0
        self._wakes: list[float] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        with self._changed:
            self._now += seconds
            self._happened()

    def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        with self._changed:
            wake = self._now + seconds
            self._wakes.append(wake)
            self._happened()
            while self._now < wake:
                seen = self._events
                self._changed.wait(self._quiet)
                still = seen == self._events and not self._busy
                if still and self._now < wake and wake <= min(self._wakes):
                    self._now = wake
                    self._happened()
            self._wakes.remove(wake)

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._changed:
            self._busy += 1
            self._now += self._per_request
            self._happened()
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._happened()

    def _happened(self) -> None:
        self._events += 1
        self._changed.notify_all()
