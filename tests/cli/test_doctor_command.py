"""doctor at the command line: what a person sees."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from conftest import Runner
from support.command_line import command
from support.forks import clean_environment
from support.servers import MlflowServer, free_port

ADA = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "a long pass phrase"}


def _at_a_terminal(columns: int, *arguments: object) -> list[str]:
    """The lines that a terminal of that width shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    none = subprocess.DEVNULL
    told = {name: value for name, value in clean_environment().items() if name != "COLUMNS"}  # xdist sets it
    process = subprocess.Popen(command(*arguments), env=told | ADA, stdin=none, stdout=theirs, stderr=none)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # the terminal is gone once the process has ended
    os.close(ours)
    process.wait(timeout=300)
    return shown.decode().splitlines()


def test_each_finding_is_a_line_and_the_last_one_sums_up(runsync: Runner) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = runsync("doctor", url, env=ADA | {"RUNSYNC_PATIENCE": "0"})
    assert (done.returncode, done.stderr) == (13, "")
    credentials, settings, connection, summary = done.stdout.splitlines()
    assert credentials == "ok       credentials  user “ada” and a password"
    names = "MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, RUNSYNC_PATIENCE"
    assert settings == f"ok       settings     taken from {names}"
    assert connection == (
        f"failure  connection   {url} does not answer (connection refused); check the address and that the server runs"
    )
    assert summary.startswith(f"{url}: 1 failure (")
    assert ADA["MLFLOW_TRACKING_PASSWORD"] not in done.stdout


def test_at_a_terminal_long_lines_go_on_below_their_text(mlflow3_a: MlflowServer) -> None:
    lines = _at_a_terminal(60, "doctor", mlflow3_a.url)
    limits = next(number for number, line in enumerate(lines) if line.startswith("ok       limits"))
    assert max(map(len, lines[:-1])) <= 60
    assert lines[limits + 1].startswith(" " * 22)
    assert lines[limits + 1][22] != " "
