"""Objects that are a document and nothing else, of a database whose tables are still to be made: there are none."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NoReturn

from runsync.errors import RequestRefused
from runsync.kinds.document import D
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.documents import DocumentStore


class NoDocuments(DocumentStore[D], Generic[D]):
    """A `DocumentStore`."""

    keeps_all = True

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[D]:
        """None."""
        return iter(())

    def find(self, wanted: Sequence[D]) -> Iterable[D]:
        """None."""
        return ()

    def create(self, wanted: D) -> tuple[str, Sequence[Problem]]:
        """Raises RequestRefused, as all that writes."""
        self._refuse()

    def change(self, wanted: D, there: D) -> Sequence[Problem]:
        """Raises RequestRefused."""
        self._refuse()

    def delete(self, experiment_id: str, id: str) -> None:
        """Raises RequestRefused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RequestRefused("there are no tables yet")
