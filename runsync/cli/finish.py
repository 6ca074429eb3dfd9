"""How a command ends: data on stdout, what went wrong on stderr, the journal, and the exit code."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import click

from runsync.cli import say, streams
from runsync.cli.text import json_text, listed
from runsync.cli.transfer_text import lines
from runsync.log import LOG
from runsync.secrecy import strike_report

if TYPE_CHECKING:
    from runsync.model.run import Unreadable
    from runsync.transfer.report import TransferReport


class Report(Protocol):
    """What any command has to tell."""

    @property
    def exit_code(self) -> int:
        """What the command ends with."""

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""


def finish(report: Report, as_json: bool, told: Iterable[str], *, is_data: bool = False) -> int:
    """Prints a report (`told` is how a person reads it); gives the exit code. With --quiet a success is not told.

    `is_data` is for commands that do nothing but print: when that cannot be written, they fail.
    """
    printing = nullcontext if is_data else _on_stdout
    kept = click.get_current_context().obj
    document = strike_report(report.to_document())
    journal = kept["journal"]
    journal.take(document)
    code: int = journal.measure(report.exit_code)
    document["exit_code"] = code
    if as_json and journal.owes_document():
        with printing():
            say.json(json_text(document))
    if kept.get("quiet"):
        if code:
            say.all_err(told)
    elif not as_json:
        with printing():
            say.all_out(told)
    if document.get("stopped"):
        say.err(f"runsync: {document['stopped']}")
    return code


@contextmanager
def _on_stdout() -> Iterator[None]:
    """What was done is done: a disk too full for the report changes nothing about it."""
    try:
        yield
    except OSError as error:
        if error is not streams.trouble():
            raise
        LOG.error("the report cannot be written to stdout: %s", error.strerror)
        say.err(f"runsync: the report cannot be written to stdout: {error.strerror}")


def tell_unread(unreadable: "Sequence[Unreadable]") -> None:
    """Says on stderr what a list lacks because it could not be read."""
    each_once = dict.fromkeys(f"{one.kind} {one.id} ({one.place}): {one.reason}" for one in unreadable)
    say.all_err(listed("Not read", each_once))


def tell_hints(hints: Sequence[str]) -> None:
    """Says on stderr what may be wrong with what was asked for."""
    say.all_err(f"Note: {hint}" for hint in hints)


def finish_transfer(report: "TransferReport", as_json: bool) -> int:
    """Prints the report of a transfer, and its warnings on stderr, also with --quiet; gives the exit code."""
    for warning in report.warnings:
        say.err(f"runsync: warning: {warning}")
    return finish(report, as_json, lines(report))
