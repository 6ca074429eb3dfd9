"""What a transfer is to carry: the experiments and runs of a source that a selection means."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync.contract.source import Source
from runsync.model.experiment import Experiment
from runsync.model.ids import unfit_run
from runsync.model.not_carried import NotCarried
from runsync.model.run import Batch, Unreadable
from runsync.model.selection import Selection
from runsync.transfer.expected import expected
from runsync.transfer.model_files import logged_models
from runsync.transfer.unmet import UnmetFields


class Wanted:
    """Nothing is read before it is asked for, and nothing twice.

    With `is_renamed_only` neither experiments nor runs are meant, and of registered models those that get another name.
    """

    def __init__(
        self, source: Source, selection: Selection, artifacts: bool = True, is_renamed_only: bool = False
    ) -> None:
        self.source = source
        self.selection = selection
        self._artifacts = artifacts
        self.is_renamed_only = is_renamed_only
        self._unmet = UnmetFields(selection)
        self._read: tuple[Sequence[Experiment], Iterator[Batch]] | None = None

    def count(self) -> None:
        """Reads so many runs as tell whether they are as many as the selection says, where it says that: to be called
        before a target is made or opened. Raises OtherRunsSelected."""
        if self.selection.min_runs or self.selection.expect_runs is not None:
            self.read()

    def read(self) -> tuple[Sequence[Experiment], Iterator[Batch]]:
        """The experiments, and the runs batch by batch. Raises OtherRunsSelected."""
        if self._read is None:
            experiments = [] if self.is_renamed_only else self._experiments()
            batches = self.source.batches(experiments, self.selection) if self.selection.has_runs else iter(())
            meant = self._unmet.noting(map(_judged, batches))
            self._read = experiments, expected(meant, self.selection, self.hints)
        return self._read

    def _experiments(self) -> list[Experiment]:
        """Also those of logged models that are meant, where no run is."""
        found = self.source.experiments(self.selection)
        known = {e.experiment_id for e in found}
        models = logged_models(self.source, set(self.selection.logged_models)).values()
        homes = {model.experiment_id for model in models} - known
        more = [e for e in self.source.experiments(Selection()) if e.experiment_id in homes] if homes else []
        return [*found, *more]

    def left_behind(self, experiments: Sequence[Experiment]) -> list[NotCarried]:
        """See `Source`."""
        return self.source.left_behind(experiments, self.selection, self._artifacts)

    def hints(self) -> list[str]:
        """See `UnmetFields`."""
        return self._unmet.hints(self.source)


def _judged(batch: Batch) -> Batch:
    """Without the runs whose ids would lead elsewhere: no source or target ever hears of them again."""
    reasons = {run.run_id: reason for run in batch.runs if (reason := unfit_run(run))}
    if not reasons:
        return batch
    unfit = [Unreadable(run.run_id, run.name, reasons[run.run_id]) for run in batch.runs if run.run_id in reasons]
    fit = tuple(run for run in batch.runs if run.run_id not in reasons)
    return replace(batch, runs=fit, unreadable=(*batch.unreadable, *unfit))
