"""A signal ends a command whatever its main thread is doing."""

import http.server
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from support.command_line import command
from support.eventually import eventually
from support.forks import clean_environment
from support.memory import export_into

from runsync.bundle import locks
from runsync.bundle.local_store import LocalStore
from runsync.model.experiment import Experiment
from runsync.testing.memory import MemorySource, run_with_metrics, small_source

pytestmark = pytest.mark.long

Start = Callable[..., "subprocess.Popen[str]"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

SETUP = """
import os, signal, sys, threading, time
from runsync.cli import interruption
interruption.GRACE = 1.0
def give_up():
    print("given up", flush=True)
    os._exit(130)
interruption.Interruption(give_up).begin()
lock = threading.Lock()
lock.acquire()
"""


def _run(script: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SETUP + script], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_main_thread_that_slept_through_a_signal_is_woken(number: signal.Signals) -> None:
    # The kernel may give a signal to any thread: the one it gets here does not wake the main thread.
    script = f"""
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), {number.value})).start()
try:
    lock.acquire()
except KeyboardInterrupt:
    print("heard")
"""
    assert _run(script) == (0, "heard")


def test_a_command_that_does_not_end_is_given_up() -> None:
    script = """
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    try:
        lock.acquire()
    except KeyboardInterrupt:
        pass
"""
    assert _run(script) == (130, "given up")


def test_a_second_signal_does_not_disturb_the_tidying_up() -> None:
    script = """
try:
    os.kill(os.getpid(), signal.SIGTERM)
    lock.acquire()
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    print("tidied up")
"""
    assert _run(script) == (0, "tidied up")


def test_a_signal_where_python_lets_no_exception_out_is_heard_again() -> None:
    script = """
import weakref
class Thing: pass
def callback(reference):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000): pass
thing = Thing()
reference = weakref.ref(thing, callback)
try:
    del thing
    time.sleep(20)
except KeyboardInterrupt:
    print("heard")
    os._exit(0)
"""
    assert _run(script) == (0, "heard")


INTERRUPTED_IMPORT = """
import os, signal, sys
moment, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
from runsync.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "moment",
    [
        *("runsync.cli.streams", "click", "runsync.cli.root", "runsync.cli.run", "runsync.cli.interruption", "shlex"),
        *("runsync.cli.check_cmd", "runsync.bundle.check", "pyarrow", "orjson"),
    ],
)
def test_an_interrupt_amid_an_import_prints_no_traceback(moment: str) -> None:
    for number in SIGNALS[:2]:
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTED_IMPORT, moment, str(number.value), "check", ROOT / "examples/bundle"],
            env=clean_environment(),
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stdout) == (130, ""), done.stderr
        assert done.stderr.strip() in ("", "runsync: stopped")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_waits_for_a_lock_gives_up_when_told(
    number: signal.Signals, tmp_path: Path, start_runsync: Start
) -> None:
    export_into(tmp_path / "b", small_source())
    store = LocalStore(tmp_path / "b")
    with locks.shared(store, "export"):
        before = {*locks.holders(store)}
        log = tmp_path / "log"
        process = start_runsync("prune", "b", "--yes", "--retry-lock", "1h", "--log-file", log)
        wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=300)
        assert (process.returncode, stdout, stderr.strip()) == (130, "", "runsync: stopped")
        assert {*locks.holders(store)} == before


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Until something is so, while the process runs."""
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_was_ignored_at_the_start_stays_so(number: signal.Signals) -> None:
    script = f"""
signal.signal({number.value}, signal.SIG_IGN)
other = interruption.Interruption(give_up)
other.begin()
os.kill(os.getpid(), {number.value})
time.sleep(0.3)
print("went on")
"""
    assert _run(script) == (0, "went on")


class Terminal:
    """A command at a terminal of its own, which leads its session, as under a shell's login."""

    def __init__(self, *arguments: object, cwd: Path) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(sys.executable, command(*arguments), clean_environment())
        self.shown = ""

    def read_until(self, text: str) -> None:
        """Reads what it shows."""
        while text not in self.shown:
            self.shown += os.read(self._master, 1000).decode()

    def type(self, keys: bytes) -> None:
        """As on a keyboard."""
        os.write(self._master, keys)

    def hang_up(self) -> None:
        """Closes the window."""
        os.close(self._master)

    def end(self) -> int:
        """Its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_ctrl_c_at_a_question_ends_the_command(tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    terminal = Terminal("prune", "b", cwd=tmp_path)
    terminal.read_until("[y/N]: ")
    terminal.type(b"\x03")
    terminal.read_until("runsync: stopped\r\n")
    assert terminal.shown.count("[y/N]") == 1
    assert "without tidying up" not in terminal.shown
    assert terminal.end() == 130
    assert not [*tmp_path.glob("b/locks/*")]


def test_a_terminal_that_is_closed_ends_the_command(tmp_path: Path) -> None:
    export_into(tmp_path / "b", small_source())
    log = tmp_path / "log"
    terminal = Terminal("forget", "b", "--keep-last", "1", "--log-file", log, cwd=tmp_path)
    terminal.read_until("[y/N]: ")
    terminal.hang_up()
    assert terminal.end() == 130
    assert "end: exit code 130" in log.read_text()
    assert not [*tmp_path.glob("b/locks/*")]


SLOW_PROGRAM = """#!/bin/sh
for last; do :; done
case "$last" in /*) mkdir "$last"; touch "$last/half" ;; esac
echo $$ > "$STARTED.new"; mv "$STARTED.new" "$STARTED"
exec sleep 600
"""


@pytest.fixture
def slow_program(tmp_path: Path) -> Path:
    """A program that does not end, named `git`; it leaves its process id in `started`."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(SLOW_PROGRAM)
    program.chmod(0o755)
    return program


def is_running(pid: int) -> bool:
    """Whether a process that nobody waits for has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("place", ["git", "a login program"])
def test_a_program_that_the_command_waits_for_ends_with_it(
    place: str, tmp_path: Path, slow_program: Path, start_runsync: Start
) -> None:
    environment = {"STARTED": str(tmp_path / "started"), "PATH": f"{slow_program.parent}:{os.environ['PATH']}"}
    if place == "git":
        tags = {"mlflow.source.git.commit": "ab" * 20, "mlflow.source.git.repoURL": "https://example.org/r.git"}
        run = run_with_metrics("cd" * 16, {}, tags=tags)
        export_into(tmp_path / "b", MemorySource([Experiment("1", "e")], [run], {}, {}))
        process = start_runsync("runs", "reproduce", "b", "cd" * 16, "--into", "out", env=environment)
    else:
        config = tmp_path / "aws"
        config.write_text(f"[profile slow]\ncredential_process = {slow_program} login\n")
        environment |= {"AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "true"}
        process = start_runsync("check", "s3://bucket/b", "--s3-profile", "slow", env=environment)
    wait_for((tmp_path / "started").exists, process)
    program = int((tmp_path / "started").read_text())
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=300)  # until nobody holds its stderr open
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "runsync: stopped")
    assert eventually(lambda: not is_running(program))  # it has closed its files, and may still be ending
    assert not [*tmp_path.rglob("*partial*")]


def test_a_command_that_was_suspended_goes_on_where_it_was(tmp_path: Path, start_runsync: Start) -> None:
    """Stopped amid a request for longer than its patience, and its connection closed meanwhile."""
    asked = threading.Event()

    class Server(http.server.BaseHTTPRequestHandler):
        requests = 0

        def do_GET(self) -> None:
            Server.requests += 1
            if Server.requests == 1:
                process.send_signal(signal.SIGSTOP)
                asked.set()
                self.close_connection = True
                return
            body = b"{}" if self.path.startswith("/api") else b"OK"
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_address[1]}"
        process = start_runsync("doctor", where, env={"RUNSYNC_PATIENCE": "1"})
        assert asked.wait(300)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        _, stderr = process.communicate(timeout=300)
        server.shutdown()
    assert Server.requests > 1
    assert "Traceback" not in stderr
