"""Commands against servers that fail, and how they must end."""

import json
from pathlib import Path
from typing import Any

from conftest import Runner
from support.command_line import Result
from support.oracle import assert_same
from support.rich import Facts
from support.servers import MlflowServer

BRIEF = {"RUNSYNC_PATIENCE": "3"}
PATIENT = {"RUNSYNC_PATIENCE": "30"}


Seeded = tuple[MlflowServer, Facts]


def one_line(done: Result, code: int) -> str:
    """The error of a command that failed as it should, after what it may have waited for."""
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    error = but_waiting(done.stderr)
    assert len(error.splitlines()) == 1, done.stderr
    assert error.startswith("runsync: ")
    return error


def but_waiting(stderr: str) -> str:
    """Without the lines that say what was waited for."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("runsync: waiting for "))


def export(runsync: Runner, url: str, bundle: Path, facts: Facts, **env: str) -> tuple[int, dict[str, Any], str]:
    done = runsync("export", url, bundle, "--experiment", facts.pattern, "--json", env=BRIEF | env)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def import_(runsync: Runner, bundle: Path, url: str, prefix: str, **env: str) -> tuple[int, dict[str, Any], str]:
    done = runsync("import", bundle, url, "--prefix", prefix, "--json", env=BRIEF | env)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def succeeded(answer: tuple[int, dict[str, Any], str]) -> dict[str, Any]:
    """The report of a command that did all it was asked; fails with what did not arrive."""
    code, report, stderr = answer
    lacking = [f"{f['name']}: {f['error']}" for f in report.get("failed", [])]
    lacking += [f"{p['run_id']} {p['name']}: {p['reason']}" for p in report.get("problems", [])]
    assert (code, but_waiting(stderr)) == (0, ""), "\n".join(lacking)
    return report


def arrived(seeded: tuple[MlflowServer, Facts], target: MlflowServer, prefix: str) -> None:
    server, facts = seeded
    assert_same(server.url, target.url, [facts.pattern], rename=lambda name: prefix + name)
