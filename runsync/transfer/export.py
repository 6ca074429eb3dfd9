"""export: a workspace into a new snapshot of a bundle."""

from pathlib import Path

from runsync.bundle.bundle import Bundle, create_bundle
from runsync.bundle.store import LocalStore
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import BundleNotFound
from runsync.model.progress import Progress, Silent
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.places import WORKERS, open_workspace
from runsync.transfer.report import TransferReport


def export(
    source: str,
    bundle: str | Path,
    *,
    selection: Selection | None = None,
    artifacts: bool = True,
    thorough: bool = False,
    workers: int = WORKERS,
    dry_run: bool = False,
    config: str | None = None,
    progress: Progress | None = None,
) -> TransferReport:
    """Writes what `selection` means (everything, by default) as a new snapshot; makes the bundle when it is not there.

    Runs that the bundle holds with the same fingerprint are not read again (`model.identity.fingerprint` tells what
    that does not see); `thorough` reads them all. The report's `snapshot` names the new snapshot; there is none
    when the report says `stopped`, and running it again goes on where it stopped.

    Raises RunsyncError (see `errors`) for what fails before anything is read.
    """
    selection = selection or Selection()
    workspace = open_workspace(source, config=config, workers=workers)
    try:
        opened = _existing_or_empty(bundle) if dry_run else create_bundle(bundle)
        writer = SnapshotWriter(opened, with_artifacts=artifacts, thorough=thorough)
        report = TransferReport("export", workspace.place, writer.place, dry_run)
        try:
            transfer(report, workspace, writer, selection, workers, progress or Silent())
        finally:
            workspace.close()
            if not dry_run:
                writer.close()
        report.snapshot = writer.snapshot_id
        report.requests = workspace.client.requests
        return report
    finally:
        workspace.close()


def _existing_or_empty(where: str | Path) -> Bundle:
    from runsync.bundle.bundle import open_bundle

    try:
        return open_bundle(where)
    except BundleNotFound:
        return Bundle(LocalStore(Path(where)))
