"""Where the benchmark works: servers with a workload in them, kept from run to run, and empty ones."""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Server, run
from workload import Workload

ROOT = Path(__file__).resolve().parents[2]
CEILING = (sys.executable, Path(__file__).with_name("ceiling.py"))


class Places:
    """Folders below one cache, for one release of MLflow."""

    def __init__(self, mlflow: Path, cache: Path | None = None) -> None:
        if not mlflow.is_file():
            raise SystemExit(f"there is no {mlflow}: run make setup, or name another with --mlflow")
        self.mlflow = mlflow
        told = subprocess.run([mlflow, "--version"], capture_output=True, text=True, check=True).stdout
        self.release = told.split()[-1]
        root = cache or Path(tempfile.gettempdir()) / f"runsync-benchmark-{getpass.getuser()}"
        self._cache = root / self.release
        self._cache.mkdir(parents=True, exist_ok=True)

    def bodies(self, workload: Workload) -> Path:
        """The workload's request bodies, written when they are not there yet."""
        folder = self._cache / workload.name / "bodies"
        if not folder.exists():
            unfinished = folder.with_name("unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            workload.write(unfinished)
            unfinished.rename(folder)
        return folder

    @contextmanager
    def source(self, workload: Workload) -> Iterator[Server]:
        """A server that holds the workload; filled at the first time."""
        folder = self._cache / workload.name / "server"
        filled = folder / "filled"
        if not filled.exists():
            shutil.rmtree(folder, ignore_errors=True)
        with Server(self.mlflow, folder=folder, workers=None) as server:
            if not filled.exists():
                told, _ = run([*CEILING, "import", server.url, self.bodies(workload)], server)
                print(f"filled a server with {workload} in {told.seconds:.0f} s", file=sys.stderr)
                filled.touch()
            warm(server)
            yield server

    def filled(self, workload: Workload) -> Path:
        """The folder of the server that holds the workload, which does not run: its database and artifacts."""
        with self.source(workload) as server:
            return server.folder

    @contextmanager
    def empty(self) -> Iterator[Server]:
        """A new, empty server."""
        with Server(self.mlflow, workers=None) as server:
            warm(server)
            yield server

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the same disk as all else."""
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="scratch-") as folder:
            yield Path(folder)


def warm(server: Server) -> None:
    """So that no yardstick pays for the server's first requests."""
    run([*CEILING, "warm", server.url])


def default_mlflow() -> Path:
    """The command that the tests use for MLflow 3."""
    return Path(os.environ.get("RUNSYNC_TEST_MLFLOW_3", ROOT / ".venvs/mlflow-3/bin/mlflow"))
