"""What the demos have in common: a folder of their own, commands as a user types them, and what is said between."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEP_SECONDS = 300
KEEP = os.environ.get("KEEP", "") not in ("", "0")


class StepFailed(Exception):
    """A step of the demo did not do what it should; says which."""


def play(show: Callable[[Path, ExitStack], str]) -> int:
    """Shows something in a temporary folder, which is removed at the end, also after Ctrl-C; gives the exit code.

    `show` gives what there is to be looked at afterwards. With KEEP=1 all of it stays until Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    try:
        with ExitStack() as stack:
            there = show(stack.enter_context(temporary_folder()), stack)
            say(f"All of this took {time.monotonic() - begun:.0f} seconds.")
            if KEEP:
                say(f"Look at it: {there}. Ctrl-C ends and removes everything.")
                signal.pause()
            say("Everything is removed now. To have it stay: KEEP=1, before make.")
    except KeyboardInterrupt:
        say("Stopped; everything is removed.")
        return 0 if KEEP else 130
    except StepFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def runsync(folder: Path, *arguments: str, quiet: bool = False) -> str:
    """Runs the command line as a user would; gives its stdout. Raises StepFailed when its exit code is not 0."""
    return run(folder, [sys.executable, "-m", "runsync", *arguments], shlex.join(["runsync", *arguments]), quiet=quiet)


def run(folder: Path, command: list[str | Path], shown: str, *, tracking: str = "", quiet: bool = False) -> str:
    if not quiet:
        print(f"\n$ {shown}", flush=True)
    environment = clean_environment() | ({"MLFLOW_TRACKING_URI": tracking} if tracking else {})
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if tracking else None,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"“{shown}” did not end in {STEP_SECONDS} seconds") from None
    if done.returncode or not (quiet or tracking):
        print(done.stdout, end="", flush=True)
    if done.returncode:
        raise StepFailed(f"“{shown}” ended with exit code {done.returncode}")
    return done.stdout


@contextmanager
def temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="runsync-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """Settings of MLflow and runsync that happen to be set here have no part in the demo."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RUNSYNC_"))}
    return ours | {"PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1,localhost"}


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)
