"""Runs the command line: one line for an error, its exit code, no traceback unless asked for."""

import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from runsync.errors import RunsyncError

INTERRUPTED = 130


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """The exit code."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    debug = "--debug" in arguments
    try:
        result = command.main(args=list(arguments), prog_name="runsync", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RunsyncError as error:
        return _fail(str(error), error.exit_code, debug)
    except (KeyboardInterrupt, click.Abort):
        return _fail("stopped", INTERRUPTED, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        advice = "run it again with --debug, and report what it shows"
        return _fail(f"unexpected {type(error).__name__}: {error}; {advice}", 1, debug)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"runsync: {message}", err=True)
    return code


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
