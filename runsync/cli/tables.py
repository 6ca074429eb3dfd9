"""Tables of text: aligned by what a terminal shows, fit to its width, and without its control characters.

In a pipe nothing is coloured, nor cut but what is longer than any name, so that `grep` and `cut` find all of it.
"""

import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

from runsync.cli.say import Fit
from runsync.model.printable import LONGEST, printable, shortened
from runsync.secrecy import strike

NARROWEST = 12
"""Columns of a terminal that a column of a table keeps at least, if it is longer."""
UNKNOWN = 80
GAP = "  "
NOTHING = "–"
_NUMBER = re.compile(r"[-+]?(\d[\d,]*(\.\d+)?([eE][-+]?\d+)?|inf(inity)?)%?( ?(B|kB|MB|GB|TB))?|nan|", re.IGNORECASE)


def table(rows: Iterable[Sequence[str]], width: int | None = None, whole: Collection[int] = ()) -> Iterator[str]:
    """Columns under each other, the first row their heads; numbers stand at the right, save in the
    first column.

    On a terminal (or with a width) long cells are cut, and columns that do not fit beside the others come below
    them, beside the first column again. Columns in `whole` are never cut. The rows are gone through twice or more
    (they are no iterator), and none is held: a table may be wider and longer than memory.
    """
    limit = terminal_width() if width is None else width
    natural, right = _measured(rows)
    widths = natural if limit is None else _squeezed(natural, limit)
    widths = [natural[column] if column in whole else width for column, width in enumerate(widths)]
    for number, block in enumerate(_blocks(widths, limit)):
        if number:
            yield ""
        for row in rows:
            yield Fit(GAP.join(_cell(_shown(row[c]), widths[c], right[c]) for c in block).rstrip())


def widths_of(rows: Iterable[Sequence[str]]) -> list[int]:
    """How wide each column is, uncut."""
    return _measured(rows)[0]


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is (also: COLUMNS); None in a pipe."""
    return shutil.get_terminal_size((UNKNOWN, 24)).columns if sys.stdout.isatty() else None


def bold(text: str) -> str:
    """A heading: bold on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return Fit(f"\x1b[1m{printable(shortened(text))}\x1b[0m")


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(0, wcswidth(text))


def cut(text: str, width: int) -> str:
    """A text of at most that many columns, with “…” where it goes on."""
    if columns_of(text) <= width:
        return text
    end = min(len(text), width)
    while end and columns_of(text[:end]) > width - 1:
        end -= 1
    return text[:end] + "…"


def cut_inside(text: str, width: int) -> str:
    """The same with “…” in the middle: names of runs often begin alike."""
    if columns_of(text) <= width:
        return text
    head = cut(text, width - width // 2)
    room = width - columns_of(head)
    start = max(0, len(text) - room)
    while columns_of(text[start:]) > room:
        start += 1
    return head + text[start:]


def folded(text: str, width: int | None, indent: str) -> Iterator[str]:
    """A text of any length in lines that are indented; in a pipe its lines as they are."""
    room = None if width is None else max(NARROWEST, width - len(indent))
    for line in text.splitlines() or [""]:
        rest, at = printable(line), 0
        while room is not None:
            piece = rest[at : at + 2 * room + 1]  # more does not fit; the whole may be very long
            if at + len(piece) == len(rest) and columns_of(piece) <= room:
                break
            piece = cut(piece, room + 1)[:-1]
            end = piece.rfind(" ") + 1 or len(piece) or 1
            yield indent + piece[:end].rstrip()
            at += end
        yield Fit(indent + rest[at:])


def narrowed(line: str) -> Iterator[str]:
    """A line as it is, or on a terminal that is too narrow for it in several, with its own indent."""
    width = terminal_width()
    if width is None or columns_of(printable(line)) <= width:
        yield line
    else:
        text = line.lstrip(" ")
        yield from folded(text, width, line[: len(line) - len(text)])


def _measured(rows: Iterable[Sequence[str]]) -> tuple[list[int], list[bool]]:
    """How wide each column is, and which have numbers only below their heads."""
    lines = iter(rows)
    widths = [columns_of(_shown(cell)) for cell in next(lines)]
    filled, texts = [False] * len(widths), [True] + [False] * (len(widths) - 1)
    for row in lines:
        for column, cell in enumerate(row):
            text = _shown(cell)
            widths[column] = max(widths[column], columns_of(text))
            if not texts[column] and text not in (NOTHING, ""):
                filled[column] = True
                texts[column] = _NUMBER.fullmatch(text) is None
    return widths, [is_filled and not is_text for is_filled, is_text in zip(filled, texts, strict=True)]


def _squeezed(natural: Sequence[int], limit: int) -> list[int]:
    """Widths that fit, the longest cut first; not below NARROWEST, nor wider than the whole."""
    widths = [min(width, limit) for width in natural]
    while sum(widths) + len(GAP) * (len(widths) - 1) > limit and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    if sum(widths) + len(GAP) * (len(widths) - 1) > limit:  # each stands beside the first, however narrow it is
        widths[0] = min(widths[0], max(1, (limit - len(GAP)) // 2))
        widths[1:] = (min(width, max(1, limit - len(GAP) - widths[0])) for width in widths[1:])
    return widths


def _blocks(widths: Sequence[int], limit: int | None) -> Iterator[list[int]]:
    """Which columns stand beside each other."""
    block, taken = [0], widths[0]
    for column in range(1, len(widths)):
        if limit is not None and len(block) > 1 and taken + len(GAP) + widths[column] > limit:
            yield block
            block, taken = [0], widths[0]
        block.append(column)
        taken += len(GAP) + widths[column]
    yield block


def _shown(cell: str) -> str:
    return printable(cell if len(cell) <= LONGEST else shortened(strike(cell)))


def _cell(text: str, width: int, right: bool) -> str:
    text = cut_inside(text, width)
    blank = " " * (width - columns_of(text))
    return blank + text if right else text + blank
