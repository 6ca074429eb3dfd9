"""Orders that a tracking server keeps just as `model.ordering` does, so that “the newest 20” costs one small page.

Those are orders by numbers. Text is sorted by each database in a way of its own (SQLite by code points, others by a
language's alphabet, some without regard to case), so orders by text are left to us.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence

from runsync.model.fields import ATTRIBUTES, METRICS, Field, Order, value_of
from runsync.model.run import Run

OLDEST_FIRST = ("attributes.start_time ASC",)
_NEWEST_FIRST = ("attributes.start_time DESC",)

Rank = tuple[float | str, ...]


def order_by(order: Sequence[Order]) -> tuple[str, ...] | None:
    """An order as runs/search takes it; None where the server's is not ours.

    A field that comes again says nothing new, and MLflow refuses it.
    """
    found: dict[Field, str] = {}
    for one in order:
        name = _name(one.field)
        if name is None:
            return None
        found.setdefault(one.field, f"{name} {'DESC' if one.descending else 'ASC'}")
    return tuple(found.values())


def is_by_time(by: Sequence[str]) -> bool:
    """Whether runs come by their start time alone: then pages can be asked for by it."""
    return tuple(by) in (OLDEST_FIRST, _NEWEST_FIRST)


def merged(chunks: Sequence[Iterator[Run]], order: Sequence[Order]) -> Iterator[Run]:
    """Runs of several searches, each in the order, as of one."""
    return chunks[0] if len(chunks) == 1 else heapq.merge(*chunks, key=_rank_by(order))


def _rank_by(order: Sequence[Order]) -> Callable[[Run], Rank]:
    def rank(run: Run) -> Rank:
        found: list[float | str] = []
        for one in order:
            value = value_of(one.field, run)
            number = float(value) if value is not None else 0.0
            kind = 2 if value is None else 1 if math.isnan(number) else 0
            found += [kind, 0.0 if kind else -number if one.descending else number]
        return (*found, -(run.start_time or 0), run.run_id)

    return rank


def _name(field: Field) -> str | None:
    if field.kind == ATTRIBUTES:
        return f"attributes.{field.key}" if field.key in ("start_time", "end_time") else None
    if field.kind == METRICS and "`" not in field.key:
        return f"metrics.`{field.key}`"
    return None
