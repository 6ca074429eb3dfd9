"""The runs that a target server has."""

from collections.abc import Iterator, Sequence

from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.rest.twins import OF_COPIES
from runsync.workspaces.rest.workspace import RestWorkspace


class RestRuns:
    """See `arrival.present.TargetRuns`: a search per 1000 runs."""

    def __init__(self, workspace: RestWorkspace) -> None:
        self._workspace = workspace

    def copies(self, experiment_ids: Sequence[str]) -> Iterator[Run]:
        """See `TargetRuns`."""
        return self._workspace.search_every(experiment_ids, OF_COPIES)

    def of_ids(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> Iterator[Run]:
        """See `TargetRuns`."""
        return self._workspace.runs_of(experiment_ids, Selection(runs=tuple(run_ids)))
