"""The one engine: batch by batch from a source to a target, some batches side by side, requests in a shared pool."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any

from runsync import threads
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.errors import Interrupted, RunsyncError
from runsync.kinds.left_behind import not_asked_for
from runsync.kinds.scope import Scope
from runsync.model.outcome import FAILED, Outcome, Step
from runsync.model.progress import Progress
from runsync.model.run import Batch
from runsync.transfer.entities import Entities
from runsync.transfer.model_names import Renames
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

LANES = 2
"""Batches carried side by side: one reads while the other writes."""


def transfer(
    report: TransferReport,
    wanted: Wanted,
    target: Target,
    workers: int,
    progress: Progress,
    asked: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Carries what is wanted over (or, for a dry run, only plans it) and tells in `report` what was done.

    `asked` are options that are about one kind of entity, by name (see `kinds.asked`); `names` are other names for
    registered models.

    Raises RunsyncError for what fails before anything is carried. What stops it later is told in the report; what
    was finished by then stays finished.
    """
    begun = time.monotonic()
    source, selection = wanted.source, wanted.selection
    report.accept |= not_asked_for(selection.kinds)
    experiments, batches = wanted.read()
    scope, renames = Scope.of(selection, experiments, asked or {}), Renames(names or {}, wanted.is_renamed_only)
    entities = Entities(source, target, scope, selection, renames)
    target.begin(source, selection, experiments)
    try:
        report.not_carried += wanted.left_behind(experiments)
        if report.dry_run:
            _foresee(report, source, target, entities.noting(batches))
            entities.carry(report, workers, progress)
        else:
            report.add(target.prepare())
            _carry(report, source, target, entities.noting(batches), workers, progress)
            entities.carry(report, workers, progress)
            report.add(target.finish(report.not_carried))
        report.not_carried += target.cannot_keep()
        report.notes += target.notes()
        report.notes += ["the selection matches no run"] if selection.names_runs and not report.runs.total else []
        report.notes += wanted.hints()
    except KeyboardInterrupt:
        report.stop(Interrupted("stopped from outside; run it again to go on"))
    except RunsyncError as error:
        report.stop(error)
    report.seconds = round(time.monotonic() - begun, 3)


def _foresee(report: TransferReport, source: Source, target: Target, batches: Iterator[Batch]) -> None:
    """What would be done with experiments and runs."""
    report.add(target.foresee_experiments())
    for batch in batches:
        report.note_broken(batch.broken)
        report.add(_unreadable(batch))
        report.add(_planned(batch, target.foresee(batch, target.plan(batch), source)))
    report.has_more_to_do |= target.foresee_end()


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
