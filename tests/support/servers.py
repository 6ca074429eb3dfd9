"""Real MLflow servers on loopback, each in a process group and a folder of its own."""

import base64
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import requests

from support import forks
from support.forks import clean_environment
from support.secrets import MARK, SEARCH

ADMIN = ("admin", f"correct horse battery {MARK}")
"""The user that `--app-name basic-auth` makes at first; MLflow 3 refuses the password of its manual."""

_handed_out: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens on, never the same twice in one process.

    A server binds it seconds later. So it is none that the kernel gives to outgoing connections (from 32768 on), and
    test processes that run side by side choose in ranges of their own.
    """
    first = 10_000 + 2_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)
    while True:
        port = random.randrange(first, first + 2_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _handed_out:
                _handed_out.add(port)
                return port


class MlflowServer:
    """One server; `with` starts and waits for it and kills it at the end.

    To start several side by side call `start` on each, then `wait` on each, then `stop`. `workers=None`
    leaves the number of workers to MLflow. `artifact_root` is where runs' artifacts lie.
    `forked=False` starts the command itself, not a fork that has MLflow loaded (see `forks`).
    `gunicorn=True` has MLflow 3 run under gunicorn, which takes half the CPU of uvicorn, its default.
    With `static_prefix`, MLflow 2 keeps `/api` and `/health` outside of it; MLflow 3 has all inside.
    """

    def __init__(
        self,
        mlflow: str | Path,
        *,
        folder: Path | None = None,
        workers: int | None = 1,
        static_prefix: str = "",
        serve_artifacts: bool = True,
        workspaces: bool = False,
        basic_auth: bool = False,
        extra: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        forked: bool = True,
        gunicorn: bool = False,
    ) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="mlflow-server-")
        self.folder = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artifact_root = self.folder / "artifacts"
        self.log = self.folder / "server.log"
        self.port = free_port()
        self._root = f"http://127.0.0.1:{self.port}"
        self.url = self._root + static_prefix
        self.basic_auth = ADMIN if basic_auth else None
        self._command = [
            str(mlflow),
            "server",
            *self._options(workers, static_prefix, serve_artifacts),
            *extra,
        ]
        if gunicorn:
            self._command += ["--gunicorn-opts", "--threads 8 --keep-alive 60"]
        if workspaces:
            self._command.append("--enable-workspaces")
        if basic_auth:
            self._command += ["--app-name", "basic-auth"]
        self._environment = self._variables(basic_auth) | dict(environment or {})
        # MLflow 1 looks for gunicorn there.
        self._environment["PATH"] = f"{Path(mlflow).parent}{os.pathsep}{self._environment['PATH']}"
        # What loads it several times starts as its users start it.
        self._is_forked = forked and workers == 1
        self._mlflow = Path(mlflow)
        self._process: forks.Fork | subprocess.Popen[bytes] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a client must send to be let in."""
        if not self.basic_auth:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(":".join(self.basic_auth).encode()).decode()}

    @property
    def running(self) -> bool:
        """Whether the server's first process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_group(self) -> int | None:
        """The number that all its processes share; None when it was not started."""
        return None if self._process is None else self._process.pid

    def start(self) -> Self:
        """Starts the server and returns at once."""
        forks.may_start()
        assert not self.running, f"{self.url} is running already"
        if self._is_forked:
            self._process = forks.serve(self._mlflow, self._command[1:], self._environment, self.folder, self.log)
        else:
            with self.log.open("ab") as log:
                self._process = self._spawn(log)
        return self

    def wait(self, seconds: float = 900) -> Self:
        """Returns once the server answers. Raises RuntimeError with the end of its log if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running:
                raise RuntimeError(f"{' '.join(self._command)} ended:\n{self.log_end()}")
            with suppress(requests.RequestException), requests.Session() as session:
                session.trust_env = False
                # MLflow 2 leaves /health outside of its static prefix.
                if any(session.get(f"{url}/health", timeout=5).ok for url in {self.url, self._root}):
                    return self
            time.sleep(0.1)
        log = self.log_end()
        self.kill()
        raise RuntimeError(f"{self.url} did not answer in {seconds} s:\n{log}")

    def kill(self) -> None:
        """SIGKILL to every process of the server, as a power cut would."""
        if self._process is None:
            return
        forks.kill(self._process)
        self._process = None
        self._wait_for_port()

    def restart(self) -> Self:
        """The same server again: same port, same database, same artifacts."""
        self.kill()
        return self.start().wait()

    def stop(self) -> None:
        """Kills the server and removes its folder, unless the folder was given."""
        self.kill()
        if self._temporary:
            self._temporary.cleanup()

    def log_end(self, characters: int = 4000) -> str:
        """The last of what the server wrote."""
        return self.log.read_text(errors="replace")[-characters:]

    def __enter__(self) -> Self:
        try:
            return self.start().wait()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _options(self, workers: int | None, static_prefix: str, serve_artifacts: bool) -> list[str]:
        options = ["--host", "127.0.0.1", "--port", str(self.port)]
        options += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        if serve_artifacts:
            options += ["--artifacts-destination", str(self.artifact_root)]
        else:
            options += ["--no-serve-artifacts", "--default-artifact-root", str(self.artifact_root)]
        if workers is not None:
            options += ["--workers", str(workers)]
        if static_prefix:
            options += ["--static-prefix", static_prefix]
        return options

    def _variables(self, basic_auth: bool) -> dict[str, str]:
        variables = clean_environment() | forks.QUIET
        if basic_auth:
            SEARCH.keep(ADMIN[1], "the administrator's password")
            settings = SEARCH.holds_secrets(self.folder / "auth.ini")
            settings.write_text(
                "[mlflow]\ndefault_permission = READ\n"
                f"database_uri = sqlite:///{self.folder}/auth.db\n"
                f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            )
            variables |= {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests"}
        return variables

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _wait_for_port(self) -> None:
        """Returns once no process of the killed group holds the port any more."""
        for _ in range(100):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):
                    probe.bind(("127.0.0.1", self.port))
                    return
            time.sleep(0.05)
        raise RuntimeError(f"port {self.port} is still taken after the server was killed")
