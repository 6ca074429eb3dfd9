"""Searching runs on a server: pages, each run once, whatever the server ignores of what it was asked."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import orjson

from runsync.errors import EndlessList, RequestRefused, TooMuch
from runsync.model.experiment import Experiment
from runsync.model.fields import Order
from runsync.model.filter.evaluate import Facts, chooser, matches
from runsync.model.filter.parse import parse
from runsync.model.filter.push import Dialect, is_heeded, narrowed, pushed, state
from runsync.model.filter.tree import Expression, conjuncts
from runsync.model.ordering import ordered
from runsync.model.run import Run, Unreadable
from runsync.model.selection import Selection
from runsync.workspaces.http import DIVISIBLE, Care, Client, Portion, json_of
from runsync.workspaces.http.fields import Json, Listing, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.around import AT_ONCE, FIRST, LAST, Around, is_of_runs, is_offset
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.oddities import Oddities
from runsync.workspaces.rest.order import OLDEST_FIRST, is_by_time, merged, order_by
from runsync.workspaces.rest.registry import ModelVersions, runs_of_versions
from runsync.workspaces.rest.server import API

PAGE = 1000
LONGEST_PAGE = 32 << 20
"""Bytes of a search page above which the next one is asked for with half as many runs."""
IDS_A_SEARCH = 500
VIEWS = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}
T = TypeVar("T")


class RunSearch:
    """The searches of one server; `dialect` is what of filters it takes."""

    def __init__(self, client: Client, habits: Habits, dialect: Dialect) -> None:
        self._client = client
        self._habits = habits
        self._dialect = dialect
        self.versions = ModelVersions(partial(runs_of_versions, client))
        self._pages = Portion(PAGE, "run")
        self._oddities = Oddities()
        self._goes_around = False
        """Whether there are runs that the server fails with."""

    @property
    def notes(self) -> list[str]:
        """What the server did not do as it was asked, and that less was asked for at a time."""
        return [*self._oddities.notes, *self._pages.notes]

    def unreadable(self, told: set[str]) -> tuple[Unreadable, ...]:
        """The runs that were met and cannot be read, but for those in `told`, to which they are added."""
        return self._oddities.untold(told)

    def chunks(self, experiment_ids: Sequence[T]) -> Iterator[Sequence[T]]:
        """So many experiments as one search may name."""
        return chunks(experiment_ids, self._habits.experiments_a_search)

    def page(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str,
        token: str = "",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> tuple[list[Run], str]:
        """One page of runs/search of at most that many runs, and the token of the next page ("" after the last)."""
        body = _searched(experiment_ids, filter_string, state, by, token)

        def ask(size: int, care: Care) -> dict[str, Any]:
            sized = {**body, "max_results": size}
            if size > 1:
                return self._ask(sized, AT_ONCE if self._goes_around else care)
            try:
                return self._ask(sized, DIVISIBLE)
            except TooMuch as error:
                if is_of_runs(error):
                    raise
                return self._ask(sized, care)

        return self._found(self._pages.ask(ask, most), experiment_ids)

    def _found(self, answer: dict[str, Any], experiment_ids: Sequence[str]) -> tuple[list[Run], str]:
        runs, odd = wire.runs(answer, self._habits.run)
        return self._oddities.sound(runs, odd, experiment_ids), text(answer, "next_page_token", "")

    def _around(self, experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str]) -> Around:
        """Of a search that fails with a page of one run."""

        def ask(condition: str, token: str, care: Care) -> tuple[list[Run], str]:
            body = _searched(experiment_ids, _both(filter_string, condition), state, by, token)
            return self._found(self._ask({**body, "max_results": PAGE}, care), experiment_ids)

        return Around(ask, lambda one: self._oddities.sound((), (one,), experiment_ids))

    def every(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str = "all",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """All runs of a search, each once; the first page has at most `most` of them, and each further one twice that.

        MLflow's page tokens are offsets, which shift when a run is purged meanwhile. So in the order of start time
        each page is asked for by it (from that of the last run seen on), and offsets are used only within one and
        the same start time. In another order a run that others purge meanwhile may make one be passed over.
        A page may be empty, or have no run that can be read, and others follow. A server that ignores order or bounds
        is read by its tokens, and one that ignores filters is filtered here.
        """
        conditions = list(conjuncts(parse(filter_string))) if filter_string else []
        heeded = [condition for condition in conditions if is_heeded(condition)]
        nothing = Facts.of(())

        def meets(run: Run, conditions: Sequence[Expression]) -> bool:
            is_there = state == "all" or run.lifecycle_stage == state
            return is_there and all(matches(condition, run, nothing) for condition in conditions)

        found = self._every(experiment_ids, filter_string, state, by, most)
        return self._oddities.asked_for(found, partial(meets, conditions=conditions), partial(meets, conditions=heeded))

    def of(
        self,
        experiment_ids: Sequence[str],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """The runs of these experiments that a selection means (by id: each id's chunk apart); see `every`."""
        parts = [selection.filter]
        if selection.since is not None:
            parts.append(f"attributes.start_time >= {selection.since}")
        if selection.until is not None:
            parts.append(f"attributes.start_time <= {selection.until}")
        if not selection.runs:
            condition = " AND ".join(p for p in parts if p)
            yield from self.every(experiment_ids, condition, selection.state, by, most)
            return
        for chunk in chunks(selection.runs, IDS_A_SEARCH):
            ids = ", ".join(f"'{quotable(run_id)}'" for run_id in chunk)
            condition = " AND ".join(p for p in (*parts, f"attributes.run_id IN ({ids})") if p)
            yield from self.every(experiment_ids, condition, selection.state)

    def meant(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """The runs of these experiments, however many, that a selection with its filter means."""
        is_meant = chooser(selection, Facts.of(experiments, has_model_version=self.versions.has))
        if selection.filter:
            expression = parse(selection.filter)
            experiments = narrowed(expression, experiments)
            selection = _for_server(selection, expression, self._dialect)
        for chunk in self.chunks([e.experiment_id for e in experiments]):
            yield from (run for run in self.of(chunk, selection, by, most) if is_meant(run, ()))

    def once(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Run]:
        """The same, each once, though others are made, deleted or purged meanwhile."""
        return self._oddities.once(self.meant(experiments, selection))

    def in_order(
        self, experiments: Sequence[Experiment], selection: Selection, order: Sequence[Order], limit: int | None
    ) -> Iterator[Run]:
        """See `Source`. By start time they are streamed; the first few of another order the server picks if it can."""
        by = None if selection.runs else self.order_by(order)
        if by is None or (limit is None and not is_by_time(by)):
            yield from islice(ordered(self.meant(experiments, selection), order, experiments), limit)
            return
        most = PAGE if limit is None else max(1, min(PAGE, limit))
        found = islice(merged([self.meant(c, selection, by, most) for c in self.chunks(experiments)], order), limit)
        if is_by_time(by):
            yield from found
            return
        try:
            first = list(found)
        except _NotInOrder:
            first = ordered(self.meant(experiments, selection), order, experiments)[:limit]
        yield from first

    def order_by(self, order: Sequence[Order]) -> tuple[str, ...] | None:
        """An order as the server has it; None where it has it not."""
        return order_by(order)

    def _ask(self, body: Json, care: Care) -> dict[str, Any]:
        """What a search answers with. Where that is long, fewer runs are asked for at a time from now on."""
        headers = {"Content-Type": "application/json"}
        content = orjson.dumps(body)
        response = self._client.send("POST", f"{API}/runs/search", content=content, headers=headers, care=care)
        if len(response.content) > LONGEST_PAGE:
            self._pages.shorten(body["max_results"] // 2)
        return json_of(response)

    def _every(
        self, experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str], most: int
    ) -> Iterator[Run]:
        since: int | None = None
        by_time, is_oldest_first = is_by_time(by), by == OLDEST_FIRST
        token, listing = "", Listing("runs")
        seen: set[str] = set()
        around = self._around(experiment_ids, filter_string, state, by)
        may_be_more = False
        while True:
            bound = "" if since is None else f"attributes.start_time {'>=' if is_oldest_first else '<='} {since}"
            try:
                page, token = self.page(experiment_ids, _both(filter_string, bound), state, token, by, most)
            except RequestRefused as error:
                if not is_of_runs(error):
                    raise
                self._goes_around = True
                if not is_by_time(by):
                    raise _NotInOrder from error
                first, until = (FIRST, LAST) if since is None else (since, LAST) if is_oldest_first else (FIRST, since)
                for page in around.pages(first, until, by_time and not is_oldest_first):
                    fresh = [run for run in page if run.run_id not in seen]
                    seen.update(run.run_id for run in fresh)
                    yield from fresh
                self._pages.restore()
                may_be_more = by_time
                break
            most = min(PAGE, 2 * most)
            fresh = [run for run in page if run.run_id not in seen]
            seen.update(run.run_id for run in fresh)
            yield from fresh
            if by_time and not self._oddities.is_ordered(page, since, not is_oldest_first):
                by_time, since, token, listing = False, None, "", Listing("runs", len(seen))
                continue
            if not token:
                break
            look(listing, token, page, fresh)
            last = page[-1].start_time if page else None
            if by_time and last is not None and last != since and last != page[0].start_time:
                may_be_more |= is_offset(token)
                since, token, listing = last, "", Listing("runs", len(page))
        if may_be_more and self._habits.is_mlflow:
            self._around(experiment_ids, filter_string, state, OLDEST_FIRST).behind(len(seen) + around.lost)


class _NotInOrder(Exception):
    """There are runs to be gone around, which is done by start time."""


def look(listing: Listing, token: str, page: Sequence[Run], fresh: Sequence[Run]) -> None:
    """Raises EndlessList for a list of runs without an end: it is the whole that cannot be read."""
    try:
        listing.page(token, len(page), len(fresh))
    except RequestRefused as error:
        raise EndlessList(str(error)) from None


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """So many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _both(*conditions: str) -> str:
    return " AND ".join(filter(None, conditions))


def _searched(experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str], token: str) -> Json:
    """The body of a search, without how many are asked for."""
    body = {
        "experiment_ids": list(experiment_ids),
        "filter": filter_string,
        "run_view_type": VIEWS[state],
        "order_by": list(by),
    }
    return body | ({"page_token": token} if token else {})


def quotable(run_id: str) -> str:
    """An id for a filter: what it cannot have would end its quotes."""
    return run_id.replace("'", "")


def _for_server(selection: Selection, expression: Expression, dialect: Dialect) -> Selection:
    """With as much of the filter as the server takes."""
    narrower = state(expression)
    if selection.state == "all":
        selection = dataclasses.replace(selection, state=narrower)
    return dataclasses.replace(selection, filter=pushed(expression, dialect))
