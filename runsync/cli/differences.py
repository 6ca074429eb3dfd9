"""Differences that verify found, as a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runsync.cli.pieces import cause
from runsync.cli.text import MOST_LISTED, many, table

if TYPE_CHECKING:
    from runsync.model.comparison import Difference


def differences_table(found: "Sequence[Difference]") -> Iterator[str]:
    """A row for each difference; what one and the same cause keeps from being read is one row."""
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for number, one in enumerate(found):
        groups.setdefault(_key(one, number), []).append(one)
    shown = list(groups.values())[:MOST_LISTED]
    rows = [("what", "field", "source", "target")]
    yield from table(rows + [_row(group) for group in shown])
    if left := len(found) - sum(map(len, shown)):
        yield f"… and {left:,} more (--json lists all)"


def field_name(field: str) -> str:
    """A field as it is read: one whose name begins with a dot has that in quotes."""
    head, _, name = field.partition(".")
    return f"{head} “{name}”" if name.startswith(".") else field


def _key(one: "Difference", number: int) -> tuple[str, ...]:
    head, _, name = one.field.partition(".")
    if not one.unread or not head:
        return (str(number),)
    return one.kind, head, one.unread, cause(one.source or one.target, one.id, name)


def _row(group: "Sequence[Difference]") -> tuple[str, str, str, str]:
    first = group[0]
    name = f"“{first.name}”" if first.name else ""
    what, field = " ".join(filter(None, (first.kind, first.id, name))), field_name(first.field) or "all of it"
    if len(things := {one.id for one in group}) > 1:
        what = f"{many(len(things), first.kind)}, the first: {what}"
    if len({one.field for one in group}) > 1:
        field = f"{many(len(group), first.field.partition('.')[0].removesuffix('s'))}, the first: {field}"
    return what, field, first.source, first.target
