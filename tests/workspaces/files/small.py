"""A small file store of plain data, written by us: where no client of MLflow is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runsync.model.experiment import Experiment
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, Run
from runsync.workspaces.direct.store import Arrival
from runsync.workspaces.files import open_store
from runsync.workspaces.files.store import FileStore

START = 1_700_000_000_000
Points = Mapping[str, Sequence[tuple[int, int, float]]]
"""By key (step, timestamp, value)."""
POINTS: Points = {"loss": [(0, START, 0.5), (1, START + 10, 0.25)], "val/acc": [(1, START + 10, 0.75)]}


def run_of(run_id: str, **changed: Any) -> Run:
    """A finished run of experiment 0."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "experiment_id": "0",
        "name": f"name of {run_id}",
        "user_id": "ann",
        "status": "FINISHED",
        "start_time": START,
        "end_time": START + 1000,
        "artifact_uri": f"file:///elsewhere/0/{run_id}/artifacts",
        "params": {"lr": "0.1", "net/depth": "3", "empty": ""},
        "tags": {"mlflow.runName": f"name of {run_id}", "a/b": "c"},
        "dataset_inputs": (DatasetInput("train", "abc", "local", "{}", "", "", {"mlflow.data.context": "training"}),),
    }
    return Run(**values | changed)


def arrival(run: Run, is_new: bool = True, points: Points = POINTS) -> Arrival:
    """The run with its points."""
    batches = [points_of_key(key, *zip(*rows, strict=True)) for key, rows in sorted(points.items())]
    return Arrival(run, is_new, batches)


def make_store(folder: Path, *run_ids: str) -> FileStore:
    """A new store with these runs, a second apart."""
    store = open_store(folder, create=True)
    store.create_experiment(Experiment("0", "Default", "active", store.default_artifact_root("0"), START, START))
    runs = [run_of(run_id, start_time=START + 1000 * i) for i, run_id in enumerate(run_ids)]
    assert store.write_runs([arrival(run) for run in runs]) == {}
    return store
