"""Faults that a test switches on: storms of 429, errors 500, slow answers, connections that drop."""

import fnmatch
import random
import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "drop", "lose", "slow", "cut", "partial"]


@dataclass
class Fault:
    """One fault. It meets the requests whose `METHOD /path` matches `where` (a pattern as of a shell).

    - `status`: answers `status` with `code`, and `Retry-After` where `retry_after` (seconds, or any text) is given;
      nothing is done.
    - `drop`: the connection is reset before anything is done.
    - `lose`: the request is done, and the connection is reset instead of the answer.
    - `slow`: the answer comes `seconds` later, of real time.
    - `cut`: the answer ends in the middle, and the connection with it.
    - `partial`: half of a log-batch is written, then 500.

    The first `skip` requests are spared, then `times` are met (None: all), each with `chance`.
    """

    kind: Kind
    where: str = "*"
    status: int = 500
    code: str = "INTERNAL_ERROR"
    message: str = "An internal error occurred."
    retry_after: str | int | None = None
    seconds: float = 0.0
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    met: int = field(default=0, init=False)

    def matches(self, request: str) -> bool:
        """Whether a request `METHOD /path` is meant."""
        return fnmatch.fnmatchcase(request, self.where)


def too_many(where: str = "*", *, times: int | None = 1, retry_after: str | int | None = None, skip: int = 0) -> Fault:
    """A storm of 429, with `Retry-After` or without."""
    message = "Too many requests. Please wait a moment and try again."
    return Fault("status", where, 429, "RESOURCE_EXHAUSTED", message, retry_after=retry_after, times=times, skip=skip)


class Faults:
    """The faults that are switched on."""

    def __init__(self, seed: int = 0) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Switches one on; its `met` tells afterwards how many requests it met."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switches all off."""
        with self._lock:
            self._faults.clear()

    def meet(self, request: str) -> Fault | None:
        """The fault that this request meets, if any."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(request) or (fault.times is not None and fault.met >= fault.times):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if self._random.random() <= fault.chance:
                    fault.met += 1
                    return fault
        return None
