"""How much a transfer needs a request, and what becomes of one that fails again and again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
import urllib3

from runsync.patience import Patience
from runsync.workspaces.http.patience import NOT_DONE, RETRIED

FAILING = RETRIED - NOT_DONE
"""Statuses of a server that may have too much to do."""
TOO_LARGE = frozenset({413, 414, 431})
"""Statuses of a request that is too large itself."""
SLOW = frozenset({408, 504})
"""Those of them that tell of a request that takes too long: less may be managed, whatever else is answered."""
SOON = 3
"""Failures of a request that could be done without, or be made smaller, while the server is otherwise well."""
SHORT_TIMEOUT = 120.0
"""Seconds for such a request to be answered in."""
LONG = 5.0
"""Seconds of waiting that are told about."""
UNREACHED = ("connection refused", "no such host")
"""Causes for which an address may just be wrong."""


@dataclass(frozen=True, slots=True)
class Care:
    """`is_optional`: the transfer goes on without it. However it is answered, or not, it raises RequestRefused, and
    soon, as long as the server answers anything at all. `is_divisible`: less can be asked for. Where the server does
    not manage it, or bounds how much may be asked for, it raises TooMuch, and soon."""

    is_optional: bool = False
    is_divisible: bool = False
    soon: int = SOON
    """Failures after which it raises, while the server is otherwise well."""

    @property
    def is_short(self) -> bool:
        """Whether there is another way, so that it need not be waited for very long."""
        return self.is_optional or self.is_divisible


NEEDED = Care()
OPTIONAL = Care(is_optional=True)
DIVISIBLE = Care(is_divisible=True)


def is_too_slow(care: Care, response: requests.Response | None, problem: Exception | None) -> bool:
    """Whether it may be how much is asked for that takes too long."""
    if response is not None:
        return care.is_divisible and response.status_code in SLOW
    return care.is_divisible and isinstance(problem, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError)


class Tries:
    """The failed tries of one request."""

    def __init__(self, patience: Patience, care: Care, retry: bool) -> None:
        self.count = 0
        self._patience = patience
        self._care = care
        self._retry = retry
        self._since = 0.0
        self._was_down = False
        self._forgiven = 0
        self._is_alive: bool | None = None

    def begin(self) -> None:
        """Patience counts from now on, not from the first failure."""
        self._since = time.monotonic()

    def begin_anew(self) -> None:
        """What was waited for until now does not count."""
        self._since = 0.0

    def failed(self) -> None:
        """One more has failed."""
        self.count += 1
        self._is_alive = None
        self._since = self._since or time.monotonic()

    def are_over(self, response: requests.Response | None, delay: float) -> bool:
        """Whether there is to be no other try after that delay, whatever else the server does."""
        is_safe = self._retry or (response is not None and response.status_code in NOT_DONE)
        retries = self._patience.retries
        has_time = time.monotonic() + delay <= self._since + self._patience.seconds
        return not is_safe or not has_time or (retries is not None and self.count > retries)

    def is_one_too_many(self, response: requests.Response | None, problem: Exception | None) -> bool:
        """Whether a server that is otherwise well would fail again, or there is another way for this request."""
        is_failing = response is None or response.status_code in FAILING
        if self._care.is_short and is_failing:
            return self.count >= self._forgiven + self._care.soon or isinstance(problem, requests.Timeout)
        many = self.count >= self._forgiven + self._patience.tries
        return many and (response is None or response.status_code == 500)

    def are_too_slow(self, response: requests.Response | None, problem: Exception | None) -> bool:
        """Whether to ask for less rather than wait, also where the server answers nothing else meanwhile."""
        many = response is None or self.count >= self._care.soon
        return many and is_too_slow(self._care, response, problem)

    def was_down(self) -> None:
        """It took no connection: if it is well now, it has come back."""
        self._was_down = True

    def sees(self, look: Callable[[], bool]) -> bool:
        """Whether the server answers at all after the last failure: looked at once."""
        if self._is_alive is None:
            self._is_alive = look()
        return self._is_alive

    def is_hopeless(self, is_alive: bool) -> bool:
        """Whether another try is of no use, now that the server is well or not. One that was not may have mended."""
        is_hopeless = is_alive and not self._was_down
        self._was_down = not is_alive
        if not is_hopeless:
            self._forgiven = self.count
        return is_hopeless

    def is_worth_telling(self, delay: float, is_known: bool) -> bool:
        """Whether somebody should hear what is waited for: at once where nobody has answered yet, else if for long."""
        return not is_known or time.monotonic() - self._since + delay >= LONG

    def left(self, delay: float) -> float:
        """Seconds that there is patience for, and at least that delay."""
        since = self._since or time.monotonic()
        return max(delay, since + self._patience.seconds - time.monotonic())
