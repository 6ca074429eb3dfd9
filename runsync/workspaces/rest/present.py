"""The runs that a target server has."""

from collections.abc import Iterator, Sequence

from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.arrival.present import Bounds
from runsync.workspaces.rest.twins import OF_COPIES
from runsync.workspaces.rest.workspace import RestWorkspace


class RestRuns:
    """See `arrival.present.TargetRuns`: a search per 1000 runs, and at least one for each so many experiments."""

    def __init__(self, workspace: RestWorkspace) -> None:
        self._workspace = workspace

    def copies(self, experiment_ids: Sequence[str], between: Bounds | None = None) -> Iterator[Run]:
        """See `TargetRuns`."""
        started = "" if between is None else _started(between)
        for ids in self._workspace.chunks(experiment_ids):
            yield from self._workspace.search_every(ids, OF_COPIES + started)

    def of_ids(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Iterator[Run]:
        """See `TargetRuns`."""
        for ids in self._workspace.chunks(experiment_ids):
            yield from self._workspace.runs_of(ids, Selection(runs=tuple(run_ids)))


def _started(between: Bounds) -> str:
    return f" AND attributes.start_time >= {between[0]} AND attributes.start_time <= {between[1]}"
