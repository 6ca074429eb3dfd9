"""A workspace with one bad item of every kind: everything good arrives, and every bad item is named once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support.poison import (
    GOOD,
    IN_FILES,
    IN_SQL,
    LOG,
    LOST,
    NAMED,
    NOTED,
    Poison,
    good_ids,
    poisoned_files,
    poisoned_sqlite,
)
from support.stores import empty_sqlite, opened

from runsync.model.run import Run
from runsync.model.selection import Selection
from transfer.conftest import Make

WORST = 3


FROM_FILES, FROM_SQL = (
    pytest.mark.parametrize("poisoned", [one, pytest.param(other, marks=pytest.mark.slow)], indirect=True)
    for one, other in (("file store", "sqlite"), ("sqlite", "file store"))
)


@pytest.fixture
def poisoned(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Sequence[Poison]]:
    """Its address, and what is in it."""
    if request.param == "sqlite":
        return poisoned_sqlite(tmp_path / "source" / "poisoned.db"), IN_SQL
    return poisoned_files(tmp_path / "mlruns"), IN_FILES


def told(runsync: Runner, *arguments: object, worst: int = WORST) -> dict[str, Any]:
    """The report of a command, which ends with no worse an exit code."""
    done = runsync(*arguments, "--json")
    assert done.returncode in {0, worst}, f"{arguments}: {done.stderr}{done.stdout[-2000:]}"
    assert "Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_named_once(report: dict[str, Any], items: Sequence[Poison]) -> None:
    """Every bad item is told by one entry, and nothing else is."""
    entries = [*report["failed"], *report["problems"]]
    for item in items:
        theirs = [entry for entry in entries if item.run_id in (entry.get("id"), entry.get("run_id"))]
        assert len(theirs) == (item.fate in (NAMED, LOST)), f"{item.label}: {theirs}"
        if item.fate == NAMED:
            assert item.name in str(theirs[0]), item.label
    assert not [entry for entry in entries if {entry.get("id"), entry.get("run_id")} & set(good_ids())]
    strays = [note for note in report["notes"] if any(item.run_id in note for item in items)]
    assert len(strays) == any(item.fate == NOTED for item in items)


def assert_misfits_named_once(report: dict[str, Any], items: Sequence[Poison], kind: str) -> None:
    """What a target of this kind has no place for is told by one entry."""
    for item in items:
        theirs = [entry["name"] for entry in report["problems"] if entry["run_id"] == item.run_id]
        if kind in item.unfit:
            assert len(theirs) == 1, f"{item.label}: {theirs}"
            assert item.name in theirs[0], item.label


def assert_arrived(where: str, items: Sequence[Poison]) -> None:
    """All good runs as they were, and what is good of the others."""
    with opened(where) as workspace:
        batches = list(workspace.batches(workspace.experiments(Selection()), Selection()))
        runs: dict[str, Run] = {run.run_id: run for batch in batches for run in batch.runs}
        there = {item.run_id for item in items if item.fate != LOST}
        assert there | set(good_ids()) <= runs.keys()
        assert not runs.keys() & {item.run_id for item in items if item.fate == LOST}
        for run_id in (*good_ids(), *there):
            run = runs[run_id]
            assert GOOD.items() <= run.params.items()
            assert run.tags["team"] == "vision"
            assert [m.value for m in run.latest_metrics if m.key == "loss"] == [0.25]
            files = {file.path: file for file in workspace.artifacts(run)}
            assert b"".join(workspace.read_artifact(run, files["log.txt"])) == LOG


@FROM_FILES
@pytest.mark.long
def test_everything_good_of_a_poisoned_workspace_goes_through_a_bundle(
    poisoned: tuple[str, Sequence[Poison]], tmp_path: Path, runsync: Runner
) -> None:
    source, items = poisoned
    exported = told(runsync, "export", source, "bundle")
    assert_named_once(exported, items)
    again = told(runsync, "export", source, "bundle")
    assert_named_once(again, items)
    assert again["runs"]["created"] == 0
    assert told(runsync, "check", "bundle")["faults"] == []
    target = empty_sqlite(tmp_path / "target.db")
    for _ in range(2):
        told(runsync, "import", "bundle", target)
    assert_arrived(target, items)
    assert told(runsync, "verify", "bundle", target, worst=4)["runs"] >= len(good_ids())


@pytest.mark.parametrize(
    ("poisoned", "kind"),
    [
        ("sqlite", "file store"),
        ("file store", "postgres"),
        ("sqlite", "mysql"),
        pytest.param("file store", "file store", marks=pytest.mark.slow),
        pytest.param("sqlite", "postgres", marks=pytest.mark.slow),
        pytest.param("file store", "mysql", marks=pytest.mark.slow),
    ],
    indirect=["poisoned"],
)
def test_what_a_target_has_no_place_for_is_named_once_and_the_rest_of_its_run_arrives(
    kind: str, poisoned: tuple[str, Sequence[Poison]], tmp_path: Path, runsync: Runner, make: Make
) -> None:
    source, items = poisoned
    target = str(tmp_path / "target") if kind == "file store" else make(kind)
    told(runsync, "export", source, "bundle")
    assert_misfits_named_once(told(runsync, "import", "bundle", target), items, kind)
    again = told(runsync, "import", "bundle", target)
    assert_misfits_named_once(again, items, kind)
    assert (again["runs"]["created"], again["metric_points"], again["artifacts"]) == (0, 0, 0)
    assert_arrived(target, items)


@FROM_SQL
@pytest.mark.long
def test_everything_good_of_a_poisoned_workspace_arrives_by_sync(
    poisoned: tuple[str, Sequence[Poison]], tmp_path: Path, runsync: Runner
) -> None:
    source, items = poisoned
    target = empty_sqlite(tmp_path / "target.db")
    told(runsync, "sync", source, target, "--dry-run")
    for _ in range(2):
        assert_named_once(told(runsync, "sync", source, target), items)
    assert_arrived(target, items)


@FROM_SQL
@pytest.mark.long
def test_a_poisoned_workspace_is_listed_and_changed(poisoned: tuple[str, Sequence[Poison]], runsync: Runner) -> None:
    source, items = poisoned
    listed = {run["run_id"] for run in told(runsync, "runs", "list", source)["runs"]}
    whole = [item for item in items if item.fate != LOST]
    assert {*good_ids(), *(item.run_id for item in whole)} <= listed
    told(runsync, "runs", "tag", source, "seen=yes", "--experiment", "experiment 101")
    told(runsync, "runs", "delete", source, *good_ids(), "--yes")
    left = {run["run_id"] for run in told(runsync, "runs", "list", source)["runs"]}
    assert left == listed - set(good_ids())
    told(runsync, "experiments", "list", source)
