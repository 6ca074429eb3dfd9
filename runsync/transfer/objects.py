"""The further kinds of objects of a transfer (see `model.objects`), carried once all runs are in."""

from collections.abc import Iterator, Sequence

from runsync.errors import BundleDamaged
from runsync.model import threads
from runsync.model.experiment import Experiment
from runsync.model.left_behind import KINDS
from runsync.model.objects import Named, Object
from runsync.model.progress import Progress
from runsync.model.protocol import FAILED, NAMED, Outcome, Source, Target
from runsync.model.run import Batch
from runsync.transfer.report import TransferReport


class Objects:
    """What the runs of one transfer name is gathered as they pass; `carry` then carries it."""

    def __init__(self, source: Source, target: Target, experiments: Sequence[Experiment], formats: tuple[str, ...]):
        self._source = source.objects
        self._target = target
        self._experiments = experiments
        self._named = Named(formats)

    def noting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches again, each noted: runs name objects."""
        for batch in batches:
            if self._source is not None:
                self._named.note(batch.runs)
            yield batch

    def carry(self, report: TransferReport, workers: int, progress: Progress) -> None:
        """Carries them (or, for a dry run, only plans it), kind by kind, and tells in `report` what was done."""
        if self._source is None:
            if self._named.formats:
                report.notes.append(f"{report.source.address} has no notebooks to keep")
            return
        for kind in self._source.kinds:
            try:
                items = list(self._source.list(kind, self._experiments, self._named))
            except BundleDamaged as error:
                report.add([Outcome(f"part of {kind}", kind, report.source.address, FAILED, error=str(error))])
                continue
            if items:
                self._carry_kind(kind, items, report, workers, progress)
        report.not_carried += self._source.left_behind(self._named)
        if self._target.objects is not None:
            report.not_carried += self._target.objects.left()

    def _carry_kind(
        self, kind: str, items: list[Object], report: TransferReport, workers: int, progress: Progress
    ) -> None:
        source, target = self._source, self._target.objects
        assert source is not None
        if target is None:
            why, names = f"{report.target.kind} has no place for them", tuple(item.name for item in items[:NAMED])
            report.not_carried.append(KINDS[kind].left(len(items), why, names))
            return
        with threads.pool(workers, "runsync-request") as pool:
            done = target.plan(items, source, pool) if report.dry_run else target.put(items, source, pool, progress)
            report.add(done)
