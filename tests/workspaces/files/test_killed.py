"""An import into a file store that is killed at any moment leaves whole runs only; the next one finishes it."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runsync.model.run import Run
from runsync.workspaces.files import open_store
from runsync.workspaces.files.store import FileStore
from workspaces.files.small import START, arrival, make_store, run_of
from workspaces.files.told import all_runs, points, unreadable

TESTS = Path(__file__).parents[2]
RUNS = 40
CHILD = """
import sys
from pathlib import Path
from runsync.workspaces.files import open_store
from workspaces.files.test_killed import write_all
store = open_store(Path(sys.argv[1]), create=False)
import pyarrow.compute
print("begin", flush=True)
write_all(store)
"""
POINTS = {f"m{i}": [(s, START + s, s / 7) for s in range(50)] for i in range(3)}
MORE = {f"m{i}": [(s, START + s, s / 7) for s in range(60)] for i in range(3)}


def old(number: int) -> Run:
    """Half of the runs are there in an earlier state."""
    return run_of(f"run{number:03}", name="old", status="RUNNING", params={"a/b": "1"}, tags={"t": "old"})


def new(number: int) -> Run:
    params = {"a/b": "1", **{f"p{i}": str(i) for i in range(10)}}
    return run_of(f"run{number:03}", name="new", params=params, tags={"t": "new", "runsync.copy": "mark"})


def write_all(store: FileStore) -> None:
    """As an import does it: what is there already is brought up to date, what is not is made."""
    there = {run.run_id: run for run in all_runs(store)}
    for start in range(0, RUNS, 10):
        wanted = [new(number) for number in range(start, start + 10)]
        wanted = [r for r in wanted if "runsync.copy" not in there.get(r.run_id, old(0)).tags]
        assert store.write_runs([arrival(r, r.run_id not in there, MORE) for r in wanted]) == {}


def check(store: FileStore, is_done: bool) -> int:
    """Every run is whole, in the old or the new state; how many are new."""
    assert all(reason.startswith("it has no meta.yaml") for reason in unreadable(store).values())
    runs = all_runs(store)
    fresh = 0
    for run in runs:
        number = int(run.run_id[3:])
        told = points(store, run.run_id)
        if "runsync.copy" in run.tags:
            fresh += 1
            wanted = new(number)
            assert (run.name, run.status, run.params, run.tags) == ("new", "FINISHED", wanted.params, wanted.tags)
            assert {key: len(rows) for key, rows in told.items()} == dict.fromkeys(MORE, 60)
        else:
            assert number % 2 == 0, "a new run without its mark"
            assert set(run.params) >= {"a/b"}
            assert all(len(told[key]) in (50, 60) for key in MORE)
        assert len(run.dataset_inputs) == 1
    assert not is_done or (fresh == RUNS and unreadable(store) == {})
    return fresh


def killed_in_the_middle(root: Path, after: float) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    with subprocess.Popen([sys.executable, "-c", CHILD, str(root)], env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begin\n"
        time.sleep(after)
        child.kill()


def trial(root: Path, after: float) -> int:
    store = make_store(root)
    assert store.write_runs([arrival(old(number), True, POINTS) for number in range(0, RUNS, 2)]) == {}
    killed_in_the_middle(root, after)
    store = open_store(root, create=False)
    done = check(store, is_done=False)
    write_all(store)
    check(store, is_done=True)
    assert not list(root.rglob(".runsync*"))
    return done


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_import_leaves_whole_runs_and_the_next_one_finishes(tmp_path: Path) -> None:
    for number, after in enumerate((0.03, 0.1)):
        trial(tmp_path / str(number), after)


@pytest.mark.slow
def test_imports_killed_at_many_moments_leave_whole_runs(tmp_path: Path) -> None:
    chance = random.Random(7)
    done = [trial(tmp_path / str(number), chance.uniform(0, 0.5)) for number in range(40)]
    assert len(set(done)) > 3, f"killed at moments too much alike: {done}"
