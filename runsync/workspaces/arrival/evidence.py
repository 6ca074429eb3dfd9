"""Whether an experiment of a target has runs of an experiment of a source: run ids are the same nowhere else."""

from collections.abc import Iterator
from itertools import islice

from runsync.contract.source import Source
from runsync.model.experiment import Experiment
from runsync.model.identity import origin_of
from runsync.model.pairing import SharesRuns
from runsync.model.run import Run
from runsync.model.selection import Selection

ENOUGH = 20
"""Runs of the source that are looked for."""


def shares_runs(source: Source, target: Source) -> SharesRuns:
    """Looks for the first few runs of one among those of the other that started in the same time."""

    def shares(experiment: Experiment, there: Experiment) -> bool:
        wanted = list(islice(_runs(source, experiment, Selection()), ENOUGH))
        if not wanted:
            return False
        origins = {origin_of(run) for run in wanted}
        starts = [run.start_time or 0 for run in wanted]
        selection = Selection(since=min(starts), until=max(starts))
        return any(origin_of(run) in origins for run in _runs(target, there, selection))

    return shares


def _runs(side: Source, experiment: Experiment, selection: Selection) -> Iterator[Run]:
    return (run for batch in side.batches([experiment], selection) for run in batch.runs)
