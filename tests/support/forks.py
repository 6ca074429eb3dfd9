"""MLflow without its start: servers and scripts as forks of a process that has it loaded (see `mlflow_forks`).

There is one such process for each release, shared by all test processes of a session, and it ends with the session.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

SCRIPT = Path(__file__).with_name("mlflow_forks.py")
FOREIGN = ("MLFLOW_", "RUNSYNC_", "AWS_", "DATABRICKS_", "AZURE_", "SAGEMAKER_")
"""Prefixes of environment variables that must not leak into servers or into runsync."""
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Without these a job runner with several processes starts beside a server, and MLflow calls home."""
START_SECONDS = 600.0
COMMAND = """#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, "{tests}")
from support import forks
forks.SESSION = {session}
done = forks.run(Path("{mlflow}"), ["-m", "mlflow", *sys.argv[1:]], os.environ, Path.cwd())
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)
"""

# Of pytest, or of its process that leads the others.
SESSION = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()

IS_FAST = False
"""Whether the test that runs belongs to `make test-fast`, which starts no server."""


def may_start() -> None:
    """Fails a test that starts a server and does not say so."""
    assert not IS_FAST, "a server is started: mark the test with pytest.mark.server"


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of MLflow, runsync and clouds."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


class Done(NamedTuple):
    """How a script ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Fork:
    """A process that leads a group of its own, and is no child of this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> None:
        """Until it has ended."""
        while self.poll() is None:
            time.sleep(0.01)


def serve(mlflow: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Fork:
    """`mlflow server …` with its database in `folder`; what it prints is appended to `log`."""
    asked: dict[str, Any] = {"arguments": ["-m", "mlflow", *arguments], "environment": dict(environment)}
    asked |= {"folder": str(folder), "stdout": str(log), "stderr": str(log), "database": True}
    with _connection(mlflow, asked) as connection:
        return Fork(int(connection.makefile().readline()))


def run(
    mlflow: Path, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, modules: Sequence[str] = ()
) -> Done:
    """`python ARGUMENTS…` in the environment of that mlflow command, with MLflow loaded, to its end.

    `modules` are what many such scripts load, for a second of CPU each."""
    with tempfile.TemporaryDirectory(prefix="mlflow-script-") as place:
        out, err = Path(place, "out"), Path(place, "err")
        asked: dict[str, Any] = {"arguments": list(arguments), "environment": dict(environment), "wait": True}
        asked["modules"] = list(modules)
        asked |= {"folder": str(folder), "stdout": str(out), "stderr": str(err)}
        with _connection(mlflow, asked) as connection:
            _, code = connection.makefile().read().split()
        return Done(int(code), out.read_text("utf-8"), err.read_text("utf-8"))


def command(mlflow: Path, folder: Path) -> None:
    """Makes a command `mlflow` in `folder`, to be found on PATH: does what that mlflow command does, in a fork."""
    script = COMMAND.format(python=sys.executable, tests=SCRIPT.parents[1], session=SESSION, mlflow=mlflow.absolute())
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "mlflow"
    place.write_text(script, encoding="utf-8")
    place.chmod(0o755)


def template(mlflow: Path) -> Path:
    """A SQLite file with the tables of that mlflow command's MLflow, without rows: to be copied."""
    return _place(mlflow.absolute()).with_name("template.db")


def _connection(mlflow: Path, asked: Mapping[str, Any]) -> socket.socket:
    may_start()
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(_place(mlflow.absolute())))
        connection.sendall(json.dumps(asked).encode() + b"\n")
    except BaseException:
        connection.close()
        raise
    return connection


def _place(mlflow: Path) -> Path:
    """The socket of the process that has this MLflow loaded; the first who asks starts it."""
    release = f"{mlflow.parents[1].name}-{zlib.crc32(bytes(mlflow)):08x}"
    folder = Path(tempfile.gettempdir(), f"runsync-tests-{SESSION}", release)
    place = folder / "socket"
    if place.exists():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _start(mlflow, place, folder)
    return place


def _start(mlflow: Path, place: Path, folder: Path) -> None:
    command: list[str | Path] = [mlflow.with_name("python"), "-P", SCRIPT, place, folder / "template.db", str(SESSION)]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=clean_environment() | QUIET,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not place.exists():
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, f"MLflow was not loaded in {START_SECONDS} s"
        time.sleep(0.05)
    # It outlives this test process where others share it; it ends by itself when the session does.
    process.returncode = 0


def kill(process: "Fork | subprocess.Popen[bytes]") -> None:
    """SIGKILL to all processes of its group; returns when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
