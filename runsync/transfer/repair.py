"""repair: what of a damaged bundle can be had again from a source, and the rest set aside."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runsync import threads
from runsync.bundle import layout, locks, lost_marker, mend, parts, removal, suspects
from runsync.bundle.address import Access
from runsync.bundle.bundle import Bundle
from runsync.bundle.check import DAMAGED
from runsync.bundle.checker import Checker, Holder
from runsync.bundle.faults import Fault
from runsync.bundle.history import Position
from runsync.bundle.local_store import LocalStore
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest
from runsync.bundle.removal import Newcomers
from runsync.bundle.snapshot import Snapshot
from runsync.bundle.subset import Subset
from runsync.bundle.writer import SnapshotWriter
from runsync.contract.entities import EntitySource
from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS, BundleDamaged, NothingSelected, RunsyncError, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.identity import origin_of
from runsync.model.lost_points import readable_points
from runsync.model.option import takes
from runsync.model.progress import Progress, Silent
from runsync.model.run import ArtifactFile, Batch, Run
from runsync.model.selection import Selection
from runsync.transfer.engine import transfer
from runsync.transfer.options import RepairOptions
from runsync.transfer.places import open_source
from runsync.transfer.report import PARTLY_DONE, TransferReport
from runsync.transfer.wanted import Wanted

Confirm = Callable[["RepairReport"], bool]


@dataclass(slots=True)
class RepairReport:
    """`schemas/v1/repair-report.schema.json`.

    `faults` were found and `left` is what remains of them. `set_aside` are snapshots that cannot be read any more,
    `snapshot` is the new one that was made in their place, `failed` and `problems` tell what could not be read for it,
    and `stopped` why it was not made. Of a dry run, `repaired` is what the source can mend in place; `quarantined` and
    `set_aside` tell what would be moved, were nothing to be had again, and `left` is all that was found.
    """

    bundle: str
    source: str
    dry_run: bool = False
    faults: list[Fault] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    quarantine: str = ""
    quarantined: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    snapshot: str = ""
    failed: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    left: list[Fault] = field(default_factory=list)
    stopped: str = ""
    stop_code: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 when all is mended or set aside, 12 when damage is left, 3 when the new snapshot lacks something."""
        if self.stopped:
            return self.stop_code
        if self.left:
            return DAMAGED
        return PARTLY_DONE if self.failed or self.problems else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        document = asdict(self)
        del document["stop_code"]
        return {"format": "runsync-repair-report", "version": 1, "exit_code": self.exit_code, **document}


@takes(RepairOptions).first_of_two
def repair(bundle: str | Path, source: str | None = None, *, options: RepairOptions) -> RepairReport:
    """Checks a bundle, reads again from `source` what is broken or missing, and sets aside what cannot be mended.

    The source is the workspace that was backed up, one that holds copies of its runs, or another bundle. Artifact
    files and metrics are taken from it only if their bytes come out as they were. Broken files, and manifests of
    snapshots that cannot be read any more, are moved to `quarantine/`; nothing is deleted. Where a snapshot had to go,
    a fresh export from the source makes a new one. Without a source, what is broken is only set aside.

    `confirm` is asked before anything is moved. Holds the bundle alone; `retry_lock` is how many seconds to wait for
    that. Raises RunsyncError (see `errors`).
    """
    begun, access, dry_run = time.monotonic(), options.access or Access(), options.dry_run
    with ExitStack() as held:
        opened = lost_marker.open_to_mend(bundle, access)
        origin = (
            held.enter_context(open_source(source, "repair", access=access, workers=options.workers))
            if source
            else None
        )
        if origin is not None and origin.place.address == opened.address:
            raise WrongUsage("a bundle cannot be repaired from itself: name a workspace, or another bundle")
        lock = None if dry_run else held.enter_context(locks.exclusive(opened.store, "repair", options.retry_lock))
        if lock is not None:
            held.callback(opened.store.clear_temporary)
        report = RepairReport(opened.address, origin.place.address if origin else "", dry_run)
        told = options.confirm, options.progress or Silent()
        repair_from(opened, origin, report, lock, options.workers, *told)
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def repair_from(
    bundle: Bundle,
    source: Source | None,
    report: RepairReport,
    lock: Lock | None,
    workers: int,
    confirm: Confirm | None,
    progress: Progress,
) -> None:
    """The same, of an open bundle and source; tells in the report what was done."""
    newcomers = Newcomers(bundle, {entry.name: entry for entry in bundle.store.list(layout.SNAPSHOTS)})
    checker = Checker(bundle)
    checker.check(Subset(), workers, progress)
    damage = mend.Damage.of(checker)
    report.faults = report.left = checker.faults()
    report.quarantined, report.set_aside = list(damage.broken), list(damage.unreadable)
    work = _Repair(bundle, report, lock, workers, progress)
    if report.dry_run:
        if source is not None and report.faults:
            report.repaired = work.try_out(source, checker, damage)
        return
    if report.faults and confirm is not None and not confirm(report):
        return
    if not report.faults:
        if source is not None and mend.unreplaced(bundle):
            work.export(source)
        return
    if layout.MARKER in damage.missing:
        lost_marker.write_again(bundle)
    work.set_aside_files(damage, newcomers)
    if isinstance(source, Snapshot):
        work.take_from(source.bundle, damage)
    work.record_again()
    if source is not None:
        work.read_again(source, checker, [*damage.missing, *damage.broken])
    work.set_aside_snapshots(damage)
    if source is not None and report.set_aside:
        work.export(source)
        work.give_back(damage)
    work.conclude(damage)


class _Repair:
    """One repair, step by step: killed between any two, the next one goes on from what is there."""

    def __init__(
        self,
        bundle: Bundle,
        report: RepairReport,
        lock: Lock | None,
        workers: int,
        progress: Progress,
    ) -> None:
        self._bundle = bundle
        self._store = bundle.store
        self._report = report
        self._lock = lock
        self._workers = workers
        self._progress = progress
        self._quarantine = mend.Quarantine(bundle.store)
        self._manifests: dict[str, Manifest] = {}
        self._taken: list[str] = []
        """Manifests that were had from another bundle."""
        self._replaced: list[str] = []
        """Manifests that were set aside for those."""
        self._positions: dict[str, Position] = {}

    def set_aside_files(self, damage: mend.Damage, newcomers: Newcomers) -> None:
        """Broken parts and blobs, so that nothing takes them for sound ones any more.

        An export whom our lock did not hold off may have written one anew meanwhile.
        """
        assert self._lock is not None
        self._lock.confirm()
        for name in damage.broken:
            if not name.startswith((layout.PARTS, layout.BLOBS)):
                self._quarantine.take(name)
        listed = (entry for folder in (layout.PARTS, layout.BLOBS) for entry in self._store.list(folder))
        entries = [entry for entry in listed if entry.name in damage.broken]
        removal.remove(self._store, entries, newcomers, self._lock, lambda name: self._set_aside(name, damage))
        suspects.clear(self._store, damage.broken)

    def _set_aside(self, name: str, damage: mend.Damage) -> None:
        with suppress(BundleDamaged):
            if name not in damage.invalid and parts.has_its_hash(self._store, name):
                return
        self._quarantine.take(name)

    def record_again(self) -> None:
        """Records that were lost or broken follow from the manifests."""
        known = self._bundle.history()
        if known.is_complete and known.unrecorded:
            self._bundle.record_all(known)

    def take_from(self, other: Bundle, damage: mend.Damage) -> None:
        """Whatever another bundle has that its own hash vouches for: manifests, and parts and blobs of every kind."""
        for name in damage.manifests:
            self._take_manifest(name, other)
        tried = set(damage.invalid)
        names = {*damage.missing, *damage.broken} | (self._missing() if self._taken else set())
        while wanted := sorted(name for name in names - tried if layout.is_ours(name)):
            with threads.pool(self._workers, "runsync-request") as pool:
                list(pool.map(lambda name: mend.take_file(self._store, name, other), wanted))
            tried.update(wanted)
            names = self._missing()  # a part that is back names files that nobody knew to be missing

    def _missing(self) -> set[str]:
        again = Checker(self._bundle)
        again.check(None, self._workers, Silent())
        return set(mend.Damage.of(again).missing)

    def _take_manifest(self, name: str, other: Bundle) -> None:
        content = mend.sound_manifest(name, other)
        if content is None:
            return
        if self._store.size(name) is not None:
            with suppress(BundleDamaged):
                if self._store.read(name) == content:
                    return  # it contradicts what it names in both
            self._quarantine.take(name)
            self._replaced.append(name)
        self._store.create(name, content)
        self._taken.append(name)

    def read_again(self, source: Source, checker: Checker, names: Iterable[str]) -> None:
        """Blobs, metrics and experiments that are not there, as far as the source has them as they were."""
        names = [name for name in names if self._store.size(name) is None]
        for name in names:
            if name.endswith(layout.EXPERIMENTS):
                self._mend_experiments(source, checker, name)
        for name, holders in mend.lost_entities(checker, names).items():
            self._mend_entity(source, name, holders)
        found = mend.lost(checker, names)
        runs = _find(source, {run_id: origin for each in found for run_id, origin in each.runs.items()})
        with threads.pool(self._workers, "runsync-request") as pool:
            blobs = [each for each in found if each.paths]
            list(pool.map(lambda each: self._mend_blob(source, each, runs), blobs))
            for each in found:
                if not each.paths and each.runs.keys() <= runs.keys():
                    self._mend_metrics(source, each, runs, pool)

    def try_out(self, source: Source, checker: Checker, damage: mend.Damage) -> list[str]:
        """What of it can be had again, read as for a repair but kept in a temporary folder."""
        with TemporaryDirectory(prefix="runsync-") as folder:
            self._store = scratch = LocalStore(Path(folder))
            names = [name for name in {*damage.missing, *damage.broken} if layout.is_ours(name)]
            if isinstance(source, Snapshot):
                sound = [name for name in damage.manifests if mend.sound_manifest(name, source.bundle) is not None]
                for name in names:
                    if name not in damage.invalid and name not in damage.manifests:
                        mend.take_file(scratch, name, source.bundle)
            else:
                sound = []
            self.read_again(source, checker, names)
            self._store = self._bundle.store
            return sorted([*sound, *(name for name in names if scratch.size(name) is not None)])

    def set_aside_snapshots(self, damage: mend.Damage) -> None:
        """The manifests of snapshots that still cannot be read; what they name stays as long as it is sound."""
        after = Checker(self._bundle)
        after.check(None, self._workers, Silent())
        self._manifests = {book.id: book.manifest for book in after.books}
        taken = {layout.snapshot_id(name) for name in self._taken}
        lost = {*mend.Damage.of(after).unreadable, *damage.contradictory} - taken
        self._positions = {position.id: position for position in after.history.positions if position.id in lost}
        self._report.set_aside = list(self._positions)
        self._confirm()
        for position in self._positions.values():
            self._quarantine.take_snapshot(position)

    def export(self, source: Source) -> None:
        """A new snapshot, of what the newest of those that are gone was of. Takes over all that is sound."""
        model = self._model()
        selection = Selection.from_document(model.selection) if model else Selection()
        with_artifacts, asked = (model.with_artifacts, model.asked) if model else (True, {})
        writer = SnapshotWriter(self._bundle, with_artifacts, lock=self._lock, workers=self._workers, asked=asked)
        report = TransferReport("export", source.place, writer.place)
        try:
            transfer(report, Wanted(source, selection), writer, self._workers, self._progress, asked)
        except RunsyncError as error:
            report.stop(error)
        told = self._report
        told.snapshot, told.failed, told.problems = writer.snapshot_id, report.failed, report.problems
        told.stopped, told.stop_code = report.stopped, report.stop_code

    def give_back(self, damage: mend.Damage) -> None:
        """Snapshots whose parts the export happened to write again, to the byte."""
        sizes = {entry.name: entry.size for entry in self._store.list(layout.PARTS)}
        for snapshot_id in [i for i in self._manifests if i in self._positions and i not in damage.contradictory]:
            manifest = self._manifests[snapshot_id]
            if all(sizes.get(file.path) == file.bytes for file in manifest.files()):
                self._quarantine.give_back_snapshot(self._positions[snapshot_id])
                self._report.set_aside.remove(snapshot_id)

    def conclude(self, damage: mend.Damage) -> None:
        """What was mended, what was moved where, and what is left."""
        after = Checker(self._bundle)
        after.check(None, self._workers, Silent())
        report = self._report
        report.left = after.faults()
        still = {fault.file for fault in report.left}
        mended = {*damage.missing, *damage.broken, *self._taken}
        report.repaired = sorted(name for name in mended if name in after.sizes and name not in still)
        aside = {*map(layout.snapshot, report.set_aside)} - {*damage.missing}
        report.quarantined = sorted([*damage.broken, *self._replaced, *aside])
        report.quarantine = self._quarantine.folder if report.quarantined else ""

    def _confirm(self) -> None:
        if self._lock is not None:
            self._lock.confirm()

    def _model(self) -> Manifest | None:
        """What the new snapshot is to be like: the newest that was set aside and can be read, else the newest."""
        known = [self._manifests[i] for i in self._report.set_aside if i in self._manifests]
        if known:
            return known[-1]
        if before := mend.unreplaced(self._bundle):
            with suppress(BundleDamaged):
                return self._bundle.read_manifest(before)
        for snapshot_id in reversed(self._bundle.snapshot_ids()):
            with suppress(BundleDamaged):
                return self._bundle.manifest(snapshot_id)
        return None

    def _mend_blob(self, source: Source, lost: mend.Lost, runs: Mapping[str, Run]) -> None:
        for run_id in lost.runs.keys() & runs.keys():
            file = ArtifactFile(lost.paths[run_id], lost.size, layout.hash_in(lost.name))
            try:
                if mend.mend_blob(self._store, lost.name, source.read_artifact(runs[run_id], file)):
                    self._progress.advance(bytes=lost.size)
                    return
            except ITEM_ERRORS:
                continue  # another run may have it still

    def _mend_metrics(self, source: Source, lost: mend.Lost, runs: Mapping[str, Run], pool: Executor) -> None:
        batch = Batch(tuple(runs[run_id] for run_id in lost.runs))
        try:
            with source.histories(batch, pool) as histories:
                read = (
                    (run_id, readable_points(histories.of(runs[run_id].run_id), lambda problem: None))
                    for run_id in lost.runs
                )  # what cannot be read of them, the export has named
                mend.mend_metrics(self._store, lost.name, read)
        except ITEM_ERRORS:
            return  # its snapshots are set aside

    def _mend_entity(self, source: Source, name: str, holders: Sequence[Holder]) -> None:
        for holder in holders:
            side = source.entities(holder.kind)
            if side is None:
                return
            try:
                chunks = _bytes_of(side, holder, layout.hash_in(name))
                if mend.mend_blob(self._store, name, chunks):
                    return
            except ITEM_ERRORS:
                continue  # another one may have it still

    def _mend_experiments(self, source: Source, checker: Checker, name: str) -> None:
        for manifest in [book.manifest for book in checker.books if book.manifest.experiments.path == name]:
            try:
                experiments = source.experiments(Selection.from_document(manifest.selection))
            except (NothingSelected, WrongUsage, *ITEM_ERRORS):
                continue
            if mend.mend_experiments(self._store, name, experiments):
                return


def _bytes_of(side: EntitySource[Any], holder: Holder, sha256: str) -> Iterator[bytes]:
    """The bytes of an entity that have that hash, as far as a source has them."""
    for file in holder.kind.files(holder.item):
        if file.sha256 == sha256:
            return side.read_file(holder.item, file)
    _, chunks = side.read(side.complete(holder.item))
    return chunks


def _find(source: Source, wanted: Mapping[str, str]) -> dict[str, Run]:
    """The runs of a source that are those wanted (origin by run id): the runs themselves, else copies of them."""
    if not wanted:
        return {}
    experiments = source.experiments(Selection())
    found = {run.run_id: run for run in source.batch(list(wanted), experiments).runs}
    missing: dict[str, list[str]] = {}
    for run_id in wanted.keys() - found.keys():
        missing.setdefault(wanted[run_id], []).append(run_id)
    for run in _all_runs(source, experiments) if missing else ():
        for run_id in missing.get(origin_of(run), ()):
            found[run_id] = run
    return found


def _all_runs(source: Source, experiments: Sequence[Experiment]) -> Iterator[Run]:
    for batch in source.batches(experiments, Selection()):
        yield from batch.runs
