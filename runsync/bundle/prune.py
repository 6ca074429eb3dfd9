"""prune: frees what no snapshot needs, and repacks parts so that opening stays fast.

Order of writes: new parts, then the manifests that name them one by one, at last the deletions. So every snapshot is
whole at each moment, and pruning again ends what was stopped.
"""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runsync.bundle import layout, locks
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, open_bundle
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest, PartFile
from runsync.bundle.repack import choose, repack
from runsync.bundle.store import Entry
from runsync.bundle.survey import Survey, Use, survey
from runsync.model.progress import Progress, Silent

CONFIRM_EVERY = 1000
"""Deletions between two looks at our lock."""


@dataclass(slots=True)
class PruneReport:
    """`schemas/v1/prune-report.schema.json`.

    `removed_*` are all files deleted (in a dry run: to be deleted), those of `repacked_parts` among them; `written_*`
    the new parts that took their place.
    """

    bundle: str
    dry_run: bool = False
    snapshots: int = 0
    removed_files: int = 0
    removed_bytes: int = 0
    repacked_parts: int = 0
    repacked_bytes: int = 0
    written_files: int = 0
    written_bytes: int = 0
    rewritten_snapshots: int = 0
    seconds: float = 0.0
    exit_code: int = 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-prune-report", "version": 1, **asdict(self)}


@dataclass(slots=True)
class Plan:
    """What is needed, which parts to repack, and the files that will go: unneeded now, or once that is done."""

    survey: Survey
    chosen: list[Use]
    unneeded: list[Entry] = field(default_factory=list)
    replaced: list[Entry] = field(default_factory=list)

    def report(self, bundle: Bundle, dry_run: bool) -> PruneReport:
        """As it will be."""
        gone = [*self.unneeded, *self.replaced]
        return PruneReport(
            bundle.address,
            dry_run,
            len(self.survey.manifests),
            len(gone),
            sum(entry.size for entry in gone),
            len(self.chosen),
            sum(entry.size for entry in self.replaced),
        )


def prune(
    bundle: str | Path,
    *,
    dry_run: bool = False,
    retry_lock: float = 0.0,
    access: Access | None = None,
    progress: Progress | None = None,
) -> PruneReport:
    """Deletes parts and blobs that no snapshot needs; files that runsync did not name stay. Holds the exclusive lock.

    A dry run takes no lock: it also counts what an export just under way has written. `retry_lock` is how many seconds
    to wait for a bundle that is locked. Raises BundleNotFound, BundleLocked, and BundleDamaged when it cannot be known
    what is needed: then nothing is deleted.
    """
    begun = time.monotonic()
    opened = open_bundle(bundle, access)
    if dry_run:
        report = plan_prune(opened, opened.snapshot_ids(), progress or Silent()).report(opened, dry_run)
    else:
        with locks.exclusive(opened.store, "prune", retry_lock) as lock:
            plan = plan_prune(opened, opened.snapshot_ids(), progress or Silent())
            report = carry_out(opened, plan, lock)
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def plan_prune(bundle: Bundle, snapshot_ids: Sequence[str], progress: Progress) -> Plan:
    """What can go when only these snapshots stay. Raises BundleDamaged."""
    found = survey(bundle, snapshot_ids, progress)
    plan = Plan(found, choose(found))
    chosen = {use.part.runs.path for use in plan.chosen}
    now = {file.path for file in _files(found.manifests)}
    after = {file.path for file in _files(found.manifests, chosen)}
    for entry in [*bundle.store.list(layout.PARTS), *bundle.store.list(layout.BLOBS)]:
        if not layout.is_ours(entry.name) or bytes.fromhex(layout.hash_in(entry.name)) in found.blobs:
            continue
        if entry.name not in now:
            plan.unneeded.append(entry)
        elif entry.name not in after:
            plan.replaced.append(entry)
    return plan


def carry_out(bundle: Bundle, plan: Plan, lock: Lock) -> PruneReport:
    """Does what was planned under this lock. Raises BundleLocked when it was lost: then nothing more is deleted."""
    report = plan.report(bundle, dry_run=False)
    unneeded = {entry.name for entry in plan.unneeded}
    needed: set[str] = set()
    if plan.chosen:
        repacked = repack(bundle, plan.chosen, unneeded)
        written = {file.path: file for part in repacked.parts for file in (part.runs, *part.metrics)}
        needed = set(written)
        report.written_files = len(written)
        report.written_bytes = sum(file.bytes for file in written.values())
        for manifest in map(repacked.manifest, plan.survey.manifests):
            if manifest is not None:
                lock.confirm()
                bundle.replace(manifest)
                report.rewritten_snapshots += 1
    gone = [entry for entry in (*plan.unneeded, *plan.replaced) if entry.name not in needed]
    for number, entry in enumerate(gone):
        if number % CONFIRM_EVERY == 0:
            lock.confirm()
        bundle.store.remove(entry.name)
    report.removed_files, report.removed_bytes = len(gone), sum(entry.size for entry in gone)
    bundle.store.clear_temporary()
    return report


def _files(manifests: Iterable[Manifest], without: Set[str] = frozenset()) -> Iterator[PartFile]:
    """The parts that manifests name, but for some runs parts and what is only theirs."""
    for manifest in manifests:
        yield manifest.experiments
        yield from (part.documents for part in manifest.objects)
        for part in manifest.parts:
            if part.runs.path not in without:
                yield part.runs
                yield from part.metrics
