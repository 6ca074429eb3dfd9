"""Which snapshots a bundle has, in which order, and which of them are missing.

A clock may be wrong, so no date decides the order. Each snapshot has an `order`: the time of its export, or one more
than the greatest of the bundle where the clock was behind that. Its record under `history/` repeats the order in its
name, so two listings tell the order of all, and a record without a manifest tells of a snapshot that is missing.

A manifest is claimed, then recorded, and only then does it appear (see `publish`). So a killed export leaves no
manifest without a record, and a record without a manifest only beside its claim. A snapshot is marked while it is being
forgotten: then its record may be there alone. The mark hides no manifest, so who may write and not delete can take no
snapshot away with it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from runsync.bundle import layout, schemas
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import Entry, Store
from runsync.errors import BundleDamaged, RunsyncError


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a snapshot stands among the others: by `order` (epoch milliseconds), then by id."""

    order: int
    id: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Position":
        """As the manifest tells it."""
        return cls(manifest.order or layout.time_of(manifest.id), manifest.id)

    @property
    def record(self) -> str:
        """Where its record lies."""
        return layout.record(self.order, self.id)

    @property
    def mark(self) -> str:
        """Where it is marked while it is being forgotten."""
        return layout.forgotten(self.order, self.id)


@dataclass(frozen=True, slots=True)
class Record:
    """`schemas/v1/record.schema.json`: what is known of a snapshot even when its manifest is gone."""

    id: str
    order: int
    created_at: str
    source: str

    @classmethod
    def of(cls, manifest: Manifest) -> "Record":
        """All of it follows from the manifest."""
        return cls(manifest.id, Position.of(manifest).order, manifest.created_at, manifest.source.address)

    def content(self) -> bytes:
        """The bytes of the file."""
        document: dict[str, Any] = {"format": "runsync-record", "version": 1, **asdict(self)}
        schemas.check("record", document, "a new record")
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True)
class History:
    """The snapshots of a bundle, oldest first; those that are `missing` too.

    `unrecorded` have a manifest and no record, `marked` were being forgotten when that was stopped, or are just now.
    `is_complete` is false for a bundle from before there were records: it may have snapshots without one.
    """

    positions: tuple[Position, ...] = ()
    missing: frozenset[str] = frozenset()
    unrecorded: tuple[Position, ...] = ()
    marked: tuple[Position, ...] = ()
    is_complete: bool = False

    @property
    def ids(self) -> list[str]:
        """Of all, oldest first."""
        return [position.id for position in self.positions]

    def position(self, snapshot_id: str) -> Position:
        """Of a snapshot that is in it."""
        return next(position for position in self.positions if position.id == snapshot_id)

    def order_after(self, snapshot_id: str) -> int:
        """The `order` that puts a new snapshot after all others; 0 where its own date does."""
        greatest = max((position.order for position in self.positions), default=-1)
        return 0 if layout.time_of(snapshot_id) > greatest else greatest + 1


def look(store: Store, has_records: Callable[[], bool], read: Callable[[str], Manifest]) -> History:
    """The history as it is now. `has_records` tells whether the marker names the feature, `read` opens a manifest.

    Records are listed before manifests: whoever makes a snapshot, or forgets one, meanwhile makes none look missing.
    """
    records: dict[str, tuple[int, float]] = {}
    marked: dict[str, int] = {}
    for entry in store.list(layout.HISTORY):
        if found := layout.recorded(entry.name):
            records[found[1]] = min((found[0], entry.modified), records.get(found[1], (found[0], entry.modified)))
        elif found := layout.marked(entry.name):
            marked[found[1]] = found[0]
    names = (layout.snapshot_id(entry.name) for entry in store.list(layout.SNAPSHOTS))
    there = {name for name in names if name}
    known = [Position(order, i) for i, (order, _) in records.items() if i in there or i not in marked]
    gone = {position for position in known if position.id not in there}
    is_complete = not (gone or there - records.keys()) or has_records()
    unrecorded = tuple(sorted(_unrecorded(store, there - records.keys(), read if is_complete else None)))
    missing = _missing(store, {p: records[p.id][1] for p in gone}) if gone and is_complete else set()
    positions = sorted([*missing, *(position for position in known if position not in gone), *unrecorded])
    half = tuple(sorted(Position(order, snapshot_id) for snapshot_id, order in marked.items()))
    return History(tuple(positions), frozenset(p.id for p in missing), unrecorded, half, is_complete)


def _unrecorded(store: Store, ids: set[str], read: Callable[[str], Manifest] | None) -> Iterator[Position]:
    """Snapshots without a record stand where their manifest tells; where that cannot be read, where their date does."""
    for snapshot_id in ids:
        by_date = Position(layout.time_of(snapshot_id), snapshot_id)
        try:
            yield by_date if read is None else Position.of(read(snapshot_id))
        except BundleDamaged:
            if store.size(layout.snapshot(snapshot_id)) is not None:  # else it was forgotten meanwhile
                yield by_date


def _missing(store: Store, gone: Mapping[Position, float]) -> set[Position]:
    """Of snapshots without a manifest, with the time of their records, those that nobody makes or forgets just now."""
    claimed = {layout.id_in(entry.name): entry.modified for entry in store.list(layout.CLAIMS)}
    return {
        position
        for position, recorded in gone.items()
        if not _is_after(recorded, claimed.get(position.id))
        and store.size(position.mark) is None
        and store.size(position.record) is not None
        and store.size(layout.snapshot(position.id)) is None
    }


def _is_after(recorded: float, claimed: float | None) -> bool:
    """Whether a record was written for that claim: stores tell whole seconds."""
    return claimed is not None and int(recorded) >= int(claimed)


def write(store: Store, manifest: Manifest) -> bool:
    """Records a snapshot that is about to appear; False where it is recorded already."""
    return store.create(Position.of(manifest).record, Record.of(manifest).content())


def withdraw(store: Store, claim: Entry) -> None:
    """Removes the record that was written for a claim from which no snapshot became."""
    snapshot_id = layout.id_in(claim.name)
    if store.size(layout.snapshot(snapshot_id)) is None:
        for entry in list(store.list(layout.HISTORY)):
            found = layout.recorded(entry.name)
            if found and found[1] == snapshot_id and _is_after(entry.modified, claim.modified):
                store.remove(entry.name)


def record(store: Store, manifest: Manifest) -> None:
    """Records a snapshot that is there, unless it is forgotten at this moment."""
    if write(store, manifest) and store.size(layout.snapshot(manifest.id)) is None:
        store.remove(Position.of(manifest).record)


def forget(store: Store, position: Position) -> None:
    """Removes the manifest of a snapshot and its record. Wherever it stops, the snapshot is there or forgotten."""
    store.remove(position.mark)  # who may not delete is refused here, before anything is written
    try:
        store.create(position.mark, b"")
    except RunsyncError:  # a full disk: the record goes first, so that the snapshot is never taken for a missing one
        store.remove(position.record)
    store.remove(layout.snapshot(position.id))
    store.remove(position.record)
    store.remove(layout.snapshot(position.id))  # prune may have replaced it before it could see that the record is gone
    store.remove(position.mark)


def tidy(store: Store, history: History) -> None:
    """Removes what a `forget` that was killed left of snapshots that are gone, and the marks of those that are not."""
    for position in history.marked:
        if store.size(layout.snapshot(position.id)) is None:
            store.remove(position.record)
        store.remove(position.mark)
