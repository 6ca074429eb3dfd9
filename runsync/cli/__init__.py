"""The command line: parse, call one verb, print. A file a command; each is imported when it is asked for.

This file imports nothing heavy: an interrupt must find its handler in place, however early it comes.
"""

import os
import sys

INTERRUPTED = 130
UTF8 = ["-X", "utf8"]
STOPPED = (
    b'{\n  "format": "runsync-error-report",\n  "version": 1,\n  "exit_code": 130,\n'
    b'  "error": "stopped",\n  "details": []\n}\n'
)


def main() -> None:
    """The console script: runs a command, and turns errors into one line and an exit code."""
    _leave_when_told()
    _begin_in_utf8()
    from runsync.cli import streams

    streams.prepare()
    from runsync.cli.root import cli
    from runsync.cli.run import run

    code = run(cli, sys.argv[1:])
    if code == INTERRUPTED:
        from runsync.cli.interruption import end_children

        end_children()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # requests under way are not waited for
    sys.exit(code)


def _begin_in_utf8() -> None:
    """Begins anew in Python's UTF-8 mode, in the same process, where a locale has names of files read as another
    encoding: in latin-1 they would be other names, and nobody would notice. What is printed stays in that of the
    locale. `runsync.names` refuses where this does not help."""
    if sys.getfilesystemencoding() == "utf-8" or sys.orig_argv[1:3] == UTF8 or not sys.executable:
        return
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:{sys.stdout.errors}")
    os.execv(sys.executable, [sys.executable, *UTF8, *sys.orig_argv[1:]])  # noqa: S606


def _leave_when_told() -> None:
    """Until a command begins there is nothing to tidy up, and imports cope badly with exceptions out of nowhere."""
    try:
        import signal

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a job in the background of a script
                signal.signal(number, lambda *_: _leave())
    except KeyboardInterrupt:
        _leave()


def _leave() -> None:
    """Nothing that makes or prints documents is imported yet."""
    try:
        if "--json" in sys.argv:
            os.write(1, STOPPED)
    finally:
        os._exit(INTERRUPTED)
