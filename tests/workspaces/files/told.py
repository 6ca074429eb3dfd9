"""What a real MLflow client and what runsync tell of a file store, in the same words."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import executable
from support import forks
from support.forks import clean_environment

from runsync.model.points import as_table
from runsync.model.run import Run
from runsync.workspaces.direct.store import Arrival, Query
from runsync.workspaces.files import open_store
from runsync.workspaces.files.store import FileStore

HERE = Path(__file__).parent
RELEASES = ("3", "2", pytest.param("1", marks=pytest.mark.older))


def by_client(release: str, script: str, folder: Path) -> Any:
    """Runs `client_make.py` or `client_tell.py`; what it prints, if anything."""
    environment = clean_environment() | {"MLFLOW_ALLOW_FILE_STORE": "true", "GIT_PYTHON_REFRESH": "quiet"}
    done = forks.run(executable(release), [str(HERE / script), str(folder)], environment, folder.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout.strip() else None


def all_runs(store: FileStore, **query: Any) -> list[Run]:
    """All runs that can be read, in order."""
    ids = tuple(e.experiment_id for e in store.experiments())
    return [run for batch in store.batches(Query(ids, **query)) for run in batch.runs]


def unreadable(store: FileStore) -> dict[str, str]:
    """By id of run or experiment why it cannot be read."""
    ids = tuple(e.experiment_id for e in store.experiments())
    bad = [bad for batch in store.batches(Query(ids)) for bad in batch.unreadable]
    return {one.id: one.reason for one in (*bad, *store.unreadable_experiments())}


def pieces(store: FileStore) -> dict[str, str]:
    """By id of run which piece of it cannot be read, and why; the last where there are more."""
    ids = tuple(e.experiment_id for e in store.experiments())
    return {one.id: f"{one.kind} {one.reason}" for batch in store.batches(Query(ids)) for one in batch.pieces}


def points(store: FileStore, run_id: str) -> dict[str, list[list[Any]]]:
    """The history of a run by key: timestamp, value (as text), step."""
    with store.histories([run_id]) as histories:
        rows = as_table(histories.of(run_id)).to_pylist()
    found: dict[str, list[list[Any]]] = {}
    for row in rows:
        found.setdefault(row["key"], []).append([row["timestamp"], repr(row["value"]), row["step"]])
    return found


def by_us(folder: Path) -> Any:
    """The same that `client_tell.py` prints."""
    store = open_store(folder, create=False)
    assert unreadable(store) == {}
    return {
        "experiments": {
            e.experiment_id: {
                "name": e.name,
                "stage": e.lifecycle_stage,
                "location": e.artifact_location,
                "created": e.creation_time,
                "updated": e.last_update_time,
                "tags": dict(e.tags),
            }
            for e in store.experiments()
        },
        "runs": {run.run_id: _run(store, run) for run in all_runs(store)},
    }


def _run(store: FileStore, run: Run) -> Any:
    return {
        "experiment": run.experiment_id,
        "name": run.name,
        "user": run.user_id,
        "status": run.status,
        "start": run.start_time,
        "end": run.end_time,
        "stage": run.lifecycle_stage,
        "uri": run.artifact_uri,
        "params": dict(run.params),
        "tags": dict(run.tags),
        "latest": {m.key: repr(m.value) for m in run.latest_metrics},
        "history": points(store, run.run_id),
        "datasets": sorted(
            [
                [d.name, d.digest, d.source_type, d.source, d.schema, d.profile, dict(d.tags)]
                for d in run.dataset_inputs
            ],
            key=str,
        ),
        "model_inputs": sorted(m.model_id for m in run.model_inputs),
        "model_outputs": sorted([m.model_id, m.step] for m in run.model_outputs),
    }


def in_time_order(told: Any) -> Any:
    """What a client tells, each history in the order of timestamp, step and value."""
    for run in told["runs"].values():
        for points_of_key in run["history"].values():
            points_of_key.sort(key=lambda p: (p[0], p[2], 0.0 if p[1] == "nan" else float(p[1])))
    return told


def copy_store(source: Path, target: Path) -> None:
    """Everything of one store into a new one, ids and all."""
    old, new = open_store(source, create=False), open_store(target, create=True)
    for experiment in old.experiments():
        assert new.create_experiment(experiment) == experiment.experiment_id
    for run in all_runs(old):
        with old.histories([run.run_id]) as histories:
            assert new.write_runs([Arrival(run, True, histories.of(run.run_id))]) == {}
