"""File stores and databases for tests: empty ones, filled ones, and all that one holds."""

import hashlib
import io
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from runsync.model.experiment import DELETED, Experiment
from runsync.model.hashing import sha256_of
from runsync.model.identity import own_tags_removed
from runsync.model.points import points_of_key
from runsync.model.run import DatasetInput, LatestMetric, ModelLink, Run
from runsync.model.selection import Selection
from runsync.transfer.places import open_workspace
from runsync.workspaces.direct.store import Arrival
from runsync.workspaces.direct.workspace import DirectWorkspace

TABLES = Path(__file__).resolve().parent.parent.parent / "examples/demo/empty-mlflow-3.17.sql"
START = 1_600_000_000_000
"""Epoch milliseconds of the first run's start."""

DEFAULT = Experiment("0", "Default", creation_time=1, last_update_time=2)
"""Made long ago, unlike one that a store makes for itself."""

Points = Mapping[str, list[tuple[int, int, float]]]
"""Timestamp, step, value, by key."""


def empty_sqlite(file: Path) -> str:
    """A database as the newest `mlflow db upgrade` makes it; its URL."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.executescript(TABLES.read_text(encoding="utf-8"))
    return f"sqlite:///{file}"


@contextmanager
def opened(address: str, artifacts: str = "") -> Iterator[DirectWorkspace]:
    """A store to read from and write to; `artifacts` is where its artifact root is, where it does not tell."""
    workspace = open_workspace(address, role="target", artifacts=artifacts)
    assert isinstance(workspace, DirectWorkspace)
    try:
        yield workspace
    finally:
        workspace.close()


class Filler:
    """Puts experiments and runs into a store as they are given, as MLflow left them long ago."""

    def __init__(self, workspace: DirectWorkspace) -> None:
        self._workspace = workspace
        self._locations: dict[str, str] = {}

    def experiment(self, wanted: Experiment) -> str:
        """Makes it; gives its id."""
        location = self._workspace.artifact_store.places.new()
        made = self._workspace.store.create_experiment(replace(wanted, artifact_location=location))
        self._locations[made] = location.replace("{experiment_id}", made)
        return made

    def default(self) -> None:
        """Experiment 0, where it is not there yet."""
        if all(e.experiment_id != DEFAULT.experiment_id for e in self._workspace.store.experiments()):
            self.experiment(DEFAULT)

    def run(self, run: Run, points: Points | None = None, files: Mapping[str, bytes] | None = None) -> Run:
        """Makes it, in an experiment that was made here; gives it as it is in the store."""
        run = replace(run, artifact_uri=f"{self._locations[run.experiment_id]}/{run.run_id}/artifacts")
        self._arrive(run, points or {}, is_new=True)
        self.put_files(run, files or {})
        return run

    def add(self, run: Run, points: Points | None = None, files: Mapping[str, bytes] | None = None) -> None:
        """Gives a run more of everything."""
        self._arrive(run, points or {}, is_new=False)
        self.put_files(run, files or {})

    def put_files(self, run: Run, files: Mapping[str, bytes]) -> None:
        """Writes artifacts."""
        for path, content in files.items():
            self._workspace.artifact_store.write(run, path, len(content), partial(io.BytesIO, content))

    def _arrive(self, run: Run, points: Points, *, is_new: bool) -> None:
        batches = []
        for key, rows in points.items():
            times, steps, values = zip(*rows, strict=True)
            batches.append(points_of_key(key, steps, times, values))
        assert self._workspace.store.write_runs([Arrival(run, is_new, batches)]) == {}
        self._workspace.store.refresh()


def run_id(label: str) -> str:
    """An id of MLflow's form, always the same for a label."""
    return hashlib.md5(label.encode()).hexdigest()


def fill(filler: Filler) -> dict[str, Run]:
    """One of everything that only stores tell, or that tends to get lost; the runs by label."""
    filler.default()
    alpha = filler.experiment(Experiment("101", "alpha", creation_time=11, last_update_time=12, tags={"owner": "ann"}))
    gone = filler.experiment(Experiment("103", "gone", DELETED, creation_time=21, last_update_time=START + 900))
    filler.experiment(Experiment("102", "empty", creation_time=31, last_update_time=32))
    made: dict[str, Run] = {}

    def run(label: str, home: str, age: int, **options: Any) -> None:
        contents = {name: options.pop(name, {}) for name in ("points", "files")}
        tags = {"mlflow.runName": label, **options.pop("tags", {})}
        plain = Run(run_id(label), home, label, "ann", "FINISHED", START + age, START + age + 50, tags=tags)
        made[label] = filler.run(replace(plain, **options), **contents)

    curve = [(START + i, i, i / 7) for i in range(300)]
    odd = [(START, 0, math.nan), (START, 1, 1.5), (START, 1, 2.5), (START + 1, 0, -0.25)]
    # The child is older than its parent: it comes first, and its link points at a run that is not there yet.
    run("child", alpha, 1, tags={"mlflow.parentRunId": run_id("parent"), "mlflow.rootRunId": run_id("parent")})
    model = f"artifact_path: model\nrun_id: {run_id('parent')}\n".encode()
    run(
        "parent",
        alpha,
        2,
        params={"lr": "0.1", "long": "x" * 5000, "empty": ""},
        points={"loss": curve, "odd/nested": odd},
        files={"model/MLmodel": model, "plots/a b.txt": b"curve\n", "empty.bin": b""},
        latest_metrics=(LatestMetric("loss", 299 / 7, START + 299, 299), LatestMetric("odd/nested", 2.5, START, 1)),
        dataset_inputs=(DatasetInput("train", "d1", "local", "{}", "", "", {"mlflow.data.context": "training"}),),
        model_inputs=(ModelLink("m-0123456789abcdef0123456789abcdef"),),
    )
    run("failed", alpha, 3, status="FAILED", points={"loss": curve[:5]})
    run("running", alpha, 4, status="RUNNING", end_time=None, points={"loss": curve[:7]})
    run("deleted", alpha, 5, lifecycle_stage=DELETED, deleted_time=START + 500, files={"kept.txt": b"kept\n"})
    run("gone too", gone, 6, lifecycle_stage=DELETED, deleted_time=START + 900, files={"g.txt": b"gone\n"})
    run("gone before", gone, 7, lifecycle_stage=DELETED, deleted_time=START + 600, points={"loss": curve[:3]})
    return made


def contents(address: str, artifacts: str = "") -> dict[str, Any]:
    """All that a store holds, own tags and artifact roots apart: experiments and runs by id."""
    with opened(address, artifacts) as workspace:
        experiments = workspace.experiments(Selection())
        runs: dict[str, Any] = {}
        for batch in workspace.batches(experiments, Selection()):
            assert all("meta.yaml" in one.reason for one in batch.unreadable), batch.unreadable
            with workspace.store.histories([run.run_id for run in batch.runs]) as histories:
                for run in batch.runs:
                    runs[run.run_id] = _plain(run.to_document() | {"tags": own_tags_removed(run.tags)})
                    runs[run.run_id]["points"] = _points(histories.of(run.run_id))
                    runs[run.run_id]["artifacts"] = {
                        file.path: sha256_of(workspace.read_artifact(run, file)) for file in workspace.artifacts(run)
                    }
        plain = (_plain(e.to_document() | {"tags": own_tags_removed(e.tags)}) for e in experiments)
        return {"experiments": {e["experiment_id"]: e for e in plain}, "runs": runs}


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    left_out = ("artifact_uri", "artifact_location")
    plain = {key: value for key, value in document.items() if key not in left_out}
    for metric in plain.get("latest_metrics", ()):
        metric["value"] = repr(metric["value"])
    if "latest_metrics" in plain:
        plain["latest_metrics"].sort(key=lambda metric: metric["key"])
    return plain


def _points(history: Any) -> "Counter[tuple[str, int, int, str]]":
    found: Counter[tuple[str, int, int, str]] = Counter()
    for batch in history:
        columns = (batch[name].to_pylist() for name in ("key", "timestamp", "step", "value"))
        found.update((key, time, step, repr(value)) for key, time, step, value in zip(*columns, strict=True))
    return found


def assert_same(source: str, target: str) -> None:
    """Fails with every difference between what two stores hold."""
    assert_holds(contents(source), contents(target))


def assert_holds(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Fails with every difference between the contents of two stores."""
    lines = []
    for kind, things in wanted.items():
        lines += [f"{kind}: {id} is missing" for id in things.keys() - found[kind].keys()]
        lines += [f"{kind}: {id} is there" for id in found[kind].keys() - things.keys()]
        for id in things.keys() & found[kind].keys():
            one, other = things[id], found[kind][id]
            lines += [
                f"{kind}: {one['name']} ({id}): {field} is {other[field]!r}, not {value!r}"
                for field, value in one.items()
                if other[field] != value
            ]
    assert not lines, "\n".join(lines)
