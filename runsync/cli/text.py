"""Reports as a person reads them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MOST_LISTED = 20
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes with a unit: 1.5 MB."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def many(count: int, noun: str) -> str:
    """A count with its noun: 1 difference, 2 differences."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A title and what is under it, cut after MOST_LISTED."""
    lines = list(lines)
    if lines:
        yield f"{title} ({len(lines)}):"
        yield from (f"  {line}" for line in lines[:MOST_LISTED])
        if len(lines) > MOST_LISTED:
            yield f"  … and {len(lines) - MOST_LISTED} more (--json lists all)"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns under each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def json_text(document: dict[str, Any]) -> str:
    """A report for programs."""
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
