"""What happens around each try of a request: policies wait before it, and say after it what comes next.

`Client.send` asks them in turn; the first that knows decides.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import requests

from runsync.errors import Interrupted
from runsync.log import LOG, WAITING
from runsync.patience import Patience
from runsync.threads import Stop
from runsync.workspaces.http.care import UNREACHED, Care, Tries
from runsync.workspaces.http.identity import Identity
from runsync.workspaces.http.patience import ASKS_FOR_PAUSE, LONGEST_RETRY_AFTER, RETRIED, Pace, retry_after
from runsync.workspaces.http.trouble import REFUSED, cause


@dataclass(slots=True)
class Call:
    """One request, and how its last try ended: with a response, or with a problem."""

    method: str
    path: str
    care: Care
    tries: Tries
    response: requests.Response | None = None
    problem: Exception | None = None
    is_renewed: bool = False

    @property
    def status(self) -> int:
        """Of the response; 0 where there is none."""
        return 0 if self.response is None else self.response.status_code

    @property
    def is_answered(self) -> bool:
        """Whether no other try would be answered otherwise."""
        return self.response is not None and self.status not in RETRIED

    @property
    def why(self) -> str:
        """What came of the try, for people."""
        return cause(self.problem) if self.response is None else f"HTTP {self.status}"

    @property
    def pause(self) -> float | None:
        """The seconds that the response asks for."""
        asked = None if self.response is None else retry_after(self.response.headers.get("Retry-After", ""))
        return None if asked is None else min(asked, LONGEST_RETRY_AFTER)


class Next(Enum):
    """What comes after a try."""

    AGAIN = "another try"
    ANSWERED = "the answer is taken"
    GIVEN_UP = "no other try"


class Policy(Protocol):
    """One subject of all requests of a client; called from many threads."""

    def before(self, call: Call) -> None:
        """Waits until the request may be sent. Raises Interrupted."""

    def after(self, call: Call) -> Next | None:
        """What comes next; None where that is for others to say."""


@dataclass(slots=True)
class Contact:
    """Whether somebody has ever answered, and whether it was told that somebody is waited for."""

    has_answered: bool = False
    is_waiting: bool = False


class Turns:
    """Requests wait while the server has asked for a pause, and go at the pace of what they ask for."""

    def __init__(self, patience: Patience, pace: Pace | None, stopped: Stop) -> None:
        self._patience = patience
        self._pace = pace
        self._stopped = stopped
        self._not_before = 0.0

    def hold(self, seconds: float) -> None:
        """Others wait too, but no longer than anyone has patience."""
        self._not_before = max(self._not_before, time.monotonic() + min(seconds, self._patience.seconds))

    def before(self, call: Call) -> None:
        """See `Policy`."""
        while not self._stopped.is_set() and (pause := self._not_before - time.monotonic()) > 0:
            self._stopped.wait(pause)
        if self._pace is not None:
            self._pace.take(call.method, call.path, self._stopped)
        if self._stopped.is_set():
            raise Interrupted("stopped")

    def after(self, call: Call) -> Next | None:
        """Another try where the pace has taken up an answer 429, and others get through."""
        if self._pace is None or call.response is None:
            return None
        if call.status != 429:
            self._pace.granted(call.method, call.path)
        elif self._pace.refused(call.method, call.path, call.pause):
            call.tries.begin_anew()
            return Next.AGAIN
        return None


class Renewal:
    """A login that has ended is renewed, once a request."""

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity

    def before(self, call: Call) -> None:
        """There is nothing to wait for."""

    def after(self, call: Call) -> Next | None:
        """See `Policy`."""
        if call.response is None or not call.is_answered or self._identity is None:
            return None
        if not self._identity.renew(call.response) or call.is_renewed:
            return None
        call.is_renewed = True
        return Next.AGAIN


class Retry:
    """What fails for a while is tried again, as long as there is patience. `is_alive` asks whether the server answers
    anything at all."""

    def __init__(
        self,
        url: str,
        patience: Patience,
        contact: Contact,
        turns: Turns,
        stopped: Stop,
        is_alive: Callable[[], bool],
    ) -> None:
        self._url = url
        self._patience = patience
        self._contact = contact
        self._turns = turns
        self._stopped = stopped
        self._is_alive = is_alive

    def before(self, call: Call) -> None:
        """It waits after a failure."""

    def after(self, call: Call) -> Next:
        """See `Policy`."""
        if call.is_answered:
            return Next.ANSWERED
        call.tries.failed()
        delay = self._delay(call)
        if self.is_hopeless(call) or self._is_given_up(call, delay):
            return Next.GIVEN_UP
        path = call.path.partition("?")[0]
        LOG.warning("%s %s%s: %s; again in %.1f s", call.method, self._url, path, call.why, delay)
        if not self._contact.is_waiting and call.tries.is_worth_telling(delay, self._contact.has_answered):
            self._contact.is_waiting = True
            WAITING.warning("waiting for %s (%s), up to %.0f s more", self._url, call.why, call.tries.left(delay))
        self._stopped.wait(delay)
        return Next.AGAIN

    def is_hopeless(self, call: Call) -> bool:
        """Whether nobody has ever answered at this address, and somebody sits there who may have mistyped it."""
        return self._patience.is_watched and not self._contact.has_answered and cause(call.problem) in UNREACHED

    def _is_given_up(self, call: Call, delay: float) -> bool:
        tries, response, problem = call.tries, call.response, call.problem
        if tries.are_over(response, delay) or tries.are_too_slow(response, problem):
            return True
        if not tries.is_one_too_many(response, problem):
            return False
        if response is None and cause(problem) == REFUSED:
            tries.was_down()
        return (response is not None and not call.care.is_short) or tries.is_hopeless(tries.sees(self._is_alive))

    def _delay(self, call: Call) -> float:
        delay = self._patience.delay(call.tries.count)
        if call.status in ASKS_FOR_PAUSE:
            delay = delay if call.pause is None else call.pause
            self._turns.hold(delay)
        return delay
