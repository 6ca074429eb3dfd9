"""A backend that another package brings, by an entry point."""

from pathlib import Path

import pytest
from conftest import Runner

TOY = '''
from support.memory import MemorySource, small_source

from runsync.contract.backend import Backend


class Toy(MemorySource):
    """Workspaces that are Python data."""

    notes = []
    whereabouts = ("toy",)
    workbench = None

    def examine(self):
        return iter(())

    def close(self):
        pass


def open_toy(where, opening):
    small = small_source()
    return Toy(small.all_experiments, small.runs, small.points, small.files)


BACKEND = Backend(("toy://NAME",), lambda where, config: where.startswith("toy://"), open_toy)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder that a package is installed in."""
    home = tmp_path / "site"
    info = home / "runsync_toy-1.0.dist-info"
    info.mkdir(parents=True)
    (home / "runsync_toy.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: runsync-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[runsync.workspaces]\ntoy = runsync_toy:BACKEND\n")
    return home


def environment(package: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{package}:{Path(__file__).parents[1]}"}


def test_every_verb_takes_the_addresses_of_an_installed_package(package: Path, tmp_path: Path, runsync: Runner) -> None:
    env = environment(package)
    made = runsync("export", "toy://box", tmp_path / "bundle", env=env, process=True)
    assert made.returncode == 0, made.stdout + made.stderr
    told = runsync("runs", "list", "toy://box", "--state", "all", env=env, process=True)
    assert (told.returncode, "first" in told.stdout) == (0, True)
    checked = runsync("verify", "toy://box", tmp_path / "bundle", env=env, process=True)
    assert (checked.returncode, "Everything is there" in checked.stdout) == (0, True), checked.stdout


def test_an_address_that_nobody_knows_is_told_with_the_forms_there_are(package: Path, runsync: Runner) -> None:
    told = runsync("doctor", "ftp://box", env=environment(package), process=True)
    assert (told.returncode, "databricks://PROFILE" in told.stderr, "toy://NAME" in told.stderr) == (2, True, True)


def test_a_package_that_cannot_be_loaded_is_named(package: Path, tmp_path: Path, runsync: Runner) -> None:
    (package / "runsync_toy.py").write_text("raise RuntimeError('no luck')")
    told = runsync("runs", "list", "toy://box", env=environment(package), process=True)
    assert told.returncode == 2
    assert "the backend toy (runsync_toy:BACKEND) cannot be loaded: no luck" in told.stderr
    fine = runsync("snapshots", tmp_path / "nothing", env=environment(package), process=True)
    assert fine.returncode == 10, "who needs no such address is not disturbed"
