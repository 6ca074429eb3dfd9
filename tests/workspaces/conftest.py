"""Workspaces on the source server, and the same as bundles: no test changes them."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.command_line import command
from support.forks import clean_environment
from support.rich import Facts, files_workspace, small_workspace
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.workspaces.sql import aside


@pytest.fixture
def aside_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a SQLite file lets others write in a moment, not after seconds."""
    monkeypatch.setattr(aside, "AFTER", 0.1)


@pytest.fixture(scope="session")
def small(fleet: Any) -> tuple[MlflowServer, Facts]:
    """A small workspace on the source server, for all tests of this folder: none of them changes it."""
    server: MlflowServer = fleet.get("mlflow3_a")
    with Seeder(server.url) as seeder:
        return server, small_workspace(seeder, f"small-{time.time_ns()}-")


@pytest.fixture(scope="session")
def small_bundle(small: tuple[MlflowServer, Facts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same workspace as a bundle."""
    return _bundle(small, tmp_path_factory)


@pytest.fixture(scope="session")
def files(fleet: Any) -> tuple[MlflowServer, Facts]:
    """One run with artifacts of every kind, one of them of three megabytes."""
    server: MlflowServer = fleet.get("mlflow3_a")
    with Seeder(server.url) as seeder:
        return server, files_workspace(seeder, f"files-{time.time_ns()}-")


@pytest.fixture(scope="session")
def files_bundle(files: tuple[MlflowServer, Facts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same workspace as a bundle."""
    return _bundle(files, tmp_path_factory)


def _bundle(made: tuple[MlflowServer, Facts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    server, facts = made
    bundle = tmp_path_factory.mktemp("exported") / "bundle"
    arguments = command("export", server.url, bundle, "--experiment", facts.pattern)
    subprocess.run(arguments, env=clean_environment(), check=True, capture_output=True, timeout=300)
    return bundle
