"""The entities of a transfer, kind by kind (see `runsync.kinds`), carried once all runs are in."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from runsync import threads
from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.contract.target import Target
from runsync.errors import ITEM_ERRORS, BundleDamaged
from runsync.kinds import KINDS
from runsync.kinds.kind import Kind
from runsync.kinds.redaction import NAME, Redaction
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NAMED
from runsync.model.outcome import FAILED, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Batch
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.transfer.chosen import chosen
from runsync.transfer.model_names import Renames
from runsync.transfer.redacted import redacted
from runsync.transfer.report import TransferReport

TOGETHER = 1000
"""Entities that are held at once."""


class Entities:
    """What the runs of one transfer name is gathered in `scope` as they pass; `carry` then carries it. Registered
    models get other names by `renames`."""

    def __init__(self, source: Source, target: Target, scope: Scope, selection: Selection, renames: Renames) -> None:
        self._source = source
        self._target = target
        self._scope = scope
        self._selection = selection
        self._renames = renames

    def noting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches again, each noted: runs name entities."""
        for batch in batches:
            self._scope.note(batch.runs)
            yield batch

    def carry(self, report: TransferReport, workers: int, progress: Progress) -> None:
        """Carries them (or, for a dry run, only plans it), kind by kind, and tells in `report` what was done."""
        note_names(self._source, self._scope)
        for kind in filter(lambda kind: self._selection.has(kind.name), KINDS):
            side = chosen(kind, self._renames.of(kind, self._source.entities(kind)), self._scope)
            source = redacted(kind, side, self._scope)
            if source is not None:
                self._carry(kind, source, report, workers, progress)
            elif kind.is_asked_for(self._scope):
                report.notes.append(f"{report.source.address} has no {kind.name} to keep")
        if isinstance(redaction := self._scope.asked.get(NAME), Redaction):
            report.notes += redaction.notes()

    def _carry(
        self, kind: Kind[Any], source: EntitySource[Any], report: TransferReport, workers: int, progress: Progress
    ) -> None:
        target = self._target.entities(kind)
        names: list[str] = []
        again: dict[str, None] = {}
        count = 0
        try:
            for items in _chunks(_once(source.list(self._scope), again)):
                if target is None:
                    names += [item.name for item in items[: NAMED - len(names)]]
                    count += len(items)
                    continue
                with threads.pool(workers, "runsync-request") as pool:
                    planned = report.dry_run
                    report.add(
                        target.plan(items, source, pool) if planned else target.put(items, source, pool, progress)
                    )
        except BundleDamaged as error:
            report.add([Outcome(f"part of {kind.name}", kind.name, report.source.address, FAILED, error=str(error))])
        if again:
            few = ", ".join(islice(again, NAMED)) + (" …" if len(again) > NAMED else "")
            what = many(len(again), kind.noun)
            report.notes.append(
                f"{report.source.address} listed {what} more than once: one copy of each was taken ({few})"
            )
        if count:
            report.not_carried.append(kind.left(count, f"{report.target.kind} has no place for them", tuple(names)))
        if target is not None and not report.dry_run:
            with threads.pool(workers, "runsync-request") as pool:
                report.add(target.finish(pool))
        report.not_carried += source.left_behind(self._scope)
        report.not_carried += target.left() if target is not None else []


def note_names(source: Source, scope: Scope) -> None:
    """Where not all is meant: notes what of each kind is meant for what names it."""
    for kind in KINDS if scope.is_narrow else ():
        side = source.entities(kind) if kind.names_others else None
        with suppress(*ITEM_ERRORS):  # told when they are carried
            for item in side.list(scope) if side is not None else ():
                for other, id in kind.names(item):
                    scope.name(other, id)


def _once(items: Iterator[Any], again: dict[str, None]) -> Iterator[Any]:
    """Each entity once: a page may change while the next is read. `again` gets the names of those that came again.

    A hash of what each is known by is kept, 64 bits that no server can foresee: there may be millions.
    """
    seen: set[int] = set()
    for item in items:
        if (known := hash(item.key)) in seen:
            again[item.name] = None
        else:
            seen.add(known)
            yield item


def _chunks(items: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while some := list(islice(items, TOGETHER)):
        yield some
