"""Searching runs in an Azure ML workspace: it takes ids and a state, and one order; all else is filtered here."""

from collections.abc import Iterator, Sequence

from runsync.model.fields import Order
from runsync.model.filter.evaluate import Facts, matches
from runsync.model.filter.parse import parse
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.http.fields import Listing
from runsync.workspaces.rest.order import OLDEST_FIRST, is_by_time
from runsync.workspaces.rest.search import PAGE, RunSearch, chunks, look

IDS_A_SEARCH = 100


class AzureSearch(RunSearch):
    """See `RunSearch`. The server is asked for all runs, in the order of start time."""

    def order_by(self, order: Sequence[Order]) -> tuple[str, ...] | None:
        """See `RunSearch`. Only start time is an order of the server's."""
        by = super().order_by(order)
        return by if is_by_time(by or ()) else None

    def page(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str,
        token: str = "",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> tuple[list[Run], str]:
        """See `RunSearch`. Fields are named in orders without `attributes.`, as Microsoft's examples have it."""
        plain = [one.removeprefix("attributes.") for one in by]
        return super().page(experiment_ids, filter_string, state, token, plain, most)

    def every(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str = "all",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """See `RunSearch`. By page tokens alone: start times take no comparison."""
        expression = parse(filter_string) if filter_string else None
        for run in self._all_pages(experiment_ids, "", state, by, most):
            if expression is None or matches(expression, run, Facts.of(())):
                yield run

    def of(
        self,
        experiment_ids: Sequence[str],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """See `RunSearch`. Ids are the one thing that is asked for (the form is in Microsoft's examples)."""
        if not selection.runs:
            yield from self._all_pages(experiment_ids, "", selection.state, by, most)
        for ids in chunks(selection.runs, IDS_A_SEARCH):
            listed = ", ".join(f"'{run_id}'" for run_id in ids if "'" not in run_id)
            condition = f"attributes.run_id IN ({listed})"
            found = self._all_pages(experiment_ids, condition, selection.state, OLDEST_FIRST, PAGE)
            yield from (run for run in found if run.run_id in ids)

    def _all_pages(
        self, experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str], most: int
    ) -> Iterator[Run]:
        seen: set[str] = set()
        token, listing = "", Listing("runs")
        while True:
            page, token = self.page(experiment_ids, filter_string, state, token, by, most)
            fresh = [run for run in page if run.run_id not in seen]
            yield from fresh
            seen.update(run.run_id for run in fresh)
            if not token or not page:
                return
            look(listing, token, page, fresh)
