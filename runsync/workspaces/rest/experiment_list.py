"""The experiments that a server lists."""

from collections.abc import Iterator
from typing import Any

from runsync.model.experiment import Experiment
from runsync.model.run import Unreadable
from runsync.workspaces.http import Client, Portion
from runsync.workspaces.http.fields import pages, without_nulls
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.server import API

PAGE = 1000


class ExperimentList:
    """Of one server; what was met and cannot be read is kept in mind."""

    def __init__(self, client: Client, habits: Habits) -> None:
        self._client = client
        self._habits = habits
        self._pages = Portion(PAGE, "experiment")
        self._unreadable: dict[tuple[str, str], Unreadable] = {}

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
        for page in pages(self._page, "experiments"):
            sound, odd = wire.experiments({"experiments": page}, self._habits.experiment)
            self._unreadable.update(((one.id, one.kind), one) for one in odd)
            for found in sound:
                if found.experiment_id not in seen:
                    yield found
                seen.add(found.experiment_id)

    def _page(self, token: str) -> dict[str, Any]:
        body: dict[str, Any] = {"view_type": "ALL"}
        if self._habits.experiment_order:
            body["order_by"] = list(self._habits.experiment_order)
        if token:
            body["page_token"] = token
        path = f"{API}/experiments/search"
        answer = self._pages.ask(lambda size, care: self._client.post(path, {**body, "max_results": size}, care=care))
        return without_nulls(answer, "experiments")
