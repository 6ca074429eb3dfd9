"""Runs the command line: one line for an error, its exit code, no traceback unless asked for.

With --json an error is a document on stdout, too, unless the report is there already.
"""

import io
import logging
import os
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from runsync.cli import INTERRUPTED, say, streams
from runsync.cli.interruption import Interruption, end_children
from runsync.cli.journal import Journal
from runsync.cli.output import ReaderGone
from runsync.cli.text import error_document, json_text
from runsync.errors import RunsyncError
from runsync.log import WAITING
from runsync.secrecy import strike


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """The exit code."""
    journal = Journal(arguments)
    interruption = Interruption(lambda: _give_up(journal))
    shown = _Shown()
    if "--quiet" not in arguments and "_RUNSYNC_COMPLETE" not in os.environ:  # a Tab prints nothing
        WAITING.addHandler(shown)
    try:
        interruption.begin()
        code = _attempt(command, arguments, journal, interruption)
        interruption.end()
    except KeyboardInterrupt:  # between two of the steps above
        interruption.end()
        code = _fail(journal, "stopped", code=INTERRUPTED, debug=False)
    WAITING.removeHandler(shown)
    return journal.end(code)


class _Shown(logging.Handler):
    """Tells on stderr why a command waits."""

    def emit(self, record: logging.LogRecord) -> None:
        say.err(f"runsync: {record.getMessage()}")


def _give_up(journal: Journal) -> None:
    """Ends the process from another thread than that which does not end."""
    _fail(journal, "stopped, without tidying up", code=INTERRUPTED, debug=False)
    end_children()
    os._exit(journal.end(INTERRUPTED))


def _attempt(command: click.Command, arguments: Sequence[str], journal: Journal, interruption: Interruption) -> int:
    debug = "--debug" in arguments
    try:
        result = command.main(
            args=list(arguments), prog_name="runsync", standalone_mode=False, obj={"journal": journal}
        )
    except click.ClickException as error:
        journal.fail(error.format_message())
        _show(error)
        _tell(journal, error.format_message(), code=error.exit_code)
        return error.exit_code
    except RunsyncError as error:
        return _fail(journal, *error.lines, code=error.exit_code, debug=debug)
    except (KeyboardInterrupt, click.Abort):
        return _fail(journal, "stopped", code=INTERRUPTED, debug=debug)
    except ReaderGone:
        return 0
    except OSError as error:
        place = "to stdout" if error is streams.trouble() else error.filename or "what there is to tell"
        return _fail(journal, f"cannot write {place}: {error.strerror}", code=1, debug=debug)
    except SystemExit:
        raise  # a shell was told how a word goes on
    except BaseException as error:
        if interruption.is_heard:  # a library may turn the interrupt into an error of its own
            return _fail(journal, "stopped", code=INTERRUPTED, debug=debug)
        advice = "run it again with --debug, and report what it shows"
        return _fail(journal, f"unexpected {type(error).__name__}: {error}; {advice}", code=1, debug=debug)
    return result if isinstance(result, int) else 0


def _show(error: click.ClickException) -> None:
    """As click shows it, which may quote what was typed."""
    shown = io.StringIO()
    error.show(shown)
    say.err(*shown.getvalue().rstrip("\n").split("\n"))


def _fail(journal: Journal, message: str, *below: str, code: int, debug: bool) -> int:
    journal.fail(message)
    if debug:
        say.err(*traceback.format_exc().rstrip("\n").split("\n"))
    say.err(f"runsync: {message}", *below)
    _tell(journal, message, *below, code=code)
    return code


def _tell(journal: Journal, message: str, *below: str, code: int) -> None:
    """The error as the document that --json promises; stdout may be what failed."""
    if journal.owes_document():
        with suppress(OSError):
            say.json(json_text(error_document(strike(message), map(strike, below), code)))
