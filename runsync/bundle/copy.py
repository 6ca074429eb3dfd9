"""copy: snapshots of one bundle into another, on a disk or on S3: only what is missing there."""

import time
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from runsync import threads
from runsync.bundle import layout, locks, parts
from runsync.bundle.address import locate
from runsync.bundle.bundle import Bundle, create_bundle, existing_or_empty, open_store
from runsync.bundle.entities import blobs_of
from runsync.bundle.entities import read_lines as read_entity_lines
from runsync.bundle.history import Record
from runsync.bundle.locks import Lock
from runsync.bundle.manifest import Manifest, ObjectsPart
from runsync.bundle.publish import Pending, publish, vanished
from runsync.bundle.store import Store
from runsync.bundle.stored import read_runs
from runsync.bundle.suspects import Reusable, noted
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.model.option import takes
from runsync.model.progress import Progress, Silent
from runsync.options import CopyOptions

DAMAGED = 12
PUBLISH_EVERY = 30.0
"""Seconds after which the snapshots that are there in full get their manifests, if that took a tenth of it or less."""


@dataclass(frozen=True, slots=True)
class NotCopied:
    """A file that is broken or missing in the source, and the snapshot that is left out for it."""

    snapshot: str
    file: str
    error: str


@dataclass(slots=True)
class CopyReport:
    """`schemas/v1/copy-report.schema.json`. `files` and `bytes` count what was (or would be) written, manifests and
    records too."""

    source: str
    target: str
    dry_run: bool = False
    copied: list[str] = field(default_factory=list)
    already_there: int = 0
    files: int = 0
    bytes: int = 0
    failed: list[NotCopied] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 when every snapshot asked for is in the target, else 12."""
        return DAMAGED if self.failed else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-copy-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}


@takes(CopyOptions)
def copy(bundle: str | Path, target: str | Path, options: CopyOptions) -> CopyReport:
    """Copies every snapshot (or that of `backup@2026-11-01`) with what it needs, unless it is in the target already.

    The target is made when it is not there. A snapshot is there whole or not at all, wherever a copy was stopped; one
    that needs a broken file is left out and named, the others go on. Of files that the target has the sizes are
    compared; `verify_stored` compares their hashes, those of snapshots that are there too, and replaces broken ones.
    `retry_lock` is how many seconds to wait for a bundle that is locked. Raises RunsyncError (see `errors`) for what
    stops all of it.
    """
    access, dry_run = options.access, options.dry_run
    begun, place = time.monotonic(), locate(bundle, access)
    source = open_store(place.store)
    goal = existing_or_empty(target, access) if dry_run else create_bundle(target, access)
    only = [source.find(place.snapshot)] if place.snapshot else None
    report = CopyReport(source.address, goal.address, dry_run)
    with ExitStack() as held:
        lock = None
        if not dry_run:
            lock = held.enter_context(locks.shared(goal.store, "copy", options.retry_lock))
            held.enter_context(locks.reading(source.store, "copy", options.retry_lock))
            held.callback(goal.store.clear_temporary)
        verify = options.verify_stored and not dry_run
        copy_snapshots(source, goal, report, only, lock, options.workers, options.progress or Silent(), verify)
    report.seconds = round(time.monotonic() - begun, 3)
    return report


def copy_snapshots(
    source: Bundle,
    target: Bundle,
    report: CopyReport,
    only: Sequence[str] | None,
    lock: Lock | None,
    workers: int,
    progress: Progress,
    verify_stored: bool = False,
) -> None:
    """Copies those snapshots (None: all), oldest first, and tells in the report what was done."""
    there = _sizes(target.store)
    stored = Reusable(target.store, there, noted(target.store), verify_stored, workers)
    work = _Copy(source, target, report, lock, progress, stored, set() if verify_stored else set(there))
    missing = work.missing(only)
    if missing and not report.dry_run:
        target.record_all(target.history())
    with threads.pool(workers, "runsync-copy") as pool:
        for snapshot_id in missing:
            work.copy(snapshot_id, pool)
            work.publish(at_once=False)
        work.publish(at_once=True)


class _Copy:
    """One copy. `stored` tells what of the target is reused; a part's blobs are kept by line, as snapshots share parts.

    Snapshots whose manifest is `done` are not looked at.
    """

    def __init__(
        self,
        source: Bundle,
        target: Bundle,
        report: CopyReport,
        lock: Lock | None,
        progress: Progress,
        stored: Reusable,
        done: Set[str],
    ) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._lock = lock
        self._progress = progress
        self._sizes = _sizes(source.store)
        self._stored = stored
        self._done = done
        self._blobs: dict[str, list[tuple[str, ...]]] = {}
        self._broken: dict[str, str] = {}
        self._pending: list[Manifest] = []
        self._due = time.monotonic() + PUBLISH_EVERY

    def missing(self, only: Sequence[str] | None) -> list[str]:
        """The snapshots to copy, oldest first; those that are missing in the source too."""
        ids = self._source.snapshot_ids() if only is None else only
        self._report.already_there = sum(self._stored.size(layout.snapshot(i)) is not None for i in ids)
        return [snapshot_id for snapshot_id in ids if layout.snapshot(snapshot_id) not in self._done]

    def copy(self, snapshot_id: str, pool: Executor) -> None:
        """One snapshot: what its runs name, its parts, at last its manifest."""
        name = layout.snapshot(snapshot_id)
        try:
            manifest = self._source.manifest(snapshot_id)
        except BundleDamaged as error:
            self._broken[name] = str(error)
        if name in self._broken:
            self._fail(snapshot_id, [name])
            return
        for files in self._stages(manifest):
            needed = list(dict.fromkeys(files))
            self._stored.verify(needed)
            wanted = [file for file in needed if not self._is_there(file)]
            if broken := [file for file in wanted if file in self._broken]:
                self._fail(snapshot_id, broken)
                return
            results = list(pool.map(self._carry, wanted))  # all of a stage come before the next one begins
            self._count(file for file, is_there in zip(wanted, results, strict=True) if is_there)
            if not all(results):
                self._fail(snapshot_id, [file for file in wanted if file in self._broken])
                return
        if self._stored.size(name) is None:
            self._pending.append(manifest)

    def publish(self, at_once: bool) -> None:
        """Writes manifests as they are in the source: from now on the snapshots exist in the target."""
        begun = time.monotonic()
        if not self._pending or not (at_once or begun >= self._due):
            return
        if not self._report.dry_run:
            if self._lock is not None:
                self._lock.confirm()
            kinds = {part.kind for manifest in self._pending for part in manifest.objects}
            self._target.require(kinds | ({layout.GROWING, layout.SUPERSEDED} & set(self._source.features)))
            pending = [Pending(manifest, partial(self._source.content_of, manifest)) for manifest in self._pending]
            publish(self._target, pending, lambda entries: vanished(self._files_there(), entries))
        self._count(layout.snapshot(manifest.id) for manifest in self._pending)
        self._report.files += len(self._pending)
        self._report.bytes += sum(len(Record.of(manifest).content()) for manifest in self._pending)
        self._report.copied += [manifest.id for manifest in self._pending]
        self._pending = []
        now = time.monotonic()
        self._due = now + max(PUBLISH_EVERY, 10 * (now - begun))

    def _files_there(self) -> dict[str, int]:
        return {
            name: size for name, size in self._stored.sizes.items() if name.startswith((layout.PARTS, layout.BLOBS))
        }

    def _stages(self, manifest: Manifest) -> Iterator[Iterable[str]]:
        """Files in the order in which they must come: nothing comes before what it names."""
        runs = [part.runs.path for part in manifest.parts]
        objects = [part.documents.path for part in manifest.objects]
        broken = [name for name in runs if not self._read(name)]
        broken += [part.documents.path for part in manifest.objects if not self._read_entities(part)]
        if broken:
            yield broken
        yield [blob for part in manifest.parts for blob in self._blobs_of(part.runs.path, part.superseded)]
        yield [file.path for part in manifest.parts for file in part.metrics]
        yield runs
        yield [blob for part in manifest.objects for blob in self._blobs_of(part.documents.path, part.superseded)]
        yield [part.rows.path for part in manifest.objects if part.rows is not None]
        yield [manifest.experiments.path, *objects]

    def _read(self, name: str) -> bool:
        """Which blobs each line of a runs part names; False when it cannot be read."""
        if name not in self._blobs and name not in self._broken:
            try:
                self._blobs[name] = [
                    tuple(layout.blob(file.sha256 or "") for file in stored.contents.artifacts or ())
                    for stored in read_runs(self._source.store, name)
                ]
            except BundleDamaged as error:
                self._broken[name] = str(error)
        return name not in self._broken

    def _read_entities(self, part: ObjectsPart) -> bool:
        """The same of a part of entities."""
        name = part.documents.path
        if name not in self._blobs and name not in self._broken:
            try:
                lines = read_entity_lines(self._source.store, BY_NAME[part.kind], name)
                self._blobs[name] = [tuple(blobs_of(item)) for _, item in lines]
            except BundleDamaged as error:
                self._broken[name] = str(error)
        return name not in self._broken

    def _blobs_of(self, name: str, left_out: Iterable[int]) -> Iterator[str]:
        superseded = set(left_out)
        for number, blobs in enumerate(self._blobs[name], 1):
            if number not in superseded:
                yield from blobs

    def _is_there(self, name: str) -> bool:
        size = self._stored.size(name)
        return size is not None and size == self._sizes.get(name)

    def _carry(self, name: str) -> bool:
        """Brings one file over; False, and it is among the broken, when it is not what it should be."""
        size = self._sizes.get(name)
        try:
            if size is None:
                raise BundleDamaged(f"{self._source.address}/{name} is missing")
            if not self._report.dry_run and not self._copied_by_s3(name, size):
                self._stream(name)
        except BundleDamaged as error:
            self._broken[name] = str(error)
            return False
        if self._report.dry_run:
            self._stored.sizes[name] = size
        else:
            self._stored.arrived(name, size)
        return True

    def _copied_by_s3(self, name: str, size: int) -> bool:
        """Has S3 copy it, when both bundles are there. Where S3 keeps no hash of it, it is read once for that."""
        from_, store = self._source.store, self._target.store
        place, goal = from_.locate(name, size, layout.hash_in(name)), store.locate(name, size, None)
        if place is None or goal is None or place.endpoint != goal.endpoint:
            return False
        kept = from_.hash_kept(name)
        is_sound = kept == layout.hash_in(name) if kept else parts.has_its_hash(from_, name)
        if not is_sound:
            raise BundleDamaged(f"{from_.address}/{name}: {parts.WRONG_HASH}")
        if not store.copy_in(place, name):
            return False
        self._progress.advance(bytes=size)
        return True

    def _stream(self, name: str) -> None:
        incoming = self._target.store.incoming()
        try:
            for chunk in self._source.store.chunks(name):
                incoming.write(chunk)
                self._progress.advance(bytes=len(chunk))
            if incoming.sha256() != layout.hash_in(name):
                raise BundleDamaged(f"{self._source.address}/{name}: {parts.WRONG_HASH}")
            self._stored.keep(incoming, name)
        finally:
            incoming.discard()

    def _count(self, names: Iterable[str]) -> None:
        for name in names:
            self._report.files += 1
            self._report.bytes += self._sizes[name]

    def _fail(self, snapshot_id: str, names: Iterable[str]) -> None:
        self._report.failed += [NotCopied(snapshot_id, name, self._broken[name]) for name in names]


def _sizes(store: Store) -> dict[str, int]:
    return {e.name: e.size for e in store.list() if not e.name.startswith(layout.OF_NO_SNAPSHOT)}
