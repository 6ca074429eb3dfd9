"""The report of prune as a person reads it; forget --prune shows it too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runsync.cli.text import many, size

if TYPE_CHECKING:
    from runsync.bundle.prune import PruneReport


def plan(report: "PruneReport") -> str:
    """What a dry run found, in a line."""
    repacked = f", repack {many(report.repacked_parts, 'part')}" if report.repacked_parts else ""
    return f"{report.bundle}: delete {many(report.removed_files, 'file')} ({size(report.removed_bytes)}){repacked}"


def lines(report: "PruneReport") -> Iterator[str]:
    """What was done, or would be."""
    if report.dry_run:
        yield f"{plan(report)} (dry run: nothing was written)"
        return
    yield f"{report.bundle}: {many(report.removed_files, 'file')} deleted ({size(report.removed_bytes)})"
    if report.repacked_parts:
        yield (
            f"{many(report.repacked_parts, 'part')} repacked: {many(report.written_files, 'file')} written "
            f"({size(report.written_bytes)}), "
            f"{report.rewritten_snapshots:,} of {many(report.snapshots, 'manifest')} changed"
        )
    freed = report.removed_bytes - report.written_bytes
    yield f"Freed {size(freed)} in {report.seconds:.1f} s." if freed >= 0 else f"Took {size(-freed)} more."
