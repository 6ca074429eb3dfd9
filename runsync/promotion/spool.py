"""Where a model waits between source and target: a bundle, so that each byte is fetched once and hashed on its way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from runsync.bundle.address import Access
from runsync.bundle.snapshot import Snapshot
from runsync.contract.workspace import Workspace
from runsync.errors import RunsyncError
from runsync.limits import UNLIMITED
from runsync.model.progress import Progress
from runsync.model.selection import Selection
from runsync.s3 import S3Options
from runsync.transfer.export import export
from runsync.transfer.places import open_held
from runsync.transfer.report import TransferReport

PREFIX = "runsync-promote-"
"""Of the folder, which lies where temporary files do (TMPDIR)."""


@contextmanager
def spooled(
    source: Workspace | Snapshot, where: str, selection: Selection, access: Access, workers: int, progress: Progress
) -> Iterator[tuple[Snapshot, TransferReport | None]]:
    """A snapshot with what a selection means, and how it was fetched; a source that is a snapshot is used as it is. The
    folder is removed at the end. Raises what stopped the fetching."""
    if isinstance(source, Snapshot):
        yield source, None
        return
    with TemporaryDirectory(prefix=PREFIX) as folder:
        bundle = Path(folder) / "bundle"
        report = export(where, bundle, selection=selection, access=access, workers=workers, progress=progress)
        if report.stopped:
            error = RunsyncError(report.stopped)
            error.exit_code = report.stop_code
            raise error
        with open_held(bundle, "promote", replace(access, s3=S3Options(), limits=UNLIMITED)) as snapshot:
            yield snapshot, report
