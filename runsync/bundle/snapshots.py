"""snapshots: all snapshots of a bundle, by their manifests alone."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync import threads
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, open_bundle
from runsync.bundle.dates import Doubt, doubts
from runsync.bundle.manifest import Manifest
from runsync.errors import BundleDamaged
from runsync.model.not_carried import NotCarried

DAMAGED = 12
AT_ONCE = 8
"""Manifests read side by side."""


@dataclass(frozen=True, slots=True)
class BrokenSnapshot:
    """A manifest that cannot be read or is missing, and why."""

    id: str
    error: str


@dataclass(frozen=True, slots=True)
class SnapshotSummary:
    """What the manifest of a snapshot tells. Times are ISO 8601 in UTC.

    `failed` and `problems` count what the export could not read: runs, and pieces of runs. `lacks` tells that, and what
    was not carried.
    """

    id: str
    created_at: str
    source: str
    selection: dict[str, Any]
    with_artifacts: bool
    experiments: int
    runs: int
    metric_points: int
    artifacts: int
    artifact_bytes: int
    failed: int
    problems: int
    lacks: tuple[NotCarried, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> "SnapshotSummary":
        """From a manifest."""
        counts = manifest.counts
        return cls(
            manifest.id,
            manifest.created_at,
            manifest.source.address,
            dict(manifest.selection),
            manifest.with_artifacts,
            counts.experiments,
            counts.runs,
            counts.metric_points,
            counts.artifacts,
            counts.artifact_bytes,
            len(manifest.failed),
            len(manifest.problems),
            tuple(manifest.lacks()),
        )


@dataclass(slots=True)
class SnapshotsReport:
    """`schemas/v1/snapshots-report.schema.json`. Oldest first, in the order they were made. `missing_snapshots`
    are those that the bundle should have: their manifest was removed or renamed."""

    bundle: str
    snapshots: list[SnapshotSummary] = field(default_factory=list)
    broken: list[BrokenSnapshot] = field(default_factory=list)
    missing_snapshots: list[BrokenSnapshot] = field(default_factory=list)
    doubtful_dates: list[Doubt] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """12 when a manifest is broken or missing."""
        return DAMAGED if self.broken or self.missing_snapshots else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-snapshots-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}


def snapshots(bundle: str | Path, *, access: Access | None = None) -> SnapshotsReport:
    """Lists all snapshots; those whose manifest is broken or missing are listed apart.

    Raises BundleNotFound, BundleDamaged.
    """
    opened = open_bundle(bundle, access)
    known = opened.history()
    whole, broken = read_manifests(opened, known.ids)
    report = SnapshotsReport(opened.address, [SnapshotSummary.of(manifest) for manifest in whole])
    for one in broken:
        (report.missing_snapshots if one.id in known.missing else report.broken).append(one)
    report.doubtful_dates = doubts(known.ids)
    return report


def read_manifests(bundle: Bundle, snapshot_ids: Iterable[str]) -> tuple[list[Manifest], list[BrokenSnapshot]]:
    """The manifests in the order given, and apart those that cannot be read."""
    whole: list[Manifest] = []
    broken: list[BrokenSnapshot] = []
    with threads.pool(AT_ONCE) as pool:
        for found in pool.map(lambda snapshot_id: _read(bundle, snapshot_id), snapshot_ids):
            if isinstance(found, Manifest):
                whole.append(found)
            else:
                broken.append(found)
    return whole, broken


def _read(bundle: Bundle, snapshot_id: str) -> Manifest | BrokenSnapshot:
    try:
        return bundle.manifest(snapshot_id)
    except BundleDamaged as error:
        return BrokenSnapshot(snapshot_id, str(error))
