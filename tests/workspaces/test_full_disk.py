"""A disk that is full: one line, no snapshot, and the next export finishes."""

import resource
import subprocess
from pathlib import Path

import pytest
from conftest import Runner
from support.command_line import Result, command
from support.forks import clean_environment

from runsync.bundle.check import check
from workspaces.failing import Seeded, export, one_line


def test_a_disk_that_takes_no_more_ends_the_export_with_1_and_the_next_one_finishes(
    files: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = files
    bundle = tmp_path / "b"
    # Files may not get larger than a megabyte; Python ignores the signal, so writes fail as on a full disk.
    done = subprocess.run(
        command("export", server.url, bundle, "--experiment", facts.pattern),
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    error = one_line(Result(done.returncode, done.stdout, done.stderr), 1)
    assert f"{bundle} cannot be written: File too large" in error
    assert "Stopped before the end." in done.stdout
    assert not list(bundle.glob("snapshots/*.json"))
    assert check(bundle).faults == []
    assert export(runsync, server.url, bundle, facts)[0] == 0
    assert check(bundle).faults == []


@pytest.mark.parametrize("limit", [600, pytest.param(1200, marks=pytest.mark.slow)])
def test_a_disk_that_is_full_at_once_ends_the_export_with_one_line(
    small: Seeded, runsync: Runner, tmp_path: Path, limit: int
) -> None:
    """A limit so low that the metrics parts or the run documents do not fit."""
    server, facts = small
    bundle = tmp_path / "b"
    done = subprocess.run(
        command("export", server.url, bundle, "--experiment", facts.pattern, "--no-artifacts"),
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    one_line(Result(done.returncode, done.stdout, done.stderr), 1)
    assert not list(bundle.glob("snapshots/*.json"))
    assert export(runsync, server.url, bundle, facts)[0] == 0
