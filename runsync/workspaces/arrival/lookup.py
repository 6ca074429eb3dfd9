"""Which run of a target a run of a source is: where it belongs, or wherever it was moved to."""

from collections.abc import Sequence

from runsync.model.identity import origin_of
from runsync.model.run import Run
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.present import Present, There


class Lookup:
    """Finds the runs of one transfer by the id that they were born with, which is one and the same everywhere.

    Only for runs that are not in the experiment where they belong are other experiments looked through, a batch at a
    time.
    """

    def __init__(self, present: Present, experiments: ExperimentMap) -> None:
        self._present = present
        self._experiments = experiments

    def look(self, runs: Sequence[Run]) -> None:
        """Looks for the runs of a batch that are not known yet."""
        wanted = [(self.belongs_in(run), origin_of(run)) for run in runs if self.find(run) is None]
        self._present.look_for_natives(self._experiments.existing_ids(), wanted)
        left = {origin_of(run): run.start_time or 0 for run in runs if self.find(run) is None}
        self._present.look_elsewhere(self._experiments.elsewhere_ids(), left)

    def belongs_in(self, run: Run) -> str:
        """The target's experiment for it; "" before that is made."""
        return self._experiments.target_id(run.experiment_id)

    def find(self, run: Run) -> There | None:
        """The run that is there of it."""
        origin = origin_of(run)
        there = self._present.get(self.belongs_in(run), origin)
        if there is not None:
            return there
        others = self._present.others(origin)
        return next((t for t in others if self._experiments.may_hold(t.experiment_id, run.experiment_id)), None)

    def is_moved(self, run: Run, there: There) -> bool:
        """Whether a copy is in another experiment than the one where it belongs. What is at home stays where it is."""
        return bool(there.home) and there.experiment_id != self.belongs_in(run)
