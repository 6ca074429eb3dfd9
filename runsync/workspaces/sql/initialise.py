"""Makes the tables of an empty database, by MLflow itself."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from runsync.errors import WorkspaceUnreachable, WrongUsage
from runsync.secrecy import strike
from runsync.workspaces.sql import address
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import VERSIONS

TIMEOUT = 900
"""Seconds; all migrations one after the other take MLflow some ten."""


def initialise(url: str) -> None:
    """Runs `mlflow db upgrade` on a database that has no tables yet; one that has some stays as it is. Raises
    WrongUsage where MLflow is not installed, WorkspaceUnreachable where it fails. MLflow takes the URI, with its
    password, on its command line."""
    told = address.parse(url)
    if not is_empty(told):
        return
    if told.kind == address.SQLITE:
        Path(told.database).resolve().parent.mkdir(parents=True, exist_ok=True)
    plain = address.with_driver(url.partition("?")[0] if told.workspace else url)
    command = [*_mlflow(), "db", "upgrade", plain]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if not line.startswith("(Background")), "it said nothing")
        raise WorkspaceUnreachable(
            f"mlflow db upgrade failed on {told.printable}: {strike(said)[:500]} (an empty database takes MLflow 3, "
            "and the driver that the address names, as mysql+pymysql://, or its usual one, installed beside it)"
        )


def is_empty(told: address.DatabaseAddress) -> bool:
    """Whether it has no tables, or is a SQLite file that is not there: mlflow would upgrade those of a server."""
    from sqlalchemy import inspect

    if told.kind == address.SQLITE and not Path(told.database).exists():
        return True
    database = Database(told)
    try:
        with database.reading() as connection:
            return not {*inspect(connection).get_table_names()} - {VERSIONS}
    finally:
        database.close()


def _mlflow() -> list[str]:
    found = shutil.which("mlflow")
    if found:
        return [found]
    if find_spec("mlflow"):
        return [sys.executable, "-m", "mlflow"]
    raise WrongUsage("--init needs MLflow, which is not installed here: pip install mlflow")
