"""A backend that another package brings, by an entry point."""

import shutil
from pathlib import Path

from conftest import ROOT, Runner
from support.memory import export_into

from runsync.testing.memory import small_source

TOY = ROOT / "tests" / "toy"
"""The folder that the backend of another package is installed in."""
ENVIRONMENT = {"PYTHONPATH": str(TOY)}


def test_every_verb_takes_the_addresses_of_an_installed_package(tmp_path: Path, runsync: Runner) -> None:
    export_into(tmp_path / "bundle", small_source())
    box = f"toy://{tmp_path / 'box'}"
    made = runsync("import", tmp_path / "bundle", box, env=ENVIRONMENT, process=True)
    assert made.returncode == 0, made.stdout + made.stderr
    told = runsync("runs", "list", box, "--state", "all", env=ENVIRONMENT, process=True)
    assert (told.returncode, "first" in told.stdout) == (0, True)
    checked = runsync("verify", tmp_path / "bundle", box, env=ENVIRONMENT, process=True)
    assert (checked.returncode, "Everything is there" in checked.stdout) == (0, True), checked.stdout


def test_an_address_that_nobody_knows_is_told_with_the_forms_there_are(runsync: Runner) -> None:
    told = runsync("doctor", "ftp://box", env=ENVIRONMENT, process=True)
    assert (told.returncode, "databricks://PROFILE" in told.stderr, "toy://FOLDER" in told.stderr) == (2, True, True)


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path, runsync: Runner) -> None:
    site = tmp_path / "site"
    shutil.copytree(TOY / "runsync_toy-1.0.dist-info", site / "runsync_toy-1.0.dist-info")
    (site / "runsync_toy.py").write_text("raise RuntimeError('no luck')")
    env = {"PYTHONPATH": str(site)}
    told = runsync("runs", "list", "toy://box", env=env, process=True)
    assert told.returncode == 2
    assert "the backend toy (runsync_toy:BACKEND) cannot be loaded: no luck" in told.stderr
    fine = runsync("snapshots", tmp_path / "nothing", env=env, process=True)
    assert fine.returncode == 10, "who needs no such address is not disturbed"
