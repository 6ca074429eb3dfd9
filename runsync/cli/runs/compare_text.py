"""A comparison as a person reads it: a column a run, folded into blocks that fit the terminal."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from runsync.cli.pairs import INDENT
from runsync.cli.say import Fit
from runsync.cli.tables import GAP, columns_of, narrowed
from runsync.cli.text import many
from runsync.cli.told_apart import told_apart
from runsync.model.fields import METRICS
from runsync.model.printable import printable, shortened
from runsync.model.run_table import DETAILS, GROUPS, LOWER, Row, Value
from runsync.model.times import duration, iso

if TYPE_CHECKING:
    from runsync.model.curves import CurveEnd, CurvePair
    from runsync.models.compare import ModelsCompareReport
    from runsync.runs.compare import CompareReport, Pair

WIDEST_KEY = 28
WIDEST_VALUE = 32
NARROWEST_VALUE = 8
SHORT_ID = 12
BEST = "*"


class _Style:
    """`width` is None where nothing is folded or cut: in a pipe, in a file."""

    def __init__(self, plain: bool) -> None:
        is_terminal = sys.stdout.isatty() and not plain
        self.width = shutil.get_terminal_size().columns if is_terminal else None
        self.colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def key_width(self) -> int | None:
        """Columns for the names of rows."""
        return None if self.width is None else min(WIDEST_KEY, self.width // 3)

    def value_width(self, first: int) -> int | None:
        """Columns for the values of a run, so that two runs stand beside each other behind the first column."""
        if self.width is None:
            return None
        return max(NARROWEST_VALUE, min(WIDEST_VALUE, (self.width - first) // 2 - len(GAP)))

    def paint(self, text: str, **how: bool | str) -> str:
        return click.style(text, **how) if self.colours else text  # type: ignore[arg-type]

    def line(self, text: str) -> str:
        """A line of painted pieces, each of which was made fit."""
        return Fit(text)


def lines(report: "CompareReport", diff_only: bool = False, plain: bool = False) -> Iterator[str]:
    """All of it; `plain` for a file."""
    style = _Style(plain)
    rows = report.differing() if diff_only else report.rows
    yield from _table(rows, [s.run.name or s.run.run_id for s in report.subjects], style)
    yield from _narrowed([*_end(report, diff_only), *not_read(report)], style)


def lines_of_models(report: "ModelsCompareReport", diff_only: bool = False) -> Iterator[str]:
    """Likewise of versions of models."""
    style = _Style(plain=False)
    rows = [row for row in report.rows if row.differs] if diff_only else report.rows
    yield from _table(rows, report.versions, style)
    yield from _narrowed(_counted(report.rows, many(len(report.versions), "version"), diff_only), style)


def _narrowed(told: Iterable[str], style: _Style) -> Iterator[str]:
    for line in told:
        yield from (line,) if style.width is None else narrowed(line)


def _table(rows: Sequence[Row], names: Sequence[str], style: _Style) -> Iterator[str]:
    """A column a name, in blocks."""
    keys = _fitted([printable(shortened(row.key)) for row in rows], style.key_width)
    first = max((columns_of(key) for key in keys), default=0) + len(INDENT)
    room = style.value_width(first)
    cells = [_cells(row, room) for row in rows]
    heads = _fitted([printable(shortened(name)) for name in names], room)
    widths = [max([columns_of(heads[i]), *(columns_of(row[i]) for row in cells)]) for i in range(len(heads))]
    for block in _blocks(first, widths, style.width):
        head = "".join(f"{GAP}{style.paint(pad(heads[i], widths[i]), bold=True)}" for i in block)
        yield style.line(" " * first + head.rstrip())
        yield from _block(rows, keys, cells, block, first, widths, style)
        yield ""


def not_read(report: "CompareReport") -> Iterator[str]:
    """What could not be read."""
    return (f"Not read: {p.kind} of {p.name}: {p.reason}" for p in report.problems)


def _blocks(first: int, widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
    """As many runs as fit beside each other, one at least."""
    block: list[int] = []
    used = first
    for position, needed in enumerate(widths):
        if block and width is not None and used + len(GAP) + needed > width:
            yield block
            block, used = [], first
        block.append(position)
        used += len(GAP) + needed
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
            line = pad(f"{INDENT}{keys[i]}", first)
            line += "".join(GAP + _painted(row, p, pad(cells[i][p], widths[p]), style) for p in block)
            line = line.rstrip()
            yield style.line(line if row.differs else style.paint(line, dim=True))


def _painted(row: Row, position: int, cell: str, style: _Style) -> str:
    return style.paint(cell, fg="green", bold=True) if position in row.best else cell


def _cells(row: Row, width: int | None) -> list[str]:
    """The values as they are shown; with a width cut, so that those that differ look different."""
    marks = [f" {BEST}" if i in row.best else "" for i in range(len(row.values))]
    if width is None:
        return [_text(row, value) + mark for value, mark in zip(row.values, marks, strict=True)]
    texts = [_short(row, value) for value in row.values]
    if len(set(texts)) < len(set(map(str, row.values))):
        texts = [_exact(row, value) for value in row.values]
    texts = told_apart(texts, width - max(map(len, marks)))
    return [text + mark for text, mark in zip(texts, marks, strict=True)]


def _text(row: Row, value: Value) -> str:
    if value is None:
        return "–"
    if value == "":
        return '""'
    if row.group == DETAILS:
        if isinstance(value, int):
            return duration(value) if row.key == "duration" else iso(value)
        return printable(shortened(str(value)))
    return printable(str(value))


def _short(row: Row, value: Value) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else _text(row, value)
    return text[:SHORT_ID] if row.key == "run_id" else text


def _exact(row: Row, value: Value) -> str:
    """To the last digit, where less would hide a difference."""
    if row.group == DETAILS and isinstance(value, int):
        return f"{value:,} ms" if row.key == "duration" else iso(value, "milliseconds")
    return _text(row, value)


def _end(report: "CompareReport", diff_only: bool) -> Iterator[str]:
    yield from _counted(report.rows, many(len(report.subjects), "run"), diff_only)
    if report.pair:
        yield from _pair(report.pair)


def _counted(rows: Sequence[Row], what: str, diff_only: bool) -> Iterator[str]:
    count, differing = len(rows), sum(row.differs for row in rows)
    told = f"{what}, {differing:,} of {many(count, 'row')} differ"
    yield told + (" (the others are left out)." if diff_only and differing < count else ".")
    if least := [row.key for row in rows if row.best and row.direction == LOWER]:
        yield f"{BEST} best: the least of {', '.join(least)}; the greatest of every other metric."
    elif any(row.best for row in rows if row.group == METRICS):
        yield f"{BEST} best: the greatest."


def _pair(pair: "Pair") -> Iterator[str]:
    curves = [curve for curve in pair.curves if not _is_told_by_its_row(curve)]
    parted = [curve for curve in curves if not curve.is_same]
    if curves:
        yield f"Metric curves: {len(curves) - len(parted):,} the same, {len(parted):,} not."
        for curve in parted:
            yield f"  {curve.key}: {_parting(curve)}"
            for which, end in (("first", curve.first), ("second", curve.second)):
                yield f"    {which} run: {_curve_end(end)}"
    if pair.artifacts is not None:
        yield f"Artifacts: {many(len(pair.artifacts), 'difference')}."
        for change in pair.artifacts:
            path = change.field.removeprefix("artifacts.")
            yield f"  {path}: {change.old or 'not there'} → {change.new or 'not there'}"


def _is_told_by_its_row(curve: "CurvePair") -> bool:
    """One point is no curve: its value stands in the table, if the step does not make the difference."""
    if max(curve.first.points, curve.second.points) > 1:
        return False
    return curve.is_same or repr(curve.first.last) != repr(curve.second.last)


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


def _fitted(texts: Sequence[str], width: int | None) -> Sequence[str]:
    return texts if width is None else told_apart(texts, width)
