"""Commands run in this process, as fast as calls, for tests that try thousands of inputs."""

import traceback
from typing import NamedTuple

import click
from click.testing import CliRunner

from runsync.cli.journal import Journal
from runsync.cli.root import cli
from runsync.errors import RunsyncError
from runsync.model.printable import printable
from runsync.transfer.report import PARTLY_DONE

CODES = frozenset({0, 1, 2, 3, 4, 10, 11, 12, 13})
"""What a command may end with that nobody stopped."""


class Ended(NamedTuple):
    """How a command ended; `traceback` is that of an error which is none of runsync's own."""

    code: int
    stdout: str
    error: str
    traceback: str = ""


def attempt(*arguments: object) -> Ended:
    """Runs a command to its end."""
    words = [str(argument) for argument in arguments]
    done = CliRunner().invoke(cli, words, standalone_mode=False, obj={"journal": Journal(words)})
    error = done.exception
    if isinstance(error, RunsyncError):
        return Ended(error.exit_code, done.stdout, printable(str(error)))
    if isinstance(error, click.ClickException):
        return Ended(error.exit_code, done.stdout, error.format_message())
    if error is not None:
        told = "".join(traceback.format_exception(error))
        return Ended(1, done.stdout, f"unexpected {type(error).__name__}: {error}", told)
    return Ended(done.return_value if isinstance(done.return_value, int) else 0, done.stdout, done.stderr)


def wrong_with(ended: Ended) -> str:
    """What is wrong with the way a command ended, whatever it was given; "" when nothing is."""
    if ended.traceback:
        return ended.traceback
    if ended.code not in CODES:
        return f"exit code {ended.code}"
    if ended.code not in (0, PARTLY_DONE) and "\n" in ended.error.strip():  # else a line for each thing that failed
        return f"several lines: {ended.error}"
    return ""
