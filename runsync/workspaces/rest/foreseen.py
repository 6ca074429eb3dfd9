"""What a dry run tells of the artifacts that would go to a server: those that cannot be read, and those that would have
another name there."""

from collections.abc import Sequence

from runsync.contract.foresight import Foresight
from runsync.contract.source import Source
from runsync.model.experiment import Experiment
from runsync.model.run import Contents, Problem
from runsync.workspaces.arrival.arrange import Arranger
from runsync.workspaces.arrival.copy import Copy
from runsync.workspaces.rest.artifacts import Artifacts

_SOME_RUN = "0" * 32
"""An id such as MLflow gives out, for a run that has none yet."""


class ForeseenFiles:
    """Of one dry run; `existing` are the experiments that the server has."""

    def __init__(self, store: Artifacts, existing: Sequence[Experiment]) -> None:
        self._foresight = Foresight()
        self._arranger = Arranger(store, _leave, is_planned_only=True)
        self._locations = {e.experiment_id: e.artifact_location.rstrip("/") for e in existing}

    @property
    def notes(self) -> list[str]:
        """Those that would be renamed or left out, and that not all was looked at."""
        return [*self._arranger.notes, *self._foresight.notes]

    def look(self, copy: Copy, source: Source, contents: Contents | None) -> None:
        """Notes on the copy which of its files would not arrive."""
        files = self._foresight.files(source, copy.run, contents, copy.note)
        if copy.present is None:
            copy.artifact_uri = f"{self._location(copy.experiment_id)}/{_SOME_RUN}/artifacts"
            copy.target_id = _SOME_RUN
        for file in self._arranger.arrange(copy, files):
            if file.fault:
                copy.note(Problem("artifact", file.path, file.fault))

    def _location(self, experiment_id: str) -> str:
        """That of an experiment; of one that is not made yet as others have theirs."""
        if experiment_id in self._locations:
            return self._locations[experiment_id]
        roots = (root for id, at in self._locations.items() for root, _, last in [at.rpartition("/")] if last == id)
        return f"{next(roots, '')}/new"


def _leave(copy: Copy, key: str, value: str) -> None:
    """Nothing is written."""
