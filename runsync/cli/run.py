"""Runs the command line: one line for an error, its exit code, no traceback unless asked for."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from runsync.cli.journal import Journal
from runsync.errors import RunsyncError

INTERRUPTED = 130
GRACE = 5.0
"""Seconds to tidy up in after a signal; another one that comes later ends the process at once."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """The exit code."""
    journal = Journal(arguments)
    interruption = _Interruption()
    for number in _SIGNALS:
        signal.signal(number, interruption)
    code = _attempt(command, arguments, journal)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    return journal.end(code)


def _attempt(command: click.Command, arguments: Sequence[str], journal: Journal) -> int:
    debug = "--debug" in arguments
    try:
        result = command.main(
            args=list(arguments), prog_name="runsync", standalone_mode=False, obj={"journal": journal}
        )
    except click.ClickException as error:
        journal.fail(error.format_message())
        error.show()
        return error.exit_code
    except RunsyncError as error:
        return _fail(journal, str(error), error.exit_code, debug)
    except (KeyboardInterrupt, click.Abort):
        return _fail(journal, "stopped", INTERRUPTED, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        advice = "run it again with --debug, and report what it shows"
        return _fail(journal, f"unexpected {type(error).__name__}: {error}; {advice}", 1, debug)
    return result if isinstance(result, int) else 0


def _fail(journal: Journal, message: str, code: int, debug: bool) -> int:
    journal.fail(message)
    if debug:
        traceback.print_exc()
    click.echo(f"runsync: {message}", err=True)
    return code


class _Interruption:
    """The first signal stops the command, which then gives its lock back and tells. Many senders send twice."""

    def __init__(self) -> None:
        self._first = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._first:
            self._first = now
            raise KeyboardInterrupt
        if now - self._first > GRACE:
            os._exit(INTERRUPTED)
