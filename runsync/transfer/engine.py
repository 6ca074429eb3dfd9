"""The one engine: batch by batch from a source to a target, some batches side by side, requests in a shared pool."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace

from runsync.errors import Interrupted, RunsyncError
from runsync.model import threads
from runsync.model.ids import unfit_run
from runsync.model.progress import Progress
from runsync.model.protocol import FAILED, Outcome, Source, Step, Target
from runsync.model.run import Batch, Unreadable
from runsync.model.selection import Selection
from runsync.transfer.expected import expected
from runsync.transfer.objects import Objects
from runsync.transfer.report import TransferReport
from runsync.transfer.unmet import UnmetFields

LANES = 2
"""Batches carried side by side: one reads while the other writes."""


def transfer(
    report: TransferReport,
    source: Source,
    target: Target,
    selection: Selection,
    workers: int,
    progress: Progress,
    notebooks: tuple[str, ...] = (),
) -> None:
    """Carries the selection over (or, for a dry run, only plans it) and tells in `report` what was done.

    `notebooks` are the formats that those are read in where the source is the workspace that has them.

    Raises RunsyncError for what fails before anything is carried. What stops it later is told in the report; what
    was finished by then stays finished.
    """
    begun = time.monotonic()
    experiments = source.experiments(selection)
    unmet = UnmetFields(selection)
    meant = unmet.noting(map(_judged, source.batches(experiments, selection)))
    batches = expected(meant, selection, lambda: unmet.hints(source))
    objects = Objects(source, target, experiments, notebooks)
    planned = target.begin(source, selection, experiments)
    try:
        report.not_carried += source.left_behind(experiments, selection)
        if report.dry_run:
            report.add(planned)
            for batch in objects.noting(batches):
                report.note_broken(batch.broken)
                report.add(_unreadable(batch))
                report.add(_planned(batch, target.plan(batch)))
            objects.carry(report, workers, progress)
        else:
            report.add(target.prepare())
            _carry(report, source, target, objects.noting(batches), workers, progress)
            objects.carry(report, workers, progress)
            report.add(target.finish(report.not_carried))
        report.not_carried += target.cannot_keep()
        report.notes += target.notes()
        report.notes += ["the selection matches no run"] if selection.names_runs and not report.runs.total else []
        report.notes += unmet.hints(source)
    except KeyboardInterrupt:
        report.stop(Interrupted("stopped from outside; run it again to go on"))
    except RunsyncError as error:
        report.stop(error)
    report.seconds = round(time.monotonic() - begun, 3)


def _judged(batch: Batch) -> Batch:
    """Without the runs whose ids would lead elsewhere: no source or target ever hears of them again."""
    reasons = {run.run_id: reason for run in batch.runs if (reason := unfit_run(run))}
    if not reasons:
        return batch
    unfit = [Unreadable(run.run_id, run.name, reasons[run.run_id]) for run in batch.runs if run.run_id in reasons]
    fit = tuple(run for run in batch.runs if run.run_id not in reasons)
    return replace(batch, runs=fit, unreadable=(*batch.unreadable, *unfit))


def _unreadable(batch: Batch) -> list[Outcome]:
    """What is to be told of what a source cannot read."""
    return [Outcome(u.kind, u.id, u.place, FAILED, error=u.reason) for u in batch.unreadable]


def _planned(batch: Batch, steps: Sequence[Step]) -> Iterator[Outcome]:
    for run, step in zip(batch.runs, steps, strict=True):
        told = (run.run_id, run.name, step.action, step.target_id)
        yield Outcome("run", *told, problems=step.problems, error=step.error, retry=step.retry)


def _carry(
    report: TransferReport,
    source: Source,
    target: Target,
    batches: Iterator[Batch],
    workers: int,
    progress: Progress,
) -> None:
    # The requests end first: a batch that waits for one that was dropped ends then too.
    with threads.pool(LANES, "runsync-batch") as lanes, threads.pool(workers, "runsync-request") as pool:
        waiting: set[Future[list[Outcome]]] = set()
        for batch in batches:
            progress.expect(len(batch.runs))
            report.note_broken(batch.broken)
            waiting.add(lanes.submit(_one, batch, source, target, pool, progress))
            while len(waiting) > LANES:
                waiting = _take(report, waiting)
        while waiting:
            waiting = _take(report, waiting)


def _one(batch: Batch, source: Source, target: Target, pool: Executor, progress: Progress) -> list[Outcome]:
    return _unreadable(batch) + target.put(batch, target.plan(batch), source, pool, progress)


def _take(report: TransferReport, waiting: set[Future[list[Outcome]]]) -> set[Future[list[Outcome]]]:
    done, rest = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        report.add(future.result())
    return rest
