"""Commands that are killed at their n-th write: the process counts what it opens to write, renames, removes, links,
sends and executes, and ends itself there."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support.command_line import look_at_output
from support.forks import clean_environment

TIMEOUT = 1800
VICTIM = """
import os, sys
moment, number, count_file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
del sys.argv[1:4]
from itertools import count
from runsync.cli import main

writes = count(1)
FILES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "http.client.send"}

def meet():
    now = next(writes)
    if now == moment:
        os.kill(os.getpid(), number)
    return now

def look(event, arguments):
    if event in FILES:
        meet()
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        meet()

sys.addaudithook(look)
try:
    from sqlalchemy import Engine, event
except ImportError:
    pass
else:
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, lambda *_: meet())
try:
    main()
finally:
    with open(count_file, "w") as file:
        file.write(str(next(writes)))
"""


class Killed(NamedTuple):
    """How a command ended. `writes` is how many there were, where it came to its end; else 0."""

    code: int
    told: str
    writes: int


def run_until(
    moment: int,
    number: signal.Signals,
    arguments: tuple[object, ...],
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> Killed:
    """Runs a command that gets a signal at its n-th write; 0 is never."""
    handle, name = tempfile.mkstemp()
    os.close(handle)
    counted = Path(name)
    try:
        done = subprocess.run(
            [sys.executable, "-c", VICTIM, str(moment), str(number.value), name, *map(str, arguments)],
            cwd=cwd,
            env=clean_environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
        look_at_output(done.stdout, done.stderr)
        return Killed(done.returncode, done.stdout + done.stderr, int(counted.read_text() or 0))
    finally:
        counted.unlink()
