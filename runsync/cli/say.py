"""The one way out for what people read: every line on stdout and stderr is written here.

Names, ids, paths and errors come from servers and bundles, and a terminal obeys the control characters in them. So
each line is made printable as it is written, names of no end are cut (JSON has them whole), and the secrets in use are
struck out; no command has to remember to.
Data stays as it is: JSON escapes itself, and for csv and files there is `output`.
"""

import re
import sys
from collections.abc import Iterable, Iterator

import click

from runsync.cli import streams
from runsync.cli.plain import json_escaped
from runsync.model.printable import LONGEST, printable, shortened
from runsync.secrecy import strike

_WORD = re.compile(rf"\S{{{LONGEST + 1},}}")
_LONGEST_LINE = 4000
_BATCH = 1 << 16
"""Characters that are written at once: a long table is not flushed line by line."""


class Fit(str):
    """A line whose parts were made fit for it before they were put together, with colours or values that are whole."""

    __slots__ = ()


def out(*lines: str) -> None:
    """Prints lines on stdout."""
    all_out(lines)


def err(*lines: str) -> None:
    """Prints lines on stderr."""
    all_err(lines)


def all_out(lines: Iterable[str]) -> None:
    """Prints lines on stdout as they come."""
    for text in _batches(lines):
        click.echo(text, sys.stdout, nl=False)


def all_err(lines: Iterable[str]) -> None:
    """Prints lines on stderr as they come."""
    for text in _batches(lines):
        click.echo(text, sys.stderr, nl=False)


def json(text: str) -> None:
    """Prints a JSON document on stdout: in UTF-8, or in ASCII where stdout has another encoding."""
    click.echo(text if streams.is_unicode(sys.stdout) else json_escaped(text), sys.stdout)


def ask(question: str) -> bool:
    """Asks on stderr; whether the answer was yes. Raises click.Abort where there is none."""
    return click.confirm(strike(clean(question)), err=True)


def clean(line: str) -> str:
    """A line as it may be printed."""
    return line if isinstance(line, Fit) else printable(line if len(line) <= LONGEST else _cut(line))


def _cut(line: str) -> str:
    """Without the rest of names of no end: each is one word, or fills more lines than anybody reads. A secret is struck
    out first, as a part of it would not be."""
    short = _WORD.sub(lambda word: shortened(word[0]), strike(line))
    return short if len(short) <= _LONGEST_LINE else f"{short[:_LONGEST_LINE]}…"


def _batches(lines: Iterable[str]) -> Iterator[str]:
    batch: list[str] = []
    held = 0
    for line in lines:
        batch.append(clean(line))
        held += len(batch[-1])
        if held > _BATCH:
            yield strike("\n".join(batch)) + "\n"
            batch, held = [], 0
    if batch:
        yield strike("\n".join(batch)) + "\n"
