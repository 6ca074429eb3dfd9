"""A source that is plain Python data: what is carried in tests that need no server."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import RequestRefused
from runsync.kinds.kind import E, Kind
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.model.experiment import Experiment
from runsync.model.filter.evaluate import Facts, chooser
from runsync.model.place import Place
from runsync.model.points import points_of_key
from runsync.model.run import ArtifactFile, Batch, DatasetInput, LatestMetric, Run
from runsync.model.selection import Selection
from runsync.testing.memory_kinds import MemoryModels, MemoryNotebooks, MemoryPermissions

START = 1_700_000_000_000
"""Epoch milliseconds of the first run's start."""
MEMORY = Place("memory", "memory", "1")


@dataclass
class MemorySource(Source):
    """`points` holds (step, timestamp, value) by run id and key, `files` bytes by run id and path.

    A file whose content is None is listed, and cannot be read. `asked` tells which runs were read.
    """

    all_experiments: list[Experiment]
    runs: list[Run]
    points: Mapping[str, Mapping[str, Sequence[tuple[int, int, float]]]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    place: Place = MEMORY
    asked: list[str] = field(default_factory=list)
    batch_size: int = 1
    notebooks: MemoryNotebooks | None = None
    permissions: MemoryPermissions | None = None
    models: dict[str, MemoryModels[Any]] = field(default_factory=dict)
    """By the name of the kind."""

    def experiments(self, selection: Selection) -> list[Experiment]:
        """See `Source`."""
        return selection.choose(self.all_experiments)

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """So many at a time as `batch_size` says."""
        facts = Facts.of(experiments)
        is_meant = chooser(selection, facts)
        runs = [run for run in self.runs if run.experiment_id in facts.experiments and is_meant(run, ())]
        for start in range(0, len(runs), self.batch_size):
            yield Batch(tuple(runs[start : start + self.batch_size]))

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """See `Source`."""
        return Batch(tuple(run for run in self.runs if run.run_id in run_ids))

    @contextmanager
    def histories(self, batch: Batch, pool: Executor) -> "Iterator[MemorySource]":
        """Those of all runs."""
        yield self

    def of(self, run_id: str) -> Iterator[pa.RecordBatch]:
        """See `Histories`."""
        for key, points in sorted(self.points.get(run_id, {}).items()):
            steps, times, values = zip(*points, strict=True)
            yield points_of_key(key, steps, times, values)

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """See `Source`."""
        self.asked.append(run.run_id)
        files = self.files.get(run.run_id, {})
        return tuple(
            ArtifactFile(path, 0 if content is None else len(content)) for path, content in sorted(files.items())
        )

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """In one piece."""
        content = self.files[run.run_id][file.path]
        if content is None:
            raise RequestRefused(f"artifact “{file.path}” cannot be read")
        yield content

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        """See `Source`."""
        held = {NOTEBOOKS.name: self.notebooks, PERMISSIONS.name: self.permissions, **self.models}
        return cast("EntitySource[E] | None", held.get(kind.name))


def run_with_metrics(run_id: str, points: Mapping[str, Sequence[tuple[int, int, float]]], **fields: object) -> Run:
    """A finished run of experiment 1 whose latest metrics are those of `points`."""
    latest = []
    for key, series in points.items():
        step, timestamp, value = max(series, key=lambda p: (p[0], p[1], 0.0 if math.isnan(p[2]) else p[2]))
        latest.append(LatestMetric(key, value, timestamp, step))
    known: dict[str, object] = {
        "experiment_id": "1",
        "name": run_id,
        "status": "FINISHED",
        "start_time": START,
        "end_time": START + 1000,
    }
    return Run(run_id, latest_metrics=tuple(latest), **{**known, **fields})  # type: ignore[arg-type]


def small_source() -> MemorySource:
    """Two experiments, one deleted, and three runs with something of everything."""
    points = {
        "first": {"loss": [(0, START, 1.5), (1, START + 1, math.nan)], "acc": [(-3, START, 0.25)]},
        "second": {"loss": [(step, START + step, 1 / (step + 1)) for step in range(50)]},
    }
    first = run_with_metrics(
        "first",
        points["first"],
        params={"lr": "0.1", "ü": ""},
        tags={"mlflow.user": "ada", "note": "a\nb"},
        dataset_inputs=(DatasetInput("iris", "abc", tags={"mlflow.data.context": "training"}),),
        artifact_uri="mlflow-artifacts:/1/first/artifacts",
    )
    second = run_with_metrics("second", points["second"], start_time=START + 5, lifecycle_stage="deleted")
    third = run_with_metrics("third", {}, experiment_id="2", start_time=START + 9, lifecycle_stage="deleted")
    files: dict[str, dict[str, bytes | None]] = {
        "first": {"model/weights.bin": b"\x00\x01" * 500, "empty": b""},
        "second": {"log.txt": b"done\n"},
    }
    experiments = [Experiment("1", "kept", tags={"team": "vision"}), Experiment("2", "gone", "deleted")]
    return MemorySource(experiments, [first, second, third], points, files)
