"""snapshots, forget, prune and unlock at the command line: what they print, when they ask, how they end."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.command_line import command
from support.damage import files_of, flip
from support.forks import clean_environment
from support.memory import export_to
from support.s3 import Bucket
from support.stores import empty_sqlite

from runsync.bundle import schemas
from runsync.bundle.address import Access
from runsync.bundle.bundle import create_bundle, open_bundle
from runsync.bundle.locks import shared
from runsync.s3 import S3Options
from runsync.testing.memory import small_source


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    opened = create_bundle(folder)
    for _ in range(3):
        export_to(opened, small_source())
    return folder


def report(text: str, kind: str) -> dict[str, Any]:
    """The one JSON document that a text is, valid."""
    document: dict[str, Any] = json.loads(text)
    schemas.check(kind, document, "stdout")
    return document


def test_snapshots_are_listed_for_people_and_for_programs(bundle: Path, runsync: Runner) -> None:
    ids = open_bundle(bundle).snapshot_ids()
    told = runsync("snapshots", bundle)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[0].split()[:3] == ["id", "finished", "source"]
    assert [line.split()[0] for line in told.stdout.splitlines()[1:4]] == ids
    assert "everything" in told.stdout
    document = report(runsync("snapshots", bundle, "--json").stdout, "snapshots-report")
    assert [one["id"] for one in document["snapshots"]] == ids
    flip(bundle / f"snapshots/{ids[1]}.json", 500)
    told = runsync("snapshots", bundle)
    assert (told.returncode, told.stderr) == (12, "")
    assert "Broken (1):" in told.stdout
    document = report(runsync("snapshots", bundle, "--json").stdout, "snapshots-report")
    assert (document["exit_code"], len(document["snapshots"]), document["broken"][0]["id"]) == (12, 2, ids[1])


def test_a_missing_snapshot_stops_no_export_and_is_reported_by_every_command(
    bundle: Path, tmp_path: Path, runsync: Runner
) -> None:
    database, ids = empty_sqlite(tmp_path / "mlflow.db"), open_bundle(bundle).snapshot_ids()
    (bundle / f"snapshots/{ids[2]}.json").unlink()
    for verb in ("inspect", "verify"):
        done = runsync(verb, bundle, *([database] if verb == "verify" else []))
        assert (done.returncode, done.stdout) == (12, "")
        assert f"snapshot {ids[2]} is missing" in done.stderr
    listed = runsync("snapshots", bundle)
    assert (listed.returncode, "Missing (1):" in listed.stdout) == (12, True)
    done = runsync("export", database, bundle, "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"runsync: warning: {bundle}: snapshot {ids[2]} is missing")
    told = runsync("export", database, bundle, "--json")
    document = report(told.stdout, "transfer-report")
    assert (len(document["warnings"]), told.stderr.count("warning")) == (1, 1)
    assert runsync("inspect", bundle).returncode == 0
    assert runsync("check", bundle).returncode == 12
    assert runsync("forget", f"{bundle}@{ids[2]}", "--yes").returncode == 0
    assert runsync("check", bundle).returncode == 0
    assert runsync("export", database, bundle, "--quiet").stderr == ""


def test_a_dry_run_of_forget_tells_the_reason_for_each_and_removes_nothing(bundle: Path, runsync: Runner) -> None:
    before = files_of(bundle)
    told = runsync("forget", bundle, "--keep-daily", "1", "--keep-within", "0d1h", "--dry-run", "--timezone", "UTC")
    assert (told.returncode, told.stderr) == (0, "")
    assert [line.split()[0] for line in told.stdout.splitlines()[1:4]] == ["keep"] * 3
    assert "daily; within 1h" in told.stdout.splitlines()[1]
    told = runsync("forget", bundle, "--keep-last", "2", "--dry-run", "--prune")
    assert "last: 2 newer kept" in told.stdout.splitlines()[3]
    assert "1 of 3 snapshots would be forgotten (dry run: nothing was removed)" in told.stdout
    assert "delete 0 files (0 B) (dry run: nothing was written)" in told.stdout
    document = report(runsync("forget", bundle, "--keep-last", "2", "--dry-run", "--json").stdout, "forget-report")
    assert (document["dry_run"], document["prune"]) == (True, None)
    assert [one["keep"] for one in document["snapshots"]] == [True, True, False]
    assert files_of(bundle) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("forget", "BUNDLE", "--yes"), "an empty policy would keep no snapshot: say what to keep with --keep-last"),
        (("forget", "BUNDLE", "--keep-last", "0", "--yes"), "an empty policy"),
        (("forget", "BUNDLE", "--keep-last", "1"), "it needs --yes"),
        (("forget", "BUNDLE@latest"), "it needs --yes"),
        (("prune", "BUNDLE"), "it needs --yes"),
        (("unlock", "BUNDLE", "--all"), "it needs --yes"),
        (("forget", "BUNDLE", "--keep-last", "many"), "“many” is no count"),
        (("forget", "BUNDLE", "--keep-last", "-3"), "“-3” is no count"),
        (("forget", "BUNDLE", "--keep-within", "soon"), "“soon” is no stretch of time"),
        (("forget", "BUNDLE", "--keep-daily", "1", "--timezone", "Mars/Olympus"), "“Mars/Olympus” is no time zone"),
        (("forget", "BUNDLE@latest", "--keep-last", "1", "--yes"), "one snapshot or a policy"),
    ],
)
def test_what_cannot_be_meant_ends_with_2_asks_nothing_and_removes_nothing(
    bundle: Path, runsync: Runner, arguments: tuple[str, ...], told: str
) -> None:
    before = files_of(bundle)
    done = runsync(*(argument.replace("BUNDLE", str(bundle)) for argument in arguments), input="y\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert files_of(bundle) == before


def test_with_yes_snapshots_are_forgotten_and_freed_without_a_question(bundle: Path, runsync: Runner) -> None:
    ids = open_bundle(bundle).snapshot_ids()
    done = runsync("forget", bundle, "--keep-last", "1", "--prune", "--yes", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = report(done.stdout, "forget-report")
    assert document["prune"]["snapshots"] == 1
    assert open_bundle(bundle).snapshot_ids() == ids[2:]
    assert runsync("forget", f"{bundle}@latest", "--yes").returncode == 0
    pruned = runsync("prune", bundle, "--yes", "--json")
    assert report(pruned.stdout, "prune-report")["removed_files"] > 3
    assert [name for name in files_of(bundle) if name.startswith(("parts/", "blobs/"))] == []


def _at_a_terminal(answer: str, *arguments: object) -> tuple[int, str]:
    """Exit code, and what the terminal shows on stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), env=clean_environment(), stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass
    os.close(ours)
    return process.wait(300), shown.decode()


@pytest.mark.long
def test_at_a_terminal_the_count_is_shown_and_asked_for(bundle: Path) -> None:
    before = files_of(bundle)
    code, shown = _at_a_terminal("n\n", "forget", bundle, "--keep-last", "1")
    assert code == 130
    assert "forget 2 of 3 snapshots" in shown
    assert files_of(bundle) == before
    code, shown = _at_a_terminal("y\n", "forget", bundle, "--keep-last", "1")
    assert code == 0
    assert len(open_bundle(bundle).snapshot_ids()) == 1
    assert "delete 0 files" in _at_a_terminal("n\n", "prune", bundle)[1]


def test_a_locked_bundle_ends_prune_with_11_and_unlock_says_whose_locks_there_are(
    bundle: Path, runsync: Runner
) -> None:
    with shared(open_bundle(bundle).store, "export"):
        done = runsync("prune", bundle, "--yes")
        assert done.returncode == 11
        assert f"locked by export of process {os.getpid()}" in done.stderr
        told = runsync("unlock", bundle)
        assert told.returncode == 0
        assert f"held: export of process {os.getpid()}" in told.stdout
        assert "0 locks removed, 1 held" in told.stdout
        told = runsync("unlock", bundle, "--all", "--yes", "--json")
        document = report(told.stdout, "unlock-report")
        assert [one["pid"] for one in document["removed"]] == [os.getpid()]
        assert runsync("prune", bundle, "--yes").returncode == 0


def test_a_bundle_on_s3_is_listed_forgotten_and_pruned_alike(bucket: Bucket, runsync: Runner) -> None:
    opened = create_bundle(f"{bucket.url}/b", Access(s3=S3Options(bucket.endpoint)))
    for _ in range(2):
        export_to(opened, small_source())
    ids = opened.snapshot_ids()
    where, env = f"{bucket.url}/b", bucket.environment
    assert ids[0] in runsync("snapshots", where, env=env).stdout
    assert runsync("forget", where, "--keep-last", "1", "--prune", "--yes", env=env).returncode == 0
    assert opened.snapshot_ids() == ids[1:]
    assert runsync("unlock", where, env=env).stdout.endswith("0 locks removed, 0 held\n")
    assert runsync("check", where, env=env).returncode == 0
