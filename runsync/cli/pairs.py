"""Sections of names and values, for pages about one thing."""

from collections.abc import Iterable, Iterator, Mapping

from runsync.cli.say import Fit
from runsync.cli.tables import bold, columns_of, folded, narrowed, terminal_width
from runsync.model.printable import printable, shortened

INDENT = "  "
LONG = 40


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading and what is under it; nothing for nothing."""
    lines = list(lines)
    if lines:
        yield ""
        yield bold(title)
        for line in lines:
            yield from narrowed(line)


def pairs(values: Mapping[str, str]) -> Iterator[str]:
    """Names and values beside each other; on a terminal a value that is too long is folded under its name."""
    names = {name: printable(shortened(name)) for name in values}
    column = min(LONG, max((columns_of(name) for name in names.values()), default=0))
    width = terminal_width()
    for key, value in values.items():
        name, text = names[key], printable(value)
        taken = len(INDENT) + max(column, columns_of(name)) + len(INDENT)
        if width is not None and taken + columns_of(text) > width:
            yield f"{INDENT}{name}"
            yield from folded(value, width, INDENT * 2)
        else:
            yield Fit(f"{INDENT}{name}{' ' * max(0, column - columns_of(name))}{INDENT}{text}")
