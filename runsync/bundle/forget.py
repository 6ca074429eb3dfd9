"""forget: removes the manifests of snapshots. What only they needed is freed by prune."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runsync.bundle import dates, history, locks
from runsync.bundle.address import Access, locate
from runsync.bundle.bundle import Bundle, open_store
from runsync.bundle.dates import WORDS, Doubt
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest
from runsync.bundle.prune import Plan, PruneReport, carry_out, plan_prune
from runsync.bundle.retention import OPTIONS, Group, Policy, apply, group_of
from runsync.bundle.snapshots import DAMAGED, BrokenSnapshot, read_manifests
from runsync.errors import WrongUsage
from runsync.model.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a snapshot stays, and why. `created_at` is ISO 8601 in UTC; "" where its manifest cannot be read."""

    id: str
    created_at: str
    source: str
    selection: dict[str, Any]
    keep: bool
    reasons: tuple[str, ...]


@dataclass(slots=True)
class ForgetReport:
    """`schemas/v1/forget-report.schema.json`. Verdicts group by group, newest first; broken snapshots are kept, and so
    are those with a doubtful date."""

    bundle: str
    dry_run: bool = False
    snapshots: list[Verdict] = field(default_factory=list)
    broken: list[BrokenSnapshot] = field(default_factory=list)
    doubtful_dates: list[Doubt] = field(default_factory=list)
    prune: PruneReport | None = None
    seconds: float = 0.0

    @property
    def to_remove(self) -> list[str]:
        """Ids of those that go, oldest first."""
        return sorted(verdict.id for verdict in self.snapshots if not verdict.keep)

    @property
    def exit_code(self) -> int:
        """12 when a manifest is broken, so that the policy could not see it."""
        return DAMAGED if self.broken else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = {"format": "runsync-forget-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}
        document["prune"] = self.prune.to_document() if self.prune else None
        return document


def forget(
    bundle: str | Path,
    policy: Policy | None = None,
    *,
    prune: bool = False,
    dry_run: bool = False,
    retry_lock: float = 0.0,
    access: Access | None = None,
    progress: Progress | None = None,
) -> ForgetReport:
    """Removes the snapshots that a policy does not keep, or of `backup@ID` that one; then prunes, when asked to.

    A policy decides on the snapshots of each source and selection by themselves. Those whose manifest is broken or
    missing are kept, and make the exit code 12; those whose date cannot be right are kept, and no rule counts them.
    Forgetting a missing one by its id accepts that it is lost. With `prune` nothing is removed unless it is known what
    the others need. A dry run takes no lock. `retry_lock` is how many seconds to wait for a bundle that is locked.
    Raises WrongUsage for an empty policy, BundleNotFound, BundleLocked, BundleDamaged.
    """
    begun = time.monotonic()
    place = locate(bundle, access)
    decide = _decider(place.snapshot, policy)
    opened = open_store(place.store)
    if dry_run:
        report = ForgetReport(opened.address, dry_run)
        decide(opened, report)
        if prune:
            report.prune = _plan(opened, report, progress).report(opened, dry_run)
    else:
        take = locks.exclusive if prune else locks.shared
        with take(opened.store, "forget --prune" if prune else "forget", retry_lock) as lock:
            report = ForgetReport(opened.address)
            decide(opened, report)
            plan = _plan(opened, report, progress) if prune else None
            _remove(opened, report.to_remove, lock)
            if plan:
                history.tidy(opened.store, opened.history())
                report.prune = carry_out(opened, plan, lock)
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def _decider(snapshot: str, policy: Policy | None) -> Callable[[Bundle, ForgetReport], None]:
    """What fills a report with verdicts. Raises WrongUsage unless there is either a snapshot or a policy."""
    if snapshot and policy and not policy.is_empty:
        raise WrongUsage(f"forget takes one snapshot or a policy: leave out @{snapshot}, or the --keep options")
    if snapshot:
        return lambda bundle, report: _decide_one(bundle, snapshot, report)
    if policy is None or policy.is_empty:
        raise WrongUsage(f"an empty policy would keep no snapshot: say what to keep with {OPTIONS}, or name BUNDLE@ID")
    return lambda bundle, report: _decide_by(policy, bundle, report)


def _decide_one(bundle: Bundle, name: str, report: ForgetReport) -> None:
    """The snapshot of that id goes, also when its manifest is broken. A time is too vague to remove something by."""
    found = bundle.find(name)
    if name != "latest" and not found.startswith(name) and not found.endswith(f"-{name}"):
        raise WrongUsage(f"“{name}” would mean {found}: name the snapshot to forget by its id")
    whole, _ = read_manifests(bundle, [found])
    report.snapshots += [_verdict(manifest, keep=False, reasons=("named",)) for manifest in whole]
    if not whole:
        report.snapshots.append(Verdict(found, "", "", {}, keep=False, reasons=("named",)))


def _decide_by(policy: Policy, bundle: Bundle, report: ForgetReport) -> None:
    ids = bundle.snapshot_ids()
    whole, report.broken = read_manifests(bundle, ids)
    report.doubtful_dates = dates.doubts(ids)
    apart = {one.id: WORDS[one.problem] for one in report.doubtful_dates}
    groups: dict[Group, list[Manifest]] = {}
    for manifest in whole:
        groups.setdefault(group_of(manifest), []).append(manifest)
    for group in groups.values():
        named = {manifest.id: manifest for manifest in group}
        finished = [(manifest.id, datetime.fromisoformat(manifest.created_at)) for manifest in group]
        kept = {snapshot_id: why for snapshot_id, why in apart.items() if snapshot_id in named}
        decided = apply(policy, finished, kept, newest=group[-1].id)
        report.snapshots += [_verdict(named[one.snapshot], one.keep, one.reasons) for one in decided]


def _verdict(manifest: Manifest, keep: bool, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(manifest.id, manifest.created_at, manifest.source.address, dict(manifest.selection), keep, reasons)


def _plan(bundle: Bundle, report: ForgetReport, progress: Progress | None) -> Plan:
    gone = set(report.to_remove)
    stay = [snapshot_id for snapshot_id in bundle.snapshot_ids() if snapshot_id not in gone]
    return plan_prune(bundle, stay, progress or Silent())


def _remove(bundle: Bundle, snapshot_ids: Sequence[str], lock: Lock) -> None:
    known = bundle.history()
    for snapshot_id in snapshot_ids:
        lock.confirm()
        history.forget(bundle.store, known.position(snapshot_id))
