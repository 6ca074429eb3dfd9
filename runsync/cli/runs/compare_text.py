"""A comparison as a person reads it: a column a run, folded into blocks that fit the terminal."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from runsync.cli.say import Styled
from runsync.cli.tables import columns_of, cut
from runsync.cli.text import many
from runsync.model.fields import METRICS
from runsync.model.printable import printable
from runsync.model.run_table import DETAILS, GROUPS, LOWER, Row
from runsync.model.times import duration, iso

if TYPE_CHECKING:
    from runsync.model.curves import CurveEnd, CurvePair
    from runsync.runs.compare import CompareReport, Pair

WIDEST_KEY = 28
WIDEST_VALUE = 32
SHORT_ID = 12
BEST = "*"


class _Style:
    """`width` is None where nothing is folded or cut: in a pipe, in a file."""

    def __init__(self, plain: bool) -> None:
        is_terminal = sys.stdout.isatty() and not plain
        self.width = shutil.get_terminal_size().columns if is_terminal else None
        self.colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, **how: bool | str) -> str:
        return click.style(text, **how) if self.colours else text  # type: ignore[arg-type]

    def line(self, text: str) -> str:
        """A line of painted pieces, each of which was made printable."""
        return Styled(text) if self.colours else text


def lines(report: "CompareReport", diff_only: bool = False, plain: bool = False) -> Iterator[str]:
    """All of it; `plain` for a file."""
    style = _Style(plain)
    rows = report.differing() if diff_only else report.rows
    keys = [_fit(printable(row.key), WIDEST_KEY if style.width else None) for row in rows]
    cells = [[_cell(row, i, style.width) for i in range(len(row.values))] for row in rows]
    heads = [
        _fit(printable(s.run.name or s.run.run_id), WIDEST_VALUE if style.width else None) for s in report.subjects
    ]
    widths = [max([columns_of(heads[i]), *(columns_of(row[i]) for row in cells)]) for i in range(len(heads))]
    first = max((columns_of(key) for key in keys), default=0) + 2
    for block in _blocks(first, widths, style.width):
        head = "".join(f"  {style.paint(pad(heads[i], widths[i]), bold=True)}" for i in block)
        yield style.line(" " * first + head.rstrip())
        yield from _block(rows, keys, cells, block, first, widths, style)
        yield ""
    yield from _end(report, diff_only)


def not_read(report: "CompareReport") -> Iterator[str]:
    """What could not be read."""
    return (f"Not read: {p.kind} of {p.name}: {p.reason}" for p in report.problems)


def _blocks(first: int, widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
    """As many runs as fit beside each other, one at least."""
    block: list[int] = []
    used = first
    for position, needed in enumerate(widths):
        if block and width is not None and used + 2 + needed > width:
            yield block
            block, used = [], first
        block.append(position)
        used += 2 + needed
    if block:
        yield block


def _block(
    rows: Sequence[Row],
    keys: Sequence[str],
    cells: Sequence[Sequence[str]],
    block: Sequence[int],
    first: int,
    widths: Sequence[int],
    style: _Style,
) -> Iterator[str]:
    for group in GROUPS:
        of_group = [i for i, row in enumerate(rows) if row.group == group]
        if of_group:
            yield style.line(style.paint(group, bold=True))
        for i in of_group:
            row = rows[i]
            line = pad(f"  {keys[i]}", first)
            line += "".join("  " + _painted(row, p, pad(cells[i][p], widths[p]), style) for p in block)
            line = line.rstrip()
            yield style.line(line if row.differs else style.paint(line, dim=True))


def _painted(row: Row, position: int, cell: str, style: _Style) -> str:
    return style.paint(cell, fg="green", bold=True) if position in row.best else cell


def _cell(row: Row, position: int, width: int | None) -> str:
    value = row.values[position]
    if value is None:
        return "–"
    if value == "":
        return '""'
    if row.group == DETAILS and isinstance(value, int):
        return duration(value) if row.key == "duration" else iso(value)
    text = f"{value:.6g}" if isinstance(value, float) and width else printable(str(value))
    mark = f" {BEST}" if position in row.best else ""
    if width and row.key == "run_id":
        return text[:SHORT_ID]
    return _fit(text, WIDEST_VALUE - len(mark) if width else None) + mark


def _end(report: "CompareReport", diff_only: bool) -> Iterator[str]:
    count, differing = len(report.rows), len(report.differing())
    told = f"{many(len(report.subjects), 'run')}, {differing:,} of {many(count, 'row')} differ"
    yield told + (" (the others are left out)." if diff_only and differing < count else ".")
    if least := [row.key for row in report.rows if row.best and row.direction == LOWER]:
        yield f"{BEST} best: the least of {', '.join(least)}; the greatest of every other metric."
    elif any(row.best for row in report.rows if row.group == METRICS):
        yield f"{BEST} best: the greatest."
    if report.pair:
        yield from _pair(report.pair)
    yield from not_read(report)


def _pair(pair: "Pair") -> Iterator[str]:
    parted = [curve for curve in pair.curves if not curve.is_same]
    if pair.curves:
        yield f"Metric curves: {len(pair.curves) - len(parted):,} the same, {len(parted):,} not."
        for curve in parted:
            yield f"  {curve.key}: {_parting(curve)}"
            for which, end in (("first", curve.first), ("second", curve.second)):
                yield f"    {which} run: {_curve_end(end)}"
    if pair.artifacts is not None:
        yield f"Artifacts: {many(len(pair.artifacts), 'difference')}."
        for change in pair.artifacts:
            path = change.field.removeprefix("artifacts.")
            yield f"  {path}: {change.old or 'not there'} → {change.new or 'not there'}"


def _parting(curve: "CurvePair") -> str:
    if curve.first_difference is not None:
        return f"they part at step {curve.first_difference}"
    if not (curve.first.points and curve.second.points):
        return f"only the {'second' if curve.goes_on else 'first'} run has it"
    return f"the {'second' if curve.goes_on else 'first'} run goes on where the other ends"


def _curve_end(end: "CurveEnd") -> str:
    if not end.points:
        return "none"
    best = "" if end.best is None else f", best {end.best:.6g} at step {end.best_step}"
    return f"{many(end.points, 'point')}, last {end.last:.6g} at step {end.last_step}{best}"


def pad(text: str, width: int) -> str:
    """Filled up to so many columns."""
    return text + " " * (width - columns_of(text))


def _fit(text: str, width: int | None) -> str:
    return text if width is None else cut(text, width)
