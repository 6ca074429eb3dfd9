"""Options that many verbs have, each declared once: see `transfer.options`."""

from typing import TYPE_CHECKING, Annotated

from runsync.model.option import Option, group
from runsync.model.times import parse_seconds
from runsync.threads import WORKERS

if TYPE_CHECKING:
    from runsync.bundle.address import Access
    from runsync.model.progress import Progress
    from runsync.model.selection import Selection


@group
class Artifacts:
    """Whether files are carried or compared at all."""

    artifacts: Annotated[bool, Option("Skip artifact files.", flag="--no-artifacts")] = True


@group
class VerifyingStored:
    """How far files that a bundle has already are trusted. What is broken is read again."""

    verify_stored: Annotated[
        bool,
        Option("Check the hash, not only the size, of every stored file that is reused, and replace broken ones."),
    ] = False


@group
class WaitingForLock:
    """`retry_lock` is in seconds."""

    retry_lock: Annotated[
        float, Option("How long to wait for a locked bundle, such as 5m.", "TIME", parse=parse_seconds)
    ] = 0.0


@group
class Reaching:
    """What every verb takes: how places are got at, and how it is told."""

    access: "Access | None" = None
    progress: "Progress | None" = None
    workers: Annotated[int, Option("Number of parallel requests.", between=(1, 64), shows_default=True)] = WORKERS


@group
class Running(Reaching):
    """And what is meant (None: everything)."""

    selection: "Selection | None" = None


@group
class DryRun:
    """Whether to write at all."""

    dry_run: Annotated[bool, Option("Show what would be done; write nothing.")] = False


@group
class CopyOptions(VerifyingStored, WaitingForLock, Reaching, DryRun):
    """Those of `copy`."""
