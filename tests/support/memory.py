"""Bundles of plain Python data, for tests that need no server."""

from pathlib import Path

from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.manifest import Manifest
from runsync.bundle.publish import Pending, publish
from runsync.bundle.writer import SnapshotWriter
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.model.progress import Silent
from runsync.model.selection import Selection
from runsync.testing.memory import MemorySource
from runsync.transfer.engine import transfer
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted


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
    dry_run: bool = False,
) -> TransferReport:
    """A further snapshot of an open bundle, or what it would hold."""
    asked = {NOTEBOOKS.name: notebooks} if notebooks else {}
    writer = SnapshotWriter(bundle, with_artifacts=artifacts, asked=asked)
    report = TransferReport("export", source.place, writer.place, dry_run=dry_run)
    try:
        transfer(report, Wanted(source, selection or Selection()), writer, 4, Silent(), asked)
    finally:
        writer.close()
    report.snapshot = writer.snapshot_id
    return report
