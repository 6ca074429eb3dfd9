"""Many runs and long histories stream: memory stays flat."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.stores import empty_sqlite

from workspaces.files.small import START, make_store

ROOT = Path(__file__).parents[3]
READ = """
import resource, sys
from pathlib import Path
import pyarrow.compute
from runsync.workspaces.files import open_store
from runsync.workspaces.direct.store import Query

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

store = open_store(Path(sys.argv[1]), create=False)
before, count, last = peak(), 0, (0, "")
for batch in store.batches(Query(("0",))):
    assert not batch.unreadable
    for run in batch.runs:
        assert (run.start_time, run.run_id) > last
        last = run.start_time, run.run_id
        count += 1
grown, rows = peak() - before, 0
with store.histories(["long"]) as histories:
    for points in histories.of("long"):
        rows += points.num_rows
print(count, grown, rows, peak() - before)
"""
TRANSFER = """
import resource, sys
import pyarrow.compute, pyarrow.csv, pyarrow.parquet, sqlalchemy
import runsync

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak()
done = getattr(runsync, sys.argv[1])(sys.argv[2], sys.argv[3], artifacts=False)
print(done.exit_code, done.metric_points, peak() - before)
"""


def many(root: Path, count: int) -> None:
    make_store(root)
    text = (
        "artifact_uri: file:///x/0/{id}/artifacts\nend_time: null\nexperiment_id: '0'\nlifecycle_stage: active\n"
        "run_id: {id}\nrun_name: name\nrun_uuid: {id}\nstart_time: {start}\nstatus: 3\nuser_id: me\n"
    )
    for number in range(count):
        run_id = f"r{number * 7919 % count:08x}"
        folder = root / "0" / run_id
        folder.mkdir()
        (folder / "meta.yaml").write_text(text.format(id=run_id, start=START + number // 3))


def numbers(script: str, *arguments: object) -> list[int]:
    """What a script prints, in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return [int(word) for word in done.stdout.split()]


def read(root: Path) -> list[int]:
    """Runs, megabytes for them, points, megabytes in all."""
    return numbers(READ, root)


def long_history(root: Path, count: int) -> None:
    folder = root / "0/long"
    (folder / "metrics").mkdir(parents=True)
    with (folder / "metrics/loss").open("w") as file:
        for start in range(0, count, 100_000):
            file.writelines(f"{START + i} {i / 7!r} {i}\n" for i in range(start, start + 100_000))
    (folder / "meta.yaml").write_text(
        f"experiment_id: '0'\nrun_id: long\nstart_time: {START * 2}\nstatus: 3\nuser_id: me\n"
    )


@pytest.mark.slow
def test_20_000_runs_and_a_million_points_are_streamed_in_order(tmp_path: Path) -> None:
    many(tmp_path / "mlruns", 20_000)
    long_history(tmp_path / "mlruns", 1_000_000)
    runs, for_runs, rows, in_all = read(tmp_path / "mlruns")
    assert (runs, rows) == (20_001, 1_000_000)
    assert for_runs < 130
    assert in_all < 180


@pytest.mark.long
def test_a_long_history_is_exported_in_little_memory(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns")
    long_history(tmp_path / "mlruns", 300_000)
    code, points, megabytes = numbers(TRANSFER, "export", tmp_path / "mlruns", tmp_path / "bundle")
    assert (code, points) == (0, 300_000)
    assert megabytes < 120


@pytest.mark.slow
def test_memory_does_not_grow_with_the_points_of_a_run(tmp_path: Path) -> None:
    make_store(tmp_path / "mlruns")
    long_history(tmp_path / "mlruns", 1_500_000)
    database = empty_sqlite(tmp_path / "mlflow.db")
    code, points, megabytes = numbers(TRANSFER, "export", tmp_path / "mlruns", tmp_path / "bundle")
    assert (code, points) == (0, 1_500_000)
    assert megabytes < 120
    code, points, megabytes = numbers(TRANSFER, "sync", tmp_path / "mlruns", database)
    assert (code, points) == (0, 1_500_000)
    assert megabytes < 220  # 64 of them are for SQLite's pages


@pytest.mark.slow
def test_100_000_runs_and_ten_million_points_take_little_more(tmp_path: Path) -> None:
    many(tmp_path / "mlruns", 100_000)
    long_history(tmp_path / "mlruns", 10_000_000)
    runs, for_runs, rows, in_all = read(tmp_path / "mlruns")
    assert (runs, rows) == (100_001, 10_000_000)
    assert for_runs < 250
    assert in_all < 280
