"""How a promotion reads on a terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runsync.model.wording import many
from runsync.promotion.history import PROMOTED, REFUSED, ROLLED_BACK
from runsync.promotion.report import ALREADY_THERE, FAILED

if TYPE_CHECKING:
    from runsync.promotion.report import Promotion, PromotionReport

_DONE = {
    PROMOTED: "Promoted",
    ALREADY_THERE: "Already there",
    REFUSED: "Refused",
    FAILED: "Failed",
    ROLLED_BACK: "Rolled back",
}
_PLANNED = _DONE | {PROMOTED: "Would promote", ROLLED_BACK: "Would roll back"}


def lines(report: "PromotionReport") -> Iterator[str]:
    """What was done, or would be."""
    if report.digest:
        yield f"{report.model}: {many(report.files, 'file')}, {many(report.bytes, 'byte')}, {report.digest}"
    for one in report.promotions:
        for gate in one.gates:
            yield f"  {'passed ' if gate.passed else 'refused'}  {gate.expression}: {gate.told}"
        if one.forced:
            yield f"  forced   {one.forced}"
        title = (_PLANNED if report.dry_run else _DONE)[one.action]
        yield f"{title}: {_told(one)} in {one.target.address}" + (f": {one.error}" if one.error else "")
        yield from (f"  lost: {line}" for line in one.lost)
        yield from (f"  note: {line}" for line in one.notes)


def _told(one: "Promotion") -> str:
    name = f"{one.to_model}@{one.alias}"
    if one.action in (REFUSED, FAILED):
        return f"{name} stays version {one.holder}" if one.holder is not None else name
    version = f"version {one.version}" if one.version is not None else "a new version"
    before = f", before that version {one.holder}" if one.holder not in (None, one.version) else ""
    return f"{name} is {version}{before}"
