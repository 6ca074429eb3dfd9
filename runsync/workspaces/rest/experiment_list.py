"""The experiments that a server lists."""

from collections.abc import Iterator
from typing import Any

from runsync.errors import RequestRefused, TooMuch
from runsync.model.experiment import Experiment
from runsync.model.run import UNTOLD, Unreadable
from runsync.workspaces.http import Care, Client, Portion
from runsync.workspaces.http.fields import Json, pages, without_nulls
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.around import is_of_runs
from runsync.workspaces.rest.around_experiments import PAGE, AroundExperiments
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.server import API


class ExperimentList:
    """Of one server; what was met and cannot be read is kept in mind."""

    def __init__(self, client: Client, habits: Habits) -> None:
        self._client = client
        self._habits = habits
        self._pages = Portion(PAGE, "experiment")
        self._unreadable: dict[tuple[str, str, str], Unreadable] = {}

    @property
    def notes(self) -> list[str]:
        """That less was asked for at a time."""
        return self._pages.notes

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Those that were met."""
        return tuple(self._unreadable.values())

    def all(self) -> Iterator[Experiment]:
        """All of them, deleted ones too, each once."""
        seen: set[str] = set()
        for page in self._every_page():
            sound, odd = wire.experiments({"experiments": page}, self._habits.experiment)
            for one in odd:
                self._note(one)
            for found in sound:
                if found.experiment_id not in seen:
                    yield found
                seen.add(found.experiment_id)

    def _note(self, one: Unreadable) -> None:
        self._unreadable[one.id, one.kind, one.reason if one.id == UNTOLD else ""] = one

    def _every_page(self) -> Iterator[list[dict[str, Any]]]:
        """Some experiments may come twice."""
        try:
            yield from pages(self._page, "experiments")
        except RequestRefused as error:
            if not (self._habits.is_mlflow and is_of_runs(error)):
                raise
            yield from AroundExperiments(self._ask, self._note).pages()

    def _ask(self, body: Json, care: Care) -> dict[str, Any]:
        answer = self._client.post(f"{API}/experiments/search", {"view_type": "ALL", **body}, care=care)
        return without_nulls(answer, "experiments")

    def _page(self, token: str) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if self._habits.experiment_order:
            body["order_by"] = list(self._habits.experiment_order)
        if token:
            body["page_token"] = token

        def ask(size: int, care: Care) -> dict[str, Any]:
            try:
                return self._ask({**body, "max_results": size}, care)
            except TooMuch as error:
                if self._habits.is_mlflow and is_of_runs(error):  # whom fewer would not help either
                    raise RequestRefused(str(error), error.status) from None
                raise

        return self._pages.ask(ask)
