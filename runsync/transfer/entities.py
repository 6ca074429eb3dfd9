"""The entities of a transfer, kind by kind (see `runsync.kinds`), carried once all runs are in."""

from collections.abc import Iterator
from typing import Any

from runsync import threads
from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.errors import BundleDamaged
from runsync.kinds import KINDS
from runsync.kinds.kind import Kind
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NAMED
from runsync.model.outcome import FAILED, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Batch
from runsync.transfer.report import TransferReport


class Entities:
    """What the runs of one transfer name is gathered in `scope` as they pass; `carry` then carries it."""

    def __init__(self, source: Source, target: Target, scope: Scope) -> None:
        self._source = source
        self._target = target
        self._scope = scope

    def noting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches again, each noted: runs name entities."""
        for batch in batches:
            self._scope.note(batch.runs)
            yield batch

    def carry(self, report: TransferReport, workers: int, progress: Progress) -> None:
        """Carries them (or, for a dry run, only plans it), kind by kind, and tells in `report` what was done."""
        for kind in KINDS:
            source = self._source.entities(kind)
            if source is not None:
                self._carry(kind, source, report, workers, progress)
            elif kind.is_asked_for(self._scope):
                report.notes.append(f"{report.source.address} has no {kind.name} to keep")

    def _carry(
        self, kind: Kind[Any], source: EntitySource[Any], report: TransferReport, workers: int, progress: Progress
    ) -> None:
        try:
            items = list(source.list(self._scope))
        except BundleDamaged as error:
            report.add([Outcome(f"part of {kind.name}", kind.name, report.source.address, FAILED, error=str(error))])
            return
        target = self._target.entities(kind)
        if items and target is None:
            why, names = f"{report.target.kind} has no place for them", tuple(item.name for item in items[:NAMED])
            report.not_carried.append(kind.left(len(items), why, names))
        elif items and target is not None:
            with threads.pool(workers, "runsync-request") as pool:
                done = target.plan(items, source, pool) if report.dry_run else target.put(items, source, pool, progress)
                report.add(done)
        report.not_carried += source.left_behind(self._scope)
        report.not_carried += target.left() if target is not None else []
