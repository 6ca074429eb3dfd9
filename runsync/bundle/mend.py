"""What repair does to a bundle's files: sets broken ones aside, and writes lost ones anew from what a source has.

Nothing is deleted: a broken file is moved to `quarantine/<time>/`, under the name it had. A file that is written anew
has the hash it is named by, or it is not kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.checker import Checker, Holder
from runsync.bundle.faults import BROKEN, INVALID, MISSING
from runsync.bundle.history import Position
from runsync.bundle.store import Store
from runsync.bundle.stored import StoredRun, metrics_name, read_runs
from runsync.errors import BundleDamaged, BundleLocked
from runsync.model.experiment import Experiment
from runsync.model.identity import origin_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Damage:
    """What a check found: files that are not there, files to be set aside, and what becomes of snapshots.

    `invalid` are those of the broken files whose bytes are the ones that were written: none that is sound has their
    name. `manifests` are the faulty ones. `contradictory` are the snapshots that are not what they say themselves: no
    file that is read again would mend them. `unreadable` are all that lack more than artifact files.
    """

    missing: tuple[str, ...]
    broken: tuple[str, ...]
    invalid: tuple[str, ...]
    manifests: tuple[str, ...]
    contradictory: tuple[str, ...]
    unreadable: tuple[str, ...]

    @classmethod
    def of(cls, checker: Checker) -> "Damage":
        """Of a check that is done."""
        missing, broken, contradictory, unreadable = set(), set(), set(), set()
        invalid, manifests = set(), set()
        by_file: dict[str, set[str]] = {}
        for fault in checker.faults():
            by_file.setdefault(fault.file, set()).add(fault.kind)
        for fault in checker.faults():
            kinds = by_file[fault.file]
            is_manifest = bool(layout.snapshot_id(fault.file))
            if is_manifest:
                manifests.add(fault.file)
            elif INVALID in kinds:
                invalid.add(fault.file)
            if MISSING in kinds:
                missing.add(fault.file)
            elif not is_manifest and kinds & {BROKEN, INVALID}:
                broken.add(fault.file)
            else:
                contradictory.update(fault.snapshots)
            if not fault.file.startswith(layout.BLOBS) or kinds.isdisjoint({MISSING, BROKEN}):
                unreadable.update(fault.snapshots)
        told = (missing, broken, invalid, manifests, contradictory, unreadable)
        return cls(*(tuple(sorted(names)) for names in told))


class Quarantine:
    """One repair's folder for what it sets aside."""

    def __init__(self, store: Store) -> None:
        now = datetime.now(UTC)
        self.folder = f"{layout.QUARANTINE}{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z/"
        self._store = store

    def take(self, name: str) -> None:
        """Sets a file aside."""
        self._store.move(name, self.folder + name)

    def take_snapshot(self, position: Position) -> None:
        """Sets a manifest and its record aside: the record first, so that no snapshot looks missing meanwhile."""
        for name in (position.record, layout.snapshot(position.id)):
            if self._store.size(name) is not None:
                self.take(name)

    def give_back_snapshot(self, position: Position) -> None:
        """Puts them where they were."""
        for name in (layout.snapshot(position.id), position.record):
            if self._store.size(self.folder + name) is not None:
                self._store.move(self.folder + name, name)


def unreplaced(bundle: Bundle) -> str:
    """The newest manifest in quarantine, when no snapshot was made since: a repair was stopped, or had no source."""
    names = {"/".join(entry.name.split("/")[2:]): entry.name for entry in bundle.store.list(layout.QUARANTINE)}
    orders = {found[1]: found[0] for name in names if (found := layout.recorded(name))}
    ids = {snapshot_id: place for name, place in names.items() if (snapshot_id := layout.snapshot_id(name))}
    aside = {Position(orders.get(i, layout.time_of(i)), i): place for i, place in ids.items()}
    newest = max(aside, default=None)
    made = bundle.history().positions
    return aside[newest] if newest and not (made and made[-1] > newest) else ""


@dataclass(frozen=True, slots=True)
class Lost:
    """A blob or metrics part to be had again. `runs` maps ids of runs that have it (for metrics in the order of their
    rows) to the ids they were born with; `paths` to its path in each, and `size` is its bytes, for a blob.
    """

    name: str
    runs: Mapping[str, str]
    paths: Mapping[str, str]
    size: int = 0


def lost(checker: Checker, names: Iterable[str]) -> list[Lost]:
    """What the runs parts that can be read tell of lost blobs and metrics parts."""
    wanted = {name for name in names if name in checker.refs}
    stored: dict[str, list[StoredRun]] = {name: [] for name in wanted}
    for part in sorted({part for name in wanted for part, _ in checker.refs[name]}):
        for s in read_runs(checker.bundle.store, part):
            named = {layout.blob(file.sha256 or "") for file in s.contents.artifacts or ()}
            for name in wanted & {*named, metrics_name(s) if s.metrics_part else ""}:
                stored[name].append(s)
    found = (_blob(n, runs) if n.startswith(layout.BLOBS) else _metrics(n, runs) for n, runs in sorted(stored.items()))
    return [each for each in found if each is not None]


def lost_entities(checker: Checker, names: Iterable[str]) -> dict[str, list[Holder]]:
    """The entities whose bytes lost blobs hold."""
    return {name: checker.holders[name] for name in names if name in checker.holders}


def _blob(name: str, stored: Iterable[StoredRun]) -> Lost:
    sha256, runs, paths, size = layout.hash_in(name), {}, {}, 0
    for s in stored:
        runs[s.run.run_id] = origin_of(s.run)
        file = next(f for f in s.contents.artifacts or () if f.sha256 == sha256)
        paths[s.run.run_id], size = file.path, file.size
    return Lost(name, runs, paths, size)


def _metrics(name: str, stored: Iterable[StoredRun]) -> Lost | None:
    """None when the runs known do not fill the part from its beginning: then nobody knows what else it held."""
    runs = {s.first_row: s for s in stored}
    row = 0
    for first, s in sorted(runs.items()):
        if first != row:
            return None
        row += s.contents.metric_points
    return Lost(name, {s.run.run_id: origin_of(s.run) for _, s in sorted(runs.items())}, {})


def take_file(store: Store, name: str, other: Bundle) -> bool:
    """Has the part or blob of that name from another bundle, if its bytes there are those that it is named by."""
    if other.store.size(name) is None:
        return False
    try:
        return mend_blob(store, name, other.store.chunks(name))
    except BundleDamaged:
        return False


def sound_manifest(name: str, other: Bundle) -> bytes | None:
    """The bytes of another bundle's manifest of that name, when they have the digest, and the id, that they state."""
    if other.store.size(name) is None:
        return None
    try:
        return other.content_of(other.read_manifest(name))
    except (BundleDamaged, BundleLocked):  # broken, or replaced by a prune just now
        return None


def mend_blob(store: Store, name: str, chunks: Iterable[bytes]) -> bool:
    """Keeps these bytes when they have the hash that the blob (or part) is named by."""
    incoming = store.incoming()
    try:
        for chunk in chunks:
            incoming.write(chunk)
        if incoming.sha256() != layout.hash_in(name):
            return False
        incoming.keep(name)
        return True
    finally:
        incoming.discard()


def mend_metrics(store: Store, name: str, histories: "Iterable[tuple[str, Iterable[pa.RecordBatch]]]") -> bool:
    """Writes a metrics part of these histories, each with the id its run has here; keeps it when it is the same."""
    incoming = store.incoming()
    try:
        with parts.MetricsWriter(incoming) as writer:
            for run_id, history in histories:
                writer.add(run_id, history)
            writer.close()
        if incoming.sha256() != layout.hash_in(name):
            return False
        incoming.keep(name)
        return True
    finally:
        incoming.discard()


def mend_experiments(store: Store, name: str, experiments: Iterable[Experiment]) -> bool:
    """Likewise an experiments part."""
    incoming = store.incoming()
    try:
        parts.pack(incoming, "experiment", (e.to_document() for e in experiments))
        if incoming.sha256() != layout.hash_in(name):
            return False
        incoming.keep(name)
        return True
    finally:
        incoming.discard()
