"""check: is a bundle sound? Structure, schemas, counts, and the hash of every file (or of some of them)."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import layout, locks, suspects
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import open_store
from runsync.bundle.checker import Checker
from runsync.bundle.dates import Doubt, doubts
from runsync.bundle.faults import Fault
from runsync.bundle.subset import Subset
from runsync.errors import WrongUsage
from runsync.model.not_carried import NotCarried
from runsync.model.progress import Progress, Silent

DAMAGED = 12


@dataclass(slots=True)
class CheckReport:
    """`schemas/v1/check-report.schema.json`.

    `suspects` are broken files that are now noted in the bundle, so that no export takes them for sound; not `is_noted`
    when that could not be written. Neither `unused` files (a killed export, or a snapshot that is gone, leaves such)
    nor `foreign` ones (which are not of the format) are faults, nor are `doubtful_dates`. `hashed` and `bytes` count
    the files that were read. `lacks` is what the newest snapshot has not of its source: no fault of the bundle.
    """

    bundle: str
    quick: bool
    subset: str = ""
    snapshots: int = 0
    files: int = 0
    hashed: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    suspects: list[str] = field(default_factory=list)
    doubtful_dates: list[Doubt] = field(default_factory=list)
    lacks: list[NotCarried] = field(default_factory=list)
    seconds: float = 0.0
    is_noted: bool = True

    @property
    def exit_code(self) -> int:
        """0 when it is sound, else 12."""
        return DAMAGED if self.faults else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-check-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}
        del document["is_noted"]
        return document


def check(
    bundle: str | Path,
    *,
    quick: bool = False,
    read_data_subset: str = "",
    workers: int = 4,
    retry_lock: float = 0.0,
    access: Access | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Checks every snapshot and every file. All faults are told, not only the first.

    `quick` reads manifests, experiments and runs, and compares no hash of artifacts and metrics. Of those,
    `read_data_subset` reads a part: “5%” of the bytes at random, or “2/7”: the second of seven groups, so that seven
    checks in turn read everything once; with “week/7” or “day/7” they take turns by the date. Of `backup@2026-11-01`
    only that snapshot and what it needs are checked.

    `retry_lock` is how many seconds to wait for a bundle that is being pruned.

    Raises BundleNotFound, BundleLocked, WrongUsage; BundleDamaged for a marker that is broken or of a newer version.
    """
    if quick and read_data_subset:
        raise WrongUsage("--quick reads no data: leave out --read-data-subset, or --quick")
    begun, subset = time.monotonic(), None if quick else Subset.parse(read_data_subset)
    part = str(subset) if read_data_subset else ""
    place = locate(bundle, access)
    opened = open_store(place.store)
    try:
        with locks.reading(place.store, "check", retry_lock):
            checker = Checker(opened, [opened.find(place.snapshot)] if place.snapshot else None)
            checker.check(subset, workers, progress or Silent())
            is_noted = _note(checker)
    finally:
        place.store.clear_temporary()
    report = CheckReport(opened.address, quick, part, len(checker.ids), len(checker.sizes))
    report.hashed, report.bytes = (0, 0) if quick else (len(checker.hashed), checker.bytes_hashed)
    report.faults = checker.faults()
    report.unused, report.foreign = checker.unused(), checker.foreign()
    report.is_noted = is_noted
    report.suspects = sorted(checker.broken()) if is_noted else []
    report.doubtful_dates = [one for one in doubts(checker.history.ids) if one.id in checker.ids]
    report.lacks = checker.books[-1].manifest.lacks() if checker.books else []
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def _note(checker: Checker) -> bool:
    """Notes what is broken, and takes back the notes of what is sound or gone; False when that cannot be written."""
    store = checker.bundle.store
    noted = suspects.noted(store)
    there = {layout.hash_in(name): name for name in checker.sizes}
    if checker.is_whole:
        gone = noted - there.keys()
        suspects.clear(store, (*gone, *(there[h] for h in noted & there.keys() if there[h] in checker.sound())))
    return suspects.note(store, {n: e for n, e in checker.broken().items() if layout.hash_in(n) not in noted})
