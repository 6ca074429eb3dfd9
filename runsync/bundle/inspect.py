"""inspect: what is in a bundle."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import layout
from runsync.bundle.address import Access
from runsync.bundle.manifest import Manifest
from runsync.bundle.snapshot import open_snapshot, undamaged
from runsync.kinds import KINDS
from runsync.model.experiment import Experiment
from runsync.model.selection import Selection


@dataclass(slots=True)
class ExperimentSummary:
    """What a snapshot holds of one experiment."""

    experiment_id: str
    name: str
    lifecycle_stage: str
    runs: int = 0
    metric_points: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """What a snapshot holds of a kind of entity, and the bytes of those that have any."""

    kind: str
    count: int
    bytes: int


@dataclass(slots=True)
class InspectReport:
    """`schemas/v1/inspect-report.schema.json`. `bytes` and `files` are of the whole bundle."""

    bundle: str
    format_version: int
    snapshots: list[str]
    snapshot: Manifest
    experiments: list[ExperimentSummary] = field(default_factory=list)
    objects: list[ObjectSummary] = field(default_factory=list)
    bytes: int = 0
    files: int = 0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-inspect-report", "version": 1, **asdict(self)}
        document["snapshot"] = self.snapshot.to_document()
        return document


def inspect(bundle: str | Path, access: Access | None = None) -> InspectReport:
    """Reads manifest and run documents of a snapshot (`backup@2026-11-01`), by default the newest one.

    Raises BundleNotFound, BundleDamaged.
    """
    snapshot = open_snapshot(bundle, access)
    opened = snapshot.bundle
    experiments = snapshot.experiments(Selection())
    report = InspectReport(opened.address, layout.VERSION, opened.snapshot_ids(), snapshot.manifest)
    summaries = {e.experiment_id: _summary(e) for e in experiments}
    for batch in undamaged(snapshot.batches(experiments, Selection())):
        for run in batch.runs:
            contents, summary = batch.contents[run.run_id], summaries[run.experiment_id]
            summary.runs += 1
            summary.metric_points += contents.metric_points
            summary.artifacts += len(contents.artifacts or ())
            summary.artifact_bytes += sum(file.size for file in contents.artifacts or ())
    report.experiments = list(summaries.values())
    for kind in KINDS:
        if sizes := [sum(blob.size for blob in item.blobs) for item in snapshot.entities(kind).all()]:
            report.objects.append(ObjectSummary(kind.name, len(sizes), sum(sizes)))
    for size in _sizes(opened.store.list()):
        report.bytes += size
        report.files += 1
    return report


def _summary(experiment: Experiment) -> ExperimentSummary:
    return ExperimentSummary(experiment.experiment_id, experiment.name, experiment.lifecycle_stage)


def _sizes(entries: Iterator[Any]) -> Iterator[int]:
    return (entry.size for entry in entries)
