"""The one way out for what people read: every line on stdout and stderr is written here.

Names, ids, paths and errors come from servers and bundles, and a terminal obeys the control characters in them. So
each line is made printable as it is written, and the secrets in use are struck out; no command has to remember to.
Data stays as it is: JSON escapes itself, and for csv and files there is `output`.
"""

import sys
from collections.abc import Iterable, Iterator

import click

from runsync.cli import streams
from runsync.cli.plain import json_escaped
from runsync.model.printable import printable
from runsync.secrecy import strike

_BATCH = 1 << 16
"""Characters that are written at once: a long table is not flushed line by line."""


class Styled(str):
    """A line with colours: its text was made printable before the colours went in."""

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
    return line if isinstance(line, Styled) else printable(line)


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
