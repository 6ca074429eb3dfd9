"""Experiments that a server fails to answer with: a list goes around them, and each is named.

One row that its store cannot read fails every page that it is on, and every page that ends before it: MLflow reads one
row more than it gives. So pages are halved down to one row; those that do not come so are asked for from the other end
of the list, where what was behind them is before them. MLflow's page tokens are offsets.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from runsync.errors import RequestRefused
from runsync.model.run import UNTOLD, Unreadable
from runsync.workspaces.http import DIVISIBLE, NEEDED, Care
from runsync.workspaces.http.fields import Json, identifier, listed
from runsync.workspaces.rest.around import AT_ONCE, is_of_runs

PAGE = 1000
NO_ROW = "creation_time < 0"
"""A filter that no experiment meets: whether the server answers at all, whatever is wrong with its rows."""
MOST = 1000
"""Rows in a list that are gone around; more are no broken rows."""
_OLDEST_FIRST, _NEWEST_FIRST = ["experiment_id ASC"], ["experiment_id DESC"]

Ask = Callable[[Json, Care], dict[str, Any]]
"""A page of the list, as this body asks for it."""


@dataclass(slots=True)
class AroundExperiments:
    """Of one list. `failed` is told of each experiment that was gone around."""

    ask: Ask
    failed: Callable[[Unreadable], object]
    _ids: dict[int, str] = field(default_factory=dict)
    """By their places in the list."""

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """The experiments, by id. Raises RequestRefused where the server answers nothing at all."""
        lost: dict[int, RequestRefused] = {}
        place, size, is_end = 0, PAGE, False
        while not is_end:
            try:
                found, is_end = self._page(_OLDEST_FIRST, place, size, AT_ONCE)
            except RequestRefused as error:
                if not is_of_runs(error) or len(lost) == MOST:
                    raise
                if size > 1:
                    size //= 2
                    continue
                self.ask({"max_results": 1, "filter": NO_ROW}, NEEDED)  # waits for a server that answers nothing at all
                lost[place] = error
                place += 1
                continue
            yield self._noted(place, found)
            place += len(found)
            size = min(PAGE, 2 * size)
        yield from self._from_behind(lost, place)

    def _from_behind(self, lost: dict[int, RequestRefused], count: int) -> Iterator[list[dict[str, Any]]]:
        """Those of `count` that did not come, if only because of the row behind them."""
        broken: dict[int, RequestRefused] = {}
        for place in lost:
            try:
                found, _ = self._page(_NEWEST_FIRST, count - 1 - place, 1, DIVISIBLE)
            except RequestRefused as error:
                if not is_of_runs(error):
                    raise
                broken[place] = error
            else:
                yield self._noted(place, found)
        for place, cause in broken.items():
            id, where = self._between(place)
            why = f"the server fails to answer with it (HTTP {cause.status})"
            self.failed(Unreadable(id, "on the server", f"{where}{why}", "experiment"))

    def _page(self, order: list[str], place: int, size: int, care: Care) -> tuple[list[dict[str, Any]], bool]:
        """The experiments from a place in the list on, and whether these are the last."""
        body: dict[str, Any] = {"max_results": size, "order_by": order}
        if place:
            body["page_token"] = base64.b64encode(orjson.dumps({"offset": place})).decode()
        answer = self.ask(body, care)
        return listed(answer, "experiments"), not answer.get("next_page_token")

    def _noted(self, place: int, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._ids.update((place + nth, identifier(one, "experiment_id")) for nth, one in enumerate(found))
        return found

    def _between(self, place: int) -> tuple[str, str]:
        """The id of what is at a place, where only one fits between its neighbours; else what is known of it."""
        before, behind = self._ids.get(place - 1, ""), self._ids.get(place + 1, "")
        if before.isdecimal() and behind.isdecimal() and int(behind) - int(before) == 2:
            return str(int(before) + 1), ""
        where = " and ".join(told for told, id in ((f"after {before}", before), (f"before {behind}", behind)) if id)
        return UNTOLD, f"by id it comes {where}; " if where else ""
