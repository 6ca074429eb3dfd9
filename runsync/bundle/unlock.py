"""unlock: takes stale locks off a bundle."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import announced, locks
from runsync.bundle.address import Access
from runsync.bundle.bundle import open_bundle
from runsync.bundle.holder import Holder, standing
from runsync.bundle.store import Store

NOTICED = 3 * locks.CONFIRM_EVERY
"""Seconds after which a process that deletes files, and does not sleep, has seen that its lock is gone."""


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

    What such a process has announced in `claims/` goes too. With `everything` all goes, first the locks: whoever works
    there finds out before it writes a manifest, or within seconds while it deletes files, and stops.

    Raises BundleNotFound, BundleDamaged.
    """
    store = open_bundle(bundle, access).store
    locked, announcements = [each.holder for each in standing(store)], announced.holders(store)
    left = {name: holder for name, holder in announcements.items() if everything or holder.is_done}
    if dry_run:
        removed = [holder for holder in locked if everything or holder.is_done]
    else:
        removed = locks.unlock(store, everything)
        _wait_until_noticed(store, left)
        for name in left:
            store.remove(name)
    removed += left.values()
    held = [holder for holder in (*locked, *announcements.values()) if holder not in removed]
    return UnlockReport(str(store.address), dry_run, removed, held)


def _wait_until_noticed(store: Store, left: Mapping[str, Holder]) -> None:
    """Whoever deletes files looks at its lock every few seconds, and then withdraws what it announced."""
    may_run = {name for name, holder in left.items() if not holder.is_done}
    deadline = time.monotonic() + NOTICED
    while may_run & announced.holders(store).keys() and time.monotonic() < deadline:
        time.sleep(1)
