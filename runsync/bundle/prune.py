"""prune: frees what no snapshot needs, and repacks parts so that opening stays fast.

Order of writes: first the deletions that need no room; then new parts, the manifests that name them, and the deletion
of the parts that they replace. So every snapshot is whole at each moment, pruning again ends what was stopped, and it
works on a full disk.
"""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from runsync.bundle import history, layout, locks
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle, open_bundle
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest, PartFile
from runsync.bundle.publish import Pending, publish
from runsync.bundle.removal import Newcomers, remove
from runsync.bundle.repack import choose, repack
from runsync.bundle.store import Entry
from runsync.bundle.survey import Survey, Use, survey
from runsync.model.progress import Progress, Silent


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
    """What is needed, which parts to repack, and the files that will go: unneeded now, or once that is done.

    `manifests` are those surveyed, by file name, as they were listed before; `there` tells the bytes of all parts, and
    `lacking` are blobs that are needed and were missing.
    """

    survey: Survey
    manifests: dict[str, Entry]
    chosen: list[Use]
    there: dict[str, int] = field(default_factory=dict)
    lacking: set[bytes] = field(default_factory=set)
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
            history.tidy(opened.store, opened.history())
            plan = plan_prune(opened, opened.snapshot_ids(), progress or Silent())
            report = carry_out(opened, plan, lock)
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def plan_prune(bundle: Bundle, snapshot_ids: Sequence[str], progress: Progress) -> Plan:
    """What can go when only these snapshots stay. Raises BundleDamaged."""
    names = set(map(layout.snapshot, snapshot_ids))
    listed = {entry.name: entry for entry in bundle.store.list(layout.SNAPSHOTS) if entry.name in names}
    found = survey(bundle, snapshot_ids, progress)
    plan = Plan(found, listed, choose(found), lacking=set(found.blobs))
    chosen = {use.part.runs.path for use in plan.chosen}
    now = {file.path for file in _files(found.manifests)}
    after = {file.path for file in _files(found.manifests, chosen)}
    for entry in chain(bundle.store.list(layout.PARTS), bundle.store.list(layout.BLOBS)):
        if not layout.is_ours(entry.name):
            continue
        if entry.name.startswith(layout.PARTS):
            plan.there[entry.name] = entry.size
        elif (sha256 := bytes.fromhex(layout.hash_in(entry.name))) in found.blobs:
            plan.lacking.discard(sha256)
            continue
        if entry.name not in now:
            plan.unneeded.append(entry)
        elif entry.name not in after:
            plan.replaced.append(entry)
    return plan


def carry_out(bundle: Bundle, plan: Plan, lock: Lock) -> PruneReport:
    """Does what was planned under this lock. Raises BundleLocked when it was lost: then nothing more is deleted."""
    report = plan.report(bundle, dry_run=False)
    newcomers = Newcomers(bundle, plan.manifests)
    bundle.store.clear_temporary()
    gone = remove(bundle.store, plan.unneeded, newcomers, lock)
    if plan.chosen:
        spared = {entry.name for entry in plan.unneeded}.difference(entry.name for entry in gone)
        written = _replace_parts(bundle, plan, spared, lock, report)
        replaced = [entry for entry in plan.replaced if entry.name not in written]
        gone += remove(bundle.store, replaced, newcomers, lock)
    report.removed_files, report.removed_bytes = len(gone), sum(entry.size for entry in gone)
    bundle.store.clear_temporary()
    return report


def _replace_parts(bundle: Bundle, plan: Plan, spared: set[str], lock: Lock, report: PruneReport) -> dict[str, int]:
    """Writes new parts and the manifests that name them; gives the parts with their bytes."""
    repacked = repack(bundle, plan.chosen, spared)
    written = {file.path: file.bytes for part in repacked.parts for file in (part.runs, *part.metrics)}
    report.written_files, report.written_bytes = len(written), sum(written.values())
    changed = [manifest for manifest in map(repacked.manifest, plan.survey.manifests) if manifest is not None]
    lock.confirm()
    publish(
        bundle,
        [Pending.of(manifest) for manifest in changed],
        lambda entries: _vanished(plan, written, changed, entries),
        replace=True,
    )
    report.rewritten_snapshots = len(changed)
    return written


def _vanished(plan: Plan, written: dict[str, int], changed: Sequence[Manifest], entries: Iterable[Entry]) -> set[str]:
    """Which files that the survey found, or that were written since, are missing now."""
    named = {file.path for file in _files(changed)}
    missing = {name for name in (plan.there | written) if name in named}
    blobs = plan.survey.blobs - plan.lacking
    for entry in entries:
        missing.discard(entry.name)
        if layout.is_ours(entry.name) and entry.name.startswith(layout.BLOBS):
            blobs.discard(bytes.fromhex(layout.hash_in(entry.name)))
    return missing.union(layout.blob(sha256.hex()) for sha256 in blobs)


def _files(manifests: Iterable[Manifest], without: Set[str] = frozenset()) -> Iterator[PartFile]:
    """The parts that manifests name, but for some runs parts and what is only theirs."""
    for manifest in manifests:
        yield manifest.experiments
        yield from (file for part in manifest.objects for file in part.files)
        for part in manifest.parts:
            if part.runs.path not in without:
                yield part.runs
                yield from part.metrics
