"""What can be written to: a workspace, or a new snapshot of a bundle."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Protocol

from runsync.contract.source import Source
from runsync.model.experiment import Experiment
from runsync.model.not_carried import NotCarried
from runsync.model.outcome import Outcome, Step
from runsync.model.place import Place
from runsync.model.run import Batch
from runsync.model.selection import Selection

if TYPE_CHECKING:
    from runsync.contract.entities import EntityTarget
    from runsync.kinds.kind import E, Kind
    from runsync.model.progress import Progress


class Target(Protocol):
    """Takes what a source yields. `plan` and `put` may be called from several threads.

    What has a body here is right for a target that has nothing more to tell.
    """

    @property
    def place(self) -> Place:
        """What this target is."""

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Looks at what is there already and says what is to be done with each experiment; writes nothing."""

    def prepare(self) -> list[Outcome]:
        """Makes ready to take runs (experiments are made), and says what was done with each experiment."""

    def plan(self, batch: Batch) -> list[Step]:
        """What is to be done with each run of a batch, in its order; reads, but writes nothing."""

    def foresee_experiments(self) -> list[Outcome]:
        """What is to be done with each experiment, for a dry run: with those that will be refused, as far as that shows
        without writing."""

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """The same steps, with what will not arrive, likewise."""
        return list(steps)

    def foresee_end(self) -> bool:
        """Likewise, of what only shows once all runs are known: `cannot_keep` tells it then. Returns whether more is to
        be done than was foretold of experiments and runs: deletions, links, a snapshot."""
        return False

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: "Progress"
    ) -> list[Outcome]:
        """Does it. One run's failure is an outcome; only what stops everything (no answer, disk full) is raised.

        A run without an outcome gets it from `finish`.
        """

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Does what can only be done once all runs are in, and marks the whole as finished."""
        return []

    def cannot_keep(self) -> list[NotCarried]:
        """What of the things planned or put this kind of target has no place for."""
        return []

    def notes(self) -> list[str]:
        """Sentences for the report: what else is worth knowing of what was planned or put."""
        return []

    def entities(self, kind: "Kind[E]") -> "EntityTarget[E] | None":
        """Takes those of a kind; None where there is no place for any."""
        return None
