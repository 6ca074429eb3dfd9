"""Files that were fetched into a folder, as a person reads of them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from runsync.cli.text import listed, many, size
from runsync.growing import note

if TYPE_CHECKING:
    from runsync.runs.fetch import Fetched

ACTIONS = ("fetched", "kept", "left out", "failed")


class FetchReport(Protocol):
    """Lines about a download, for runs and models alike."""

    into: str
    dry_run: bool

    @property
    def files(self) -> "Sequence[Fetched]":
        """By path."""


def fetched_lines(report: FetchReport) -> Iterator[str]:
    """What was fetched, what was there already, what failed."""
    by_action = {name: [file for file in report.files if file.action == name] for name in ACTIONS}
    fetched, kept = by_action["fetched"], by_action["kept"]
    if report.dry_run:
        yield from (f"{file.path}  {size(file.size)}" for file in fetched)
    done = "would be fetched" if report.dry_run else "fetched"
    yield (
        f"{many(len(fetched), 'file')} {done} ({size(sum(file.size for file in fetched))}), "
        f"{len(kept):,} there already, {len(by_action['failed']):,} failed: {report.into}"
    )
    yield from note([file.path for file in fetched if file.growing])
    left = (f"{file.path}: empty, and there is a folder of this name" for file in by_action["left out"])
    yield from listed("Left out", left)
    yield from listed("Failed", (f"{f.path}: {f.error}" for f in by_action["failed"]))
