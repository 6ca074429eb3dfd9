"""unlock: takes stale locks off a bundle."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import locks
from runsync.bundle.address import Access
from runsync.bundle.bundle import open_bundle
from runsync.bundle.holder import Holder, standing


@dataclass(slots=True)
class UnlockReport:
    """`schemas/v1/unlock-report.schema.json`. `held` are the locks that stay: somebody works there."""

    bundle: str
    dry_run: bool = False
    removed: list[Holder] = field(default_factory=list)
    held: list[Holder] = field(default_factory=list)
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-unlock-report", "version": 1, **asdict(self)}


def unlock(
    bundle: str | Path, *, everything: bool = False, dry_run: bool = False, access: Access | None = None
) -> UnlockReport:
    """Removes locks whose process is provably gone: it ran on this machine, since its last boot, and runs no more.

    With `everything` it removes all: whoever works there finds out before it writes a manifest or deletes anything,
    and stops. Raises BundleNotFound, BundleDamaged.
    """
    store = open_bundle(bundle, access).store
    before = [each.holder for each in standing(store)]
    if dry_run:
        removed = [holder for holder in before if everything or holder.process.is_gone]
    else:
        removed = locks.unlock(store, everything)
    held = [holder for holder in before if holder not in removed]
    return UnlockReport(str(store.address), dry_run, removed, held)
