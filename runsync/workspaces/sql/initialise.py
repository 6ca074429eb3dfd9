"""Makes the tables of an empty database, by MLflow itself: that of this environment, or the one on PATH."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from runsync.errors import WorkspaceUnreachable, WrongUsage
from runsync.extras import how_to_install
from runsync.secrecy import strike
from runsync.workspaces.sql import address, connect, faults
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.no_tables import OLDEST
from runsync.workspaces.sql.schema import VERSIONS

TIMEOUT = 900
"""Seconds; all migrations one after the other take MLflow some ten."""
STARTING = 120
"""Seconds for `mlflow --version`."""
_VERSION = re.compile(r"version (\d+)(\.\S+)")


@dataclass(frozen=True, slots=True)
class MLflow:
    """How to start it. One of this environment has the drivers that runsync has; of another one nothing is known."""

    command: tuple[str, ...]
    version: str
    is_of_here: bool


def planned(url: str, has_root: bool) -> MLflow | None:
    """Who would make the tables; None where there are some. `has_root` tells that it is known where artifacts go.

    Raises WrongUsage where `initialise` would fail, with what to do first; WorkspaceUnreachable, AccessDenied.
    """
    told = address.parse(url)
    _require_drivers(told)
    if not is_empty(told):
        return None
    found = _mlflow()
    if told.kind == address.SQLITE:
        _require_folder(told)
    elif not has_root:
        raise WrongUsage(
            f"{told.printable} is empty, and does not tell where artifacts are to go: say with --artifacts where its "
            "server will keep them (a folder or s3://bucket/prefix), or leave them out with --no-artifacts"
        )
    return found


def initialise(url: str) -> None:
    """Runs `mlflow db upgrade` on a database that has no tables yet; one that has some stays as it is. Raises
    WrongUsage where MLflow is not installed, WorkspaceUnreachable where it fails. MLflow takes the URI, with its
    password, on its command line."""
    told = address.parse(url)
    if not is_empty(told):  # else MLflow would upgrade those of a server
        return
    if told.kind == address.SQLITE:
        Path(told.database).resolve().parent.mkdir(parents=True, exist_ok=True)
    found = _mlflow()
    plain = url.partition("?")[0] if told.workspace else url
    plain = connect.with_own_driver(plain, told) if found.is_of_here else address.with_driver(plain)
    command = [*found.command, "db", "upgrade", plain]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603
    if done.returncode:
        raise _failed(told, found, done.stderr)


def is_empty(told: DatabaseAddress) -> bool:
    """Whether it has no tables, or is a SQLite file that is not there."""
    from sqlalchemy import inspect

    if told.kind == address.SQLITE and not Path(told.database).exists():
        return True
    database = Database(told)
    try:
        with database.reading() as connection:
            return not {*inspect(connection).get_table_names()} - {VERSIONS}
    finally:
        database.close()


def _require_drivers(told: DatabaseAddress) -> None:
    try:
        connect.engine(told, read_only=True)
    except faults.MissingDriver as error:
        raise faults.MissingDriver(told, error.part, "init") from None


def _require_folder(told: DatabaseAddress) -> None:
    above = Path(told.database).resolve().parents
    nearest = next(folder for folder in above if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise WrongUsage(f"{told.printable} cannot be made: {nearest} is no folder that we may write to")


def _mlflow() -> MLflow:
    """Raises WrongUsage where there is none that can do it."""
    here = _version_here()
    if _is_new_enough(here) and find_spec("alembic"):
        return MLflow((sys.executable, "-m", "mlflow"), here, True)
    found = shutil.which("mlflow")
    there = _version_of(found) if found else ""
    if found and _is_new_enough(there):
        return MLflow((found,), there, False)
    raise WrongUsage(_lacking(here or there))


def _lacking(found: str) -> str:
    needed = f"--init needs MLflow {OLDEST} or newer, with alembic, beside runsync or as mlflow on PATH"
    if found and not _is_new_enough(found):
        return f"{needed}, and {found} is installed: in another virtual environment, {how_to_install('init')}"
    return f"{needed}, and finds none: {how_to_install('init')}"


def _version_here() -> str:
    """Of the MLflow that this Python would import, "" for none; its parts are one package (mlflow-skinny) or two."""
    for name in ("mlflow", "mlflow-skinny"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _version_of(command: str) -> str:
    """What it says of itself, "" when it says nothing of use."""
    try:
        done = subprocess.run(  # noqa: S603
            [command, "--version"], capture_output=True, text=True, timeout=STARTING, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = _VERSION.search(done.stdout)
    return "".join(told.groups()) if told else ""


def _is_new_enough(found: str) -> bool:
    return _numbers(found) >= _numbers(OLDEST)


def _numbers(told: str) -> tuple[int, ...]:
    """The first two, as far as they are numbers."""
    return tuple(int(part) for part in told.split(".")[:2] if part.isdigit())


def _failed(told: DatabaseAddress, found: MLflow, said: str) -> WorkspaceUnreachable | WrongUsage:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith("(Background")), "it said nothing")
    if not found.is_of_here and "No module named" in last:
        return WrongUsage(
            f"{found.command[0]} (MLflow {found.version}) has no driver for {told.printable} ({strike(last)[:500]}): "
            f"give runsync an MLflow of its own, with {how_to_install('init')}"
        )
    return WorkspaceUnreachable(f"mlflow db upgrade failed on {told.printable}: {strike(last)[:500]}")
