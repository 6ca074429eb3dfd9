"""Changing runs and experiments at the command line: what is asked, what is printed, how it ends."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.changes import Family, seed_family, stages
from support.command_line import command
from support.forks import clean_environment
from support.memory import export_into
from support.seed import Seeder
from support.servers import MlflowServer

from runsync.bundle import schemas
from runsync.testing.memory import small_source


@pytest.fixture
def family(on_three: Seeder, prefix: str) -> Family:
    return seed_family(on_three, prefix)


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
        pass  # the terminal is gone once the process has ended
    os.close(ours)
    return process.wait(timeout=300), shown.decode()


def test_who_sits_at_a_terminal_is_shown_what_goes_and_asked(
    mlflow3_a: MlflowServer, on_three: Seeder, family: Family
) -> None:
    code, shown = _at_a_terminal("n\n", "runs", "delete", mlflow3_a.url, family.parent)
    assert code == 130
    assert "To delete: 5 runs in 2 experiments, 4 of them nested in others" in shown
    assert f"run {family.deepest} “deepest” in “" in shown
    assert f"{mlflow3_a.url}: delete 5 runs? [y/N]" in shown
    assert stages(on_three, family.runs) == ["active"] * 5
    code, shown = _at_a_terminal("y\n", "runs", "delete", mlflow3_a.url, family.parent)
    assert code == 0
    assert stages(on_three, family.runs) == ["deleted"] * 5
    code, shown = _at_a_terminal("y\n", "experiments", "delete", mlflow3_a.url, family.home)
    assert (code, "experiment " in shown, "1 active run goes with them" in shown) == (0, True, True)


def test_without_a_terminal_yes_is_needed_and_a_dry_run_is_free(
    mlflow3_a: MlflowServer, on_three: Seeder, family: Family, runsync: Runner
) -> None:
    for group, what in (("runs", family.parent), ("experiments", family.home)):
        for verb in ("delete", "restore"):
            done = runsync(group, verb, mlflow3_a.url, what, input="y\n")
            assert (done.returncode, done.stdout) == (2, "")
            assert "needs --yes" in done.stderr
    shown = runsync("runs", "delete", mlflow3_a.url, family.parent, "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "To delete (5):" in shown.stdout
    assert "5 runs would be changed" in shown.stdout
    assert stages(on_three, family.runs) == ["active"] * 5


def test_the_reports_are_valid_documents_and_the_exit_codes_right(
    mlflow3_a: MlflowServer, family: Family, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    def report(code: int, *arguments: object) -> dict[str, Any]:
        done = runsync(*arguments, "--json")
        assert (done.returncode, done.stderr) == (code, "")
        document: dict[str, Any] = json.loads(done.stdout)
        schemas.check("change-report", document, "stdout")
        assert document["exit_code"] == code
        return document

    url, home = mlflow3_a.url, ("--experiment", prefix + "*")
    report(0, "runs", "rename", url, family.child, "first child")
    tagged = report(0, "runs", "tag", url, "note=a=b", "team=growth", *home)
    assert report(0, "runs", "tag", url, family.child[:12], "note=a=b")["runs"]["unchanged"] == 1
    assert tagged["runs"] == {"changed": 6, "unchanged": 0, "failed": 0, "undecidable": 0, "not_reached": 0}
    report(0, "runs", "untag", url, family.child, "--tag", "note")
    report(0, "experiments", "rename", url, family.home, prefix + "house")
    report(0, "experiments", "tag", url, family.home, "team=growth")
    report(0, "experiments", "untag", url, family.home, "team")
    measured = ("--metrics-file", tmp_path / "runs.prom")
    report(
        0,
        "runs",
        "delete",
        url,
        "parent",
        *home,
        "--yes",
        "--max-changes",
        5,
        "--backup",
        tmp_path / "attic",
        *measured,
    )
    told = f'runsync_runs{{verb="runs delete",target="{url}",state="changed"}} 5'
    assert told in (tmp_path / "runs.prom").read_text()
    report(0, "runs", "restore", url, *home, "--deleted-since", "1d", "--yes")
    report(0, "experiments", "delete", url, family.home, "--yes")
    report(0, "experiments", "restore", url, family.home, "--yes")
    stopped = runsync("runs", "delete", url, *home, "--max-changes", 1, "--yes")
    assert (stopped.returncode, stopped.stdout) == (4, "")
    assert "6 would be changed, more than --max-changes 1 allows: nothing was changed" in stopped.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("runs", "delete", "URL", "--yes"), "say which runs to delete: RUN, --run, --experiment"),
        (("runs", "delete", "URL", "--state", "deleted", "--yes"), "say which runs to delete"),
        (("runs", "tag", "URL", "a=b"), "say which runs to tag: RUN, --all, --run"),
        (("runs", "untag", "URL", "--tag", "a"), "say which runs to untag: RUN, --all"),
        (("runs", "untag", "URL", "reviewed", "--run", "x"), "say which tags to take away: --tag KEY (a word after"),
        (("runs", "tag", "URL", "novalue", "--all"), "say which tags to set: KEY=VALUE"),
        (("runs", "tag", "URL", "=x", "--all"), "“=x” is not KEY=VALUE"),
        (("runs", "delete", "URL", "--max", "5", "--yes"), "it is --max-changes N now"),
        (("experiments", "delete", "URL", "x", "--max", "5", "--yes"), "it is --max-changes N now"),
        (("runs", "restore", "URL", "x", "--max-runs", "5", "--yes"), "it is --limit N now, which takes N runs only"),
        (("runs", "delete", "URL", "--until", "1d", "--limit", "10001", "--yes"), "'--limit'"),
        (("runs", "delete", "URL", "--until", "1d", "--limit", "5", "--yes"), "say --no-children with it"),
        (("runs", "rename", "URL", "x"), "Missing argument 'NAME'"),
        (("experiments", "delete", "URL", "--yes"), "Missing argument 'EXPERIMENT...'"),
        (("runs", "delete", "BUNDLE", "--until", "1d", "--yes"), "only a workspace can be changed (a bundle never is)"),
        (("experiments", "rename", "BUNDLE", "a", "b"), "only a workspace can be changed (a bundle never is)"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    mlflow3_a: MlflowServer, tmp_path: Path, runsync: Runner, arguments: tuple[str, ...], told: str
) -> None:
    bundle = tmp_path / "bundle"
    export_into(bundle, small_source())
    places = {"URL": mlflow3_a.url, "BUNDLE": str(bundle)}
    done = runsync(*(places.get(argument, argument) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
