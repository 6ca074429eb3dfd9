"""Commands that these tests run again and again, and their reports."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.command_line import Result, command
from support.forks import clean_environment
from support.oracle import Reader, Workspace
from support.proxy import FaultProxy

NEWEST = pytest.mark.parametrize("pair", ["3-to-3"], indirect=True)
EACH_RELEASE = pytest.mark.parametrize(
    "pair", ["3-to-3", pytest.param("2-to-2", marks=pytest.mark.slow)], indirect=True
)

Report = dict[str, Any]


def report(result: Result, code: int = 0) -> Report:
    """The JSON report of a command that ended with `code` and without a traceback."""
    told = f"exit {result.returncode}, not {code}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    assert result.returncode == code, told
    assert "Traceback" not in result.stderr, told
    document: Report = json.loads(result.stdout)
    return document


def export(runsync: Runner, source: str, bundle: Path, *options: object, code: int = 0) -> Report:
    """`runsync export --json`; options may begin with experiments' names (globs)."""
    return report(runsync("export", source, bundle, *_selected(options), "--json"), code)


def import_(runsync: Runner, bundle: Path, target: str, *options: object, code: int = 0) -> Report:
    """`runsync import --json`."""
    return report(runsync("import", bundle, target, *_selected(options), "--json"), code)


def sync(runsync: Runner, source: str, target: str, *options: object, code: int = 0) -> Report:
    """`runsync sync --json`."""
    return report(runsync("sync", source, target, *_selected(options), "--json"), code)


def verify(runsync: Runner, source: object, target: object, *options: object, code: int = 0) -> Report:
    """`runsync verify --json`."""
    return report(runsync("verify", source, target, *_selected(options), "--json"), code)


def writes(proxy: FaultProxy) -> list[str]:
    """The requests seen that may have changed something: all but GETs and searches."""
    return [
        f"{request.method} {request.path}"
        for request in proxy.seen()
        if request.method != "GET" and not request.path.endswith(("/search", "/batchGetInfos"))
    ]


def reads_of_contents(proxy: FaultProxy) -> list[str]:
    """The requests seen for metric history and for artifacts."""
    return [f"{r.method} {r.path}?{r.query}" for r in proxy.seen("get-history|artifacts?(/|$)|get-artifact")]


def read(url: str, pattern: str, *, artifacts: bool = True) -> Workspace:
    """What the judge sees of the experiments that a glob matches."""
    return Reader(url).read([pattern], artifacts=artifacts)


def copies_of(workspace: Workspace, *, active: bool = False) -> dict[str, list[str]]:
    """Run ids by the id that the run was born with, of runs that were carried there."""
    found: dict[str, list[str]] = {}
    for run_id, run in workspace.runs.items():
        if run["origin"] and not (active and run["info"]["lifecycle_stage"] == "deleted"):
            found.setdefault(run["origin"], []).append(run_id)
    return found


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its size and the time of its last change (nanoseconds)."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """The values that are not called so."""
    return {name: value for name, value in values.items() if name not in names}


LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(done.returncode)
"""
"""What the kernel tells of a child's memory begins at that of its parent: so a small process starts it."""


def peak_memory(*arguments: object) -> float:
    """Runs a command to its good end; its peak memory in MB."""
    launched = [sys.executable, "-c", LAUNCHER, *command(*arguments)]
    done = subprocess.run(launched, env=clean_environment(), capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def _selected(options: tuple[object, ...]) -> list[object]:
    """Leading options that are no flags are names of experiments."""
    given = list(options)
    named: list[object] = []
    while given and not str(given[0]).startswith("--"):
        named += ["--experiment", given.pop(0)]
    return named + given
