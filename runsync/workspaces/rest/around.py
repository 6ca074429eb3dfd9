"""Runs that a server fails to answer with: a search goes around them, and each is named.

One row that its store cannot read (text that is not UTF-8, a time that is none) fails every page that it is on, and a
page cannot begin behind it. So the runs beyond it are asked for by their start time: the span before it is halved until
what fails is one millisecond, and there they are asked for by the first digits of their ids.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from runsync.errors import RequestRefused
from runsync.model.run import UNTOLD, Run, Unreadable
from runsync.model.times import iso, now
from runsync.workspaces.http import DIVISIBLE, NEEDED, Care
from runsync.workspaces.http.fields import Listing

FIRST, LAST = -(2**63), 2**63 - 1
"""Start times that a search can ask for (epoch milliseconds)."""
NOTHING = "attributes.start_time >= 1 AND attributes.start_time <= 0"
"""What no run meets: whether the server answers at all, whatever is wrong with its rows."""
AT_ONCE = Care(is_divisible=True, soon=1)
_DIGITS = "0123456789abcdef"
_DEPTH = 2
"""Digits of ids that are told apart."""

Ask = Callable[[str, str, Care], tuple[list[Run], str]]
"""A page of the search with a further condition: its runs, by start time, and the token of the next one."""


def is_of_runs(error: RequestRefused) -> bool:
    """Whether it may be a run on the page that the server fails with, as its store cannot read it. It says so at once:
    who has too much to do is not asked that often."""
    return error.status in (500, 503)


@dataclass(slots=True)
class Around:
    """Of one search. `failed` is told of each run that was gone around."""

    ask: Ask
    failed: Callable[[Unreadable], object]
    lost: int = 0
    """Runs that were gone around so far."""

    def pages(self, first: int, last: int, descending: bool) -> Iterator[list[Run]]:
        """The runs that started between these times, in that order, some twice. Raises RequestRefused where the server
        answers nothing at all.

        Times go up here, those of a descending order as their negatives: `begin` is that of what is left, `failing` the
        end of the shortest span from there on that is known to fail.
        """
        sign = -1 if descending else 1
        begin, last = (first, last) if sign > 0 else (-last, -first)
        failing: int | None = None
        while begin <= last:
            if begin == failing:
                yield from self._at(sign * begin)
                begin, failing = begin + 1, None
                continue
            end = last if failing is None else _middle(begin, failing, sign)
            try:
                for page in self._pages(_between(*sorted((sign * begin, sign * end))), AT_ONCE):
                    yield page
                    if page and page[-1].start_time is not None:
                        begin = max(begin, sign * page[-1].start_time)
            except RequestRefused as error:
                if not is_of_runs(error):
                    raise
                failing = end
            else:
                begin = end + 1

    def _at(self, time: int) -> Iterator[list[Run]]:
        """Those of one millisecond."""
        try:
            yield from self._pages(_between(time, time), DIVISIBLE)
        except RequestRefused as error:
            self._wait(error)
            before = f"it started at {iso(time)} ({time}), and the server fails to answer with it"
            found = False
            for prefix, why in self._failing(_between(time, time), ""):
                if isinstance(why, list):
                    yield why
                else:
                    found = True
                    self._tell(f"its id begins with {prefix}; {before}: {why}")
            if not found:
                self._tell(f"{before}: {error}")

    def behind(self, count: int) -> None:
        """Names what the server fails with behind so many runs, oldest first: those whose start time is none, or no
        number, come last, and are in no span. MLflow's page tokens are offsets."""
        token = base64.b64encode(orjson.dumps({"offset": count})).decode()
        listing = Listing("runs")
        try:
            while token:  # others may have made runs meanwhile
                page, token = self.ask("", token, DIVISIBLE)
                listing.page(token, len(page), len(page))
        except RequestRefused as error:
            if is_of_runs(error):
                self._wait(error)
                self._tell(f"the start time of runs cannot be read, and the server fails to answer with them: {error}")

    def _wait(self, error: RequestRefused) -> None:
        """Until a server that answers nothing at all answers again. Raises the error where it is not of runs."""
        if not is_of_runs(error):
            raise error
        self.ask(NOTHING, "", NEEDED)

    def _tell(self, why: str) -> None:
        self.lost += 1
        self.failed(Unreadable(UNTOLD, "on the server", why))

    def _failing(self, at: str, prefix: str) -> Iterator[tuple[str, list[Run] | RequestRefused]]:
        """The runs of one millisecond whose ids begin so, page by page, or why they do not come."""
        for digit in _DIGITS:
            known = prefix + digit
            try:
                care = AT_ONCE if len(known) < _DEPTH else DIVISIBLE
                for page in self._pages(f"{at} AND attributes.run_id LIKE '{known}%'", care):
                    yield known, page
            except RequestRefused as error:
                if not is_of_runs(error):
                    raise
                if len(known) < _DEPTH:
                    yield from self._failing(at, known)
                else:
                    yield known, error

    def _pages(self, condition: str, care: Care) -> Iterator[list[Run]]:
        token, listing, seen = "", Listing("runs"), set[str]()
        while True:
            page, token = self.ask(condition, token, care)
            yield page
            if not token:
                return
            fresh = {run.run_id for run in page} - seen
            seen |= fresh
            listing.page(token, len(page), len(fresh))


def is_offset(token: str) -> bool:
    """Whether it is a page token of MLflow's own."""
    try:
        told = orjson.loads(base64.b64decode(token))
    except ValueError:
        return False
    return isinstance(told, dict) and "offset" in told


def _middle(begin: int, end: int, sign: int) -> int:
    """Where a span is divided: first at today and at 1970, between which most runs started."""
    day = 24 * 60 * 60 * 1000
    for time in sorted((sign * (now() + day), -1 if sign > 0 else 0)):
        if begin <= time < end:
            return time
    return begin + (end - begin) // 2


def _between(since: int, until: int) -> str:
    return f"attributes.start_time >= {since} AND attributes.start_time <= {until}"
