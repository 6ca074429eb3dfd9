"""The worst day: the server and all its files are gone, and everything comes back from the backup on S3."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT
from support.forks import clean_environment
from support.oracle import Reader, compare
from support.rich import small_workspace
from support.s3 import Bucket
from support.seed import Seeder
from support.servers import MlflowServer
from support.stores import Filler, empty_sqlite, fill, opened

pytestmark = pytest.mark.long

DRILL = ROOT / "examples" / "restore-drill" / "restore-drill.sh"


def test_a_lost_server_is_restored_from_its_backup_and_everything_is_there(
    start_server: Callable[..., MlflowServer], bucket: Bucket, tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    source.wait()
    with Seeder(source.url) as seeder:
        facts = small_workspace(seeder, "team-")
    before = Reader(source.url).read([facts.pattern])
    assert before.runs
    done = drill(source, f"{bucket.url}/mlflow", target.wait().url, tmp_path, bucket)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not source.running
    assert not source.folder.exists()
    assert "Everything that was compared is there." in done.stdout
    assert "Restored and verified in" in done.stdout
    assert compare(before, Reader(target.url).read([facts.pattern])) == []
    ids = json.loads((tmp_path / "ids.json").read_text())["runs"]
    assert set(before.runs) <= set(ids)


def drill(
    source: MlflowServer, bundle: str, target: str, folder: Path, bucket: Bucket
) -> "subprocess.CompletedProcess[str]":
    """The script of the examples; the source is lost between backup and restore."""
    assert source.process_group is not None
    lose = f"kill -9 -{source.process_group}; sleep 1; rm -rf {shlex.quote(str(source.folder))}"
    return run_drill([source.url, bundle, target], folder, {**bucket.environment, "LOSE_SOURCE": lose})


def run_drill(places: list[str], folder: Path, settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The script, with this runsync on its PATH."""
    shim = folder / "bin" / "runsync"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m runsync "$@"\n')
    shim.chmod(0o755)
    environment = {
        **clean_environment(),
        **settings,
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
    command = ["/bin/sh", str(DRILL), *places]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def test_a_drill_without_its_arguments_says_how_it_is_used(tmp_path: Path) -> None:
    done = subprocess.run(["/bin/sh", str(DRILL)], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: restore-drill.sh SOURCE BUNDLE TARGET")


@pytest.mark.slow
def test_the_last_line_names_what_was_accepted_and_did_not_come_back(tmp_path: Path) -> None:
    source = empty_sqlite(tmp_path / "source.db")
    with opened(source) as workspace:
        fill(Filler(workspace))
    with closing(sqlite3.connect(tmp_path / "source.db")) as database, database:
        for name in ("one", "two"):
            hook = "INSERT INTO webhooks VALUES (?, ?, '', 'https://x', 'ACTIVE', '', 1, 1, NULL, 'default')"
            database.execute(hook, (name, name))
    (tmp_path / "runsync.toml").write_text('[bundles.nightly]\nuri = "b"\naccept = ["webhooks"]\n')
    target = empty_sqlite(tmp_path / "target.db")
    done = run_drill([source, "nightly", target], tmp_path, {})
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Restored and verified, without what was accepted (2 webhooks), in "), last
