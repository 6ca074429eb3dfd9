"""A source that is plain Python data: bundles for tests that need no server."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, cast

import pyarrow as pa

from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.manifest import Manifest
from runsync.bundle.publish import Pending, publish
from runsync.bundle.writer import SnapshotWriter
from runsync.contract.entities import EntitySource, WithoutFiles
from runsync.contract.source import Source, Unread, pass_over
from runsync.errors import RequestRefused
from runsync.kinds.kind import E, Key, Kind
from runsync.kinds.notebooks import NOTEBOOKS, Notebook, formats_of, wanted
from runsync.kinds.permissions import PERMISSIONS, Permissions
from runsync.kinds.scope import Scope
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.filter.evaluate import Facts, chooser
from runsync.model.not_carried import NotCarried
from runsync.model.ordering import ordered
from runsync.model.place import Place
from runsync.model.points import points_of_key
from runsync.model.progress import Silent
from runsync.model.run import (
    ArtifactFile,
    Batch,
    Contents,
    DatasetInput,
    LatestMetric,
    LoggedModel,
    ModelVersion,
    Run,
)
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted

START = 1_700_000_000_000


@dataclass
class MemoryNotebooks(WithoutFiles):
    """`texts` holds what they say by path, revision ("": the last one) and format. A text that is an error is refused
    with it. `asked` tells what was read."""

    texts: dict[tuple[str, str, str], bytes | RequestRefused] = field(default_factory=dict)
    modified_at: int | None = START
    asked: list[str] = field(default_factory=list)
    is_exact: bool = False

    def list(self, scope: Scope) -> Iterator[Notebook]:
        yield from wanted(scope)

    def complete(self, item: Notebook) -> Notebook:
        is_there = (item.path, item.revision, item.format) in self.texts
        is_last = not item.revision or not is_there
        return replace(item, language="PYTHON", is_last=is_last, modified_at=self.modified_at if is_last else None)

    def read(self, item: Notebook) -> tuple[Notebook, Iterator[bytes]]:
        self.asked.append(item.name)
        last = self.texts.get((item.path, "", item.format))
        text = self.texts.get((item.path, item.revision, item.format), last)
        if text is None:
            raise RequestRefused(f"Path ({item.path}) doesn't exist.", 404, "RESOURCE_DOES_NOT_EXIST")
        if isinstance(text, RequestRefused):
            raise text
        return item, iter((text,))

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        missed = scope.mentioned(NOTEBOOKS) if not formats_of(scope) else []
        return [NOTEBOOKS.left(len(missed), "they were not asked for")] if missed else []


@dataclass
class MemoryPermissions(WithoutFiles):
    """By experiment id. Permissions that are an error are refused with it."""

    permissions: dict[str, Permissions | RequestRefused] = field(default_factory=dict)
    is_exact: bool = False

    def list(self, scope: Scope) -> Iterator[Permissions]:
        yield from (Permissions(e.experiment_id, e.name) for e in scope.experiments)

    def complete(self, item: Permissions) -> Permissions:
        found = self.permissions.get(item.experiment_id, item)
        if isinstance(found, RequestRefused):
            raise found
        return found

    def read(self, item: Permissions) -> tuple[Permissions, Iterator[bytes]]:
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        return ()


@dataclass
class MemoryModels(Generic[E]):
    """Entities of one kind; `contents` are their files, by what an entity is known by and by path. One whose content is
    None is listed, and cannot be read. `asked` tells which files were read."""

    kind: Kind[E]
    items: list[E]
    contents: Mapping[Key, Mapping[str, bytes | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_exact: bool = True

    def list(self, scope: Scope) -> Iterator[E]:
        yield from (item for item in self.items if self.kind.meant(item, scope) is not None)

    def complete(self, item: E) -> E:
        if not self.kind.has_files:
            return item
        listed = (ArtifactFile(path, len(b or b"")) for path, b in sorted(self.contents.get(item.key, {}).items()))
        return self.kind.with_files(item, tuple(listed), ())

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        return item, iter(())

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        self.asked.append(f"{item.name}: {file.path}")
        content = self.contents[item.key][file.path]
        if content is None:
            raise RequestRefused("it cannot be read")
        yield content

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        return ()


@dataclass
class MemorySource:
    """`points` holds (step, timestamp, value) by run id and key, `files` bytes by run id and path.

    A file whose content is None is listed, and cannot be read. `asked` tells which runs were read.
    """

    all_experiments: list[Experiment]
    runs: list[Run]
    points: Mapping[str, Mapping[str, Sequence[tuple[int, int, float]]]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    place: Place = field(default_factory=lambda: Place("memory", "memory", "1"))
    asked: list[str] = field(default_factory=list)
    batch_size: int = 1
    requests: int = 0
    doubts: list[str] = field(default_factory=list)
    notebooks: MemoryNotebooks | None = None
    permissions: MemoryPermissions | None = None
    models: dict[str, MemoryModels[Any]] = field(default_factory=dict)
    """By the name of the kind."""

    def experiments(self, selection: Selection) -> list[Experiment]:
        return selection.choose(self.all_experiments)

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        facts = Facts.of(experiments)
        is_meant = chooser(selection, facts)
        runs = [run for run in self.runs if run.experiment_id in facts.experiments and is_meant(run, ())]
        for start in range(0, len(runs), self.batch_size):
            yield Batch(tuple(runs[start : start + self.batch_size]))

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        found = (r for b in self.batches(experiments, selection) for r in b.runs)
        yield from islice(ordered(found, order, experiments), limit)

    def unlike(self, other: Source, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        return self.batches(experiments, selection)

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        return Batch(tuple(run for run in self.runs if run.run_id in run_ids))

    @contextmanager
    def histories(self, batch: Batch, pool: Executor) -> "Iterator[MemorySource]":
        yield self

    def of(self, run_id: str) -> Iterator[pa.RecordBatch]:
        for key, points in sorted(self.points.get(run_id, {}).items()):
            steps, times, values = zip(*points, strict=True)
            yield points_of_key(key, steps, times, values)

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        return batch

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        self.asked.append(run.run_id)
        files = self.files.get(run.run_id, {})
        return tuple(
            ArtifactFile(path, 0 if content is None else len(content)) for path, content in sorted(files.items())
        )

    def seen_artifacts(self, run: Run, contents: Contents | None) -> None:
        return None

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        content = self.files[run.run_id][file.path]
        if content is None:
            raise RequestRefused(f"artifact “{file.path}” cannot be read")
        yield content

    def locate_artifact(self, run: Run, file: ArtifactFile) -> None:
        return None

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        return ()

    def unreadable_experiments(self) -> tuple[()]:
        return ()

    def known_counts(self, experiments: Sequence[Experiment]) -> None:
        return None

    def logged_model(self, run: Run, model_id: str) -> LoggedModel:
        raise RequestRefused(f"there is no logged model {model_id}")

    def read_model_file(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        raise RequestRefused(f"there is no logged model {model.model_id}")

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        return []

    is_all = True

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        held = {NOTEBOOKS.name: self.notebooks, PERMISSIONS.name: self.permissions, **self.models}
        return cast("EntitySource[E] | None", held.get(kind.name))

    @property
    def kept(self) -> Mapping[str, Any]:
        return {}


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


def export_into(folder: Path, source: MemorySource, *, artifacts: bool = True) -> TransferReport:
    """What `runsync.export` does, from memory."""
    bundle = create_bundle(folder)
    return export_to(bundle, source, artifacts=artifacts)


def add_snapshot(bundle: Bundle, manifest: Manifest) -> None:
    """One more, of what is there already."""
    publish(bundle, [Pending.of(manifest)], lambda entries: set())


def export_to(
    bundle: Bundle,
    source: MemorySource,
    *,
    artifacts: bool = True,
    notebooks: tuple[str, ...] = (),
    selection: Selection | None = None,
) -> TransferReport:
    """A further snapshot of an open bundle."""
    asked = {NOTEBOOKS.name: notebooks} if notebooks else {}
    writer = SnapshotWriter(bundle, with_artifacts=artifacts, asked=asked)
    report = TransferReport("export", source.place, writer.place)
    try:
        transfer(report, Wanted(source, selection or Selection()), writer, 4, Silent(), asked)
    finally:
        writer.close()
    report.snapshot = writer.snapshot_id
    return report
