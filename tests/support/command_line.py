"""The command line in two ways: as a process, and within this one, which spares half a second of CPU a command.

Within this process a command has its own environment, folder and streams, as a process would have; what it does with
signals, and what becomes of it when it is killed, only a process can show.
"""

import io
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple
from unittest import mock

import runsync.cli.run
import runsync.secrecy
from runsync.cli.interruption import Interruption
from runsync.cli.plain import PLAIN
from runsync.cli.root import cli
from support.forks import clean_environment
from support.secrets import SEARCH

TIMEOUT = 900.0
"""Seconds after which a command hangs: no measure of its speed."""


class Result(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object) -> list[str]:
    """The command line as a list."""
    return [sys.executable, "-m", "runsync", *map(str, arguments)]


def run_process(
    arguments: Sequence[object], env: Mapping[str, str], text: str | None, cwd: Path, timeout: float = TIMEOUT
) -> Result:
    """Runs a command in a process of its own, to its end; `text` is its input."""
    done = subprocess.run(
        command(*arguments),
        env=clean_environment() | dict(env),
        stdin=subprocess.DEVNULL if text is None else None,
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        cwd=cwd,
        check=False,
    )
    look_at_output(done.stdout, done.stderr)
    return Result(done.returncode, done.stdout, done.stderr)


def run_here(
    arguments: Sequence[object], env: Mapping[str, str], text: str | None, cwd: Path, timeout: float = TIMEOUT
) -> Result:
    """The same within this process, from its main thread, which has only one environment and one stdout."""
    assert threading.current_thread() is threading.main_thread(), "commands side by side need processes: `run_process`"
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    contents = ((text or "").encode(encoding), b"", b"")
    streams = [_Stream(io.BytesIO(content), encoding=encoding, errors=PLAIN) for content in contents]
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, clean_environment() | dict(env), clear=True))
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            stack.enter_context(mock.patch.object(sys, name, stream))
        stack.enter_context(mock.patch.object(runsync.cli.run, "Interruption", _NoSignals))
        stack.enter_context(mock.patch.object(runsync.secrecy, "_KEPT", runsync.secrecy._Kept()))
        stack.enter_context(_within(cwd))
        stack.enter_context(_same_logging())
        stack.enter_context(_at_most(timeout, arguments))
        code = _code(lambda: runsync.cli.run.run(cli, list(map(str, arguments))))
    stdout, stderr = (stream.written() for stream in streams[1:])
    look_at_output(stdout, stderr)
    return Result(code, stdout, stderr)


def look_at_output(stdout: str, stderr: str) -> None:
    """Looks for secrets in what a command printed."""
    SEARCH.look("stdout of a command", stdout)
    SEARCH.look("stderr of a command", stderr)


class _Stream(io.TextIOWrapper):
    """Stands for a pipe: a command may close it."""

    def close(self) -> None:
        self.flush()

    def written(self) -> str:
        self.flush()
        content = self.buffer.getvalue()  # type: ignore[attr-defined]
        return str(content, self.encoding)


class _NoSignals(Interruption):
    """The signals of this process are pytest's."""

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass


def _code(run: Callable[[], int]) -> int:
    try:
        return run()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _same_logging() -> Iterator[None]:
    """A command sets levels and adds handlers for its process."""
    logs = [logging.getLogger(name) for name in ("runsync", "runsync.waiting")]
    before = [(log.level, list(log.handlers)) for log in logs]
    try:
        yield
    finally:
        for log, (level, handlers) in zip(logs, before, strict=True):
            log.setLevel(level)
            log.handlers[:] = handlers


@contextmanager
def _at_most(seconds: float, arguments: Sequence[object]) -> Iterator[None]:
    """Raises TimeoutError in a command that hangs."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"runsync {' '.join(map(str, arguments))} did not end in {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
