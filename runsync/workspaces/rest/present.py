"""The runs that a target server has."""

from collections.abc import Iterable, Iterator, Sequence

from runsync.model.experiment import Experiment
from runsync.model.identity import COPY
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.arrival.present import Bounds
from runsync.workspaces.rest.twins import OF_COPIES, OF_DIRECT_COPIES
from runsync.workspaces.rest.workspace import RestWorkspace


class RestRuns:
    """See `arrival.present.TargetRuns`: a search per 1000 runs, and at least one for each so many experiments."""

    def __init__(self, workspace: RestWorkspace) -> None:
        self._workspace = workspace
        self._direct: set[str] = set()

    def begin(self, existing: Iterable[Experiment]) -> None:
        """Keeps in mind in which of these experiments copies may be that were brought straight into the server's
        database: in those that were brought so themselves and, where one search finds any, in all others."""
        told = {e.experiment_id: COPY in e.tags for e in existing}
        self._direct = {id for id, is_direct in told.items() if is_direct}
        others = [id for id in told if id not in self._direct]
        if self._workspace.habits.is_mlflow and any(
            map(self._has_direct_copies, self._workspace.search.chunks(others))
        ):
            self._direct.update(others)

    def copies(self, experiment_ids: Sequence[str], between: Bounds | None = None) -> Iterator[Run]:
        """See `TargetRuns`. Copies that were brought straight into the database have another tag: a search more, where
        there may be some."""
        started = "" if between is None else _started(between)
        direct = [id for id in experiment_ids if id in self._direct]
        for condition, places in ((OF_COPIES, experiment_ids), (OF_DIRECT_COPIES, direct)):
            for ids in self._workspace.search.chunks(places):
                yield from self._workspace.search.every(ids, condition + started)

    def _has_direct_copies(self, experiment_ids: Sequence[str]) -> bool:
        return any(True for _ in self._workspace.search.every(experiment_ids, OF_DIRECT_COPIES, most=1))

    def of_ids(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Iterator[Run]:
        """See `TargetRuns`."""
        for ids in self._workspace.search.chunks(experiment_ids):
            yield from self._workspace.search.of(ids, Selection(runs=tuple(run_ids)))


def _started(between: Bounds) -> str:
    return f" AND attributes.start_time >= {between[0]} AND attributes.start_time <= {between[1]}"
