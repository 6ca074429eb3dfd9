"""export: a workspace into a new snapshot of a bundle."""

from collections.abc import Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from runsync.bundle import locks
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, create_bundle, existing_or_empty
from runsync.bundle.locks import Lock
from runsync.bundle.writer import SnapshotWriter
from runsync.errors import WrongUsage
from runsync.model.option import takes
from runsync.model.progress import Silent
from runsync.model.redact import without_credentials
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.find import resolved
from runsync.transfer.options import ExportOptions
from runsync.transfer.places import accepted, is_workspace, open_with
from runsync.transfer.report import TransferReport
from runsync.transfer.wanted import Wanted


@takes(ExportOptions)
def export(source: str, bundle: str | Path, options: ExportOptions) -> TransferReport:
    """Writes what `selection` means (everything, by default) as a new snapshot; makes the bundle when it is not there.

    Runs that the bundle holds with the same fingerprint are not read again (`model.identity.fingerprint` tells what
    that does not see); `thorough` reads them all. Of stored files that are reused the sizes are compared;
    `verify_stored` compares their hashes, and reads the runs of broken ones again. With `skip_unchanged` no snapshot is
    made that would equal the newest one. `retry_lock` is how many seconds to wait for a bundle that is locked. `accept`
    are the names of kinds that may stay behind (`kinds.left_behind`), beside those that `runsync.toml` has for source
    and bundle: any other that does makes the exit code 3. The report's `snapshot` names the new snapshot; there is none
    when the report says `stopped`, and running it again goes on where it stopped.

    Raises RunsyncError (see `errors`) for what fails before anything is read.
    """
    access, dry_run = options.access or Access(), options.dry_run
    asked = options.asked
    _refuse_workspace(str(bundle), access)
    may_stay = accepted(options.accept, source, str(bundle), access)
    with closing(open_with(source, access, options.workers)) as workspace:
        wanted = Wanted(workspace, resolved(workspace, options.selection or Selection()), options.artifacts)
        wanted.count()
        opened = existing_or_empty(bundle, access) if dry_run else create_bundle(bundle, access)
        with nullcontext() if dry_run else locks.shared(opened.store, "export", options.retry_lock) as lock:
            writer = _writer(opened, lock, options, asked)
            report = TransferReport("export", workspace.place, writer.place, dry_run, accept=may_stay)
            try:
                transfer(report, wanted, writer, options.workers, options.progress or Silent(), asked)
            finally:
                workspace.close()
                if not dry_run:
                    writer.close()
        report.snapshot = writer.snapshot_id
        report.notes += workspace.notes
        report.warnings += writer.warnings
        report.requests = workspace.requests
        return report


def _writer(bundle: Bundle, lock: Lock | None, options: ExportOptions, asked: Mapping[str, Any]) -> SnapshotWriter:
    return SnapshotWriter(
        bundle,
        options.artifacts,
        options.thorough,
        options.skip_unchanged,
        lock,
        options.workers,
        asked,
        options.verify_stored and not options.dry_run,
    )


def _refuse_workspace(bundle: str, access: Access) -> None:
    """A name of `runsync.toml` where a bundle belongs is a slip, and no folder of that name."""
    if is_workspace(bundle, access.config):
        named = without_credentials(bundle)
        raise WrongUsage(f"“{named}” is a workspace, and a bundle is wanted: name a folder, or s3://bucket/prefix")
