"""A bundle with a history: nightly snapshots of a workspace in which runs change, come, go, and are deleted."""

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runsync.bundle.bundle import Bundle
from runsync.bundle.snapshot import Snapshot
from runsync.bundle.stored import read_runs
from runsync.model.experiment import Experiment
from runsync.model.points import as_table
from runsync.model.selection import Selection
from runsync.testing.memory import START, MemorySource, run_with_metrics
from support.memory import export_to

Points = dict[str, list[tuple[int, int, float]]]


def source_of_night(night: int, runs: int = 15) -> MemorySource:
    """As the workspace is on a night, from 0: each night something of everything happens."""
    points: dict[str, Points] = {}
    files: dict[str, dict[str, bytes | None]] = {}
    made = []
    for number in range(runs):
        run_id = f"run{number}"
        changed = sum(1 for past in range(1, night + 1) if past % runs == number)
        length = 5 + number + 3 * changed
        series = [
            (step, START + step, float("nan") if step % 7 == 3 else step / (number + 1)) for step in range(length)
        ]
        points[run_id] = {"loss": series, "acc": [(0, START, float(number))]} if number else {}
        files[run_id] = {"same.bin": b"same for all", "own.bin": b"%d-%d" % (number, changed)}
        made.append(run_with_metrics(run_id, points[run_id], params={"changed": str(changed)}))
    # One is still running, of one only a tag changes (and not its points), one is deleted and restored, one goes.
    made[1] = dataclasses.replace(made[1], status="RUNNING", end_time=None)
    made[2] = dataclasses.replace(made[2], tags={"night": str(night // 2)})
    made[3] = dataclasses.replace(made[3], lifecycle_stage="deleted" if night % 4 == 2 else "active")
    if night >= 2:
        made = [run for run in made if run.run_id != f"run{runs - 1}"]
    extra = run_with_metrics(f"new{night}", {"loss": [(0, START + night, 1.0)]})
    points[extra.run_id] = {"loss": [(0, START + night, 1.0)]}
    return MemorySource([Experiment("1", "kept")], [*made, extra], points, files)


def fill(bundle: Bundle, nights: int, runs: int = 15, first: int = 0) -> list[str]:
    """Exports night after night; gives the ids."""
    return [export_to(bundle, source_of_night(night, runs)).snapshot for night in range(first, first + nights)]


def contents(bundle: Bundle, snapshot_id: str) -> dict[str, Any]:
    """All that a snapshot holds, read back: documents (but for where points stand), points, and hashes of files."""
    manifest = bundle.manifest(snapshot_id)
    snapshot = Snapshot(bundle, manifest)
    experiments = snapshot.experiments(Selection())
    held: dict[str, Any] = {"counts": manifest.counts, "created": manifest.created_at, "experiments": experiments}
    with ThreadPoolExecutor(2) as pool:
        for batch in snapshot.batches(experiments, Selection()):
            with snapshot.histories(batch, pool) as histories:
                for run in batch.runs:
                    assert run.run_id not in held
                    listed = batch.contents[run.run_id]
                    rows = repr(as_table(histories.of(run.run_id)).to_pylist())
                    files = {f.path: b"".join(snapshot.read_artifact(run, f)) for f in listed.artifacts or ()}
                    held[run.run_id] = (repr(run), listed, hashlib.sha256(rows.encode()).hexdigest(), files)
    held["fingerprints"] = {
        stored.run.run_id: stored.fingerprint
        for part in manifest.parts
        for line, stored in enumerate(read_runs(bundle.store, part.runs.path), 1)
        if line not in part.superseded
    }
    return held


def all_contents(bundle: Bundle) -> dict[str, Any]:
    """Of every snapshot."""
    return {snapshot_id: contents(bundle, snapshot_id) for snapshot_id in bundle.snapshot_ids()}
