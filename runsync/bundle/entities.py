"""Entities in a bundle: how their documents are read, and a snapshot as a source of one kind of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest, ObjectsPart
from runsync.bundle.rows import Place, RowsReader
from runsync.bundle.store import Store
from runsync.contract.entities import Completed
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.kinds.kind import E, Entity, Key, Kind
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place as Address
from runsync.model.run import ArtifactFile

PARTS_HELD = 4
"""Parts of stored entities whose documents are kept in memory."""


def read_entities(store: Store, kind: Kind[E], part: ObjectsPart) -> Iterator[E]:
    """Those of a part that a snapshot holds. Raises BundleDamaged."""
    left_out = frozenset(part.superseded)
    for _, item in read_lines(store, kind, part.documents.path, left_out):
        yield item


@dataclass(frozen=True, slots=True)
class Line(Generic[E]):
    """A line (from 1) of a part: an entity without its rows, and where those are (first, count)."""

    number: int
    item: E
    rows: tuple[int, int] = (0, 0)


def read_lines(store: Store, kind: Kind[E], name: str, left_out: Iterable[int] = ()) -> Iterator[tuple[int, E]]:
    """Those of a part with the numbers of their lines (from 1). Raises BundleDamaged."""
    return ((line.number, line.item) for line in read_part(store, kind, name, left_out))


def read_part(store: Store, kind: Kind[E], name: str, left_out: Iterable[int] = ()) -> Iterator[Line[E]]:
    """Likewise, with where their rows are."""
    skipped = frozenset(left_out)
    for number, document in parts.read_lines(store, kind.schema, name, lambda number: number not in skipped):
        told = document.pop("rows") if kind.rows_name else {"first": 0, "count": 0}
        try:
            item = kind.entity.from_document(document)
        except ValueError as error:
            raise BundleDamaged(f"{store.address}/{name}:{number}: {error}") from None
        yield Line(number, item, (told["first"], told["count"]))


def blobs_of(item: Entity) -> list[str]:
    """Where its bytes lie."""
    return [layout.blob(blob.sha256) for blob in item.blobs]


class SnapshotEntities(Generic[E]):
    """See `EntitySource`."""

    is_exact = True

    def __init__(self, bundle: Bundle, manifest: Manifest, kind: Kind[E]) -> None:
        self._bundle = bundle
        self._manifest = manifest
        self._kind = kind
        self._rows = RowsReader(bundle.store, kind)
        self._places: dict[Key, tuple[str, int, int]] = {}
        """Where the rows are of those that were listed."""

    def all(self) -> Iterator[E]:
        """Whatever the snapshot holds of the kind, without rows. Raises BundleDamaged, also where one comes again."""
        seen: set[int] = set()
        for part in self._manifest.objects:
            for line in self._lines(part) if part.kind == self._kind.name else ():
                if (known := hash(line.item.key)) in seen:
                    what = f"{self._kind.noun} {line.item.name}"
                    raise BundleDamaged(f"{self._bundle.address}: {what} is twice in snapshot {self._manifest.id}")
                seen.add(known)
                yield line.item

    def _lines(self, part: ObjectsPart) -> Iterator[Line[E]]:
        """Notes where the rows of each are."""
        for line in read_part(self._bundle.store, self._kind, part.documents.path, part.superseded):
            if part.rows is not None:
                self._places[line.item.key] = (part.rows.path, *line.rows)
            yield line

    def list(self, scope: Scope) -> Iterator[E]:
        """Those of the experiments and runs that were selected."""
        return (meant for item in self.all() if (meant := self._kind.meant(item, scope)) is not None)

    def complete(self, item: E) -> E:
        """With its rows. Raises BundleDamaged."""
        if not self._kind.rows_name:
            return item
        if item.key not in self._places and any(part.rows for part in self._manifest.objects):
            for _ in self.all():
                pass
        return self._rows.read(item, Place(*self._places.get(item.key, ("", 0, 0))))

    def complete_many(self, items: Sequence[E], pool: Executor) -> Iterator[Completed[E]]:
        """Likewise, one after the other, as they stand in the files."""
        for item in items:
            try:
                yield Completed(self.complete(item))
            except BundleDamaged as error:
                yield Completed(item, error)

    def read(self, item: E) -> tuple[E, Iterator[bytes]]:
        """Its blobs. Raises BundleDamaged before their last bytes when they are not those that were stored."""
        what = f"{self._kind.noun} {item.name}"
        return item, (c for name in blobs_of(item) for c in parts.sound_chunks(self._bundle.store, name, what))

    def read_file(self, item: E, file: ArtifactFile) -> Iterator[bytes]:
        """Its blob. Raises BundleDamaged likewise."""
        return self.read_blob(file, f"{self._kind.noun} {item.name}")

    def read_blob(self, file: ArtifactFile, of_what: str) -> Iterator[bytes]:
        """Likewise; `of_what` names what it is a file of."""
        return parts.sound_chunks(self._bundle.store, layout.blob(file.sha256 or ""), f"“{file.path}” of {of_what}")

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """The manifest says what the export left behind."""
        return ()


class StoredEntities(Generic[E]):
    """What the newest snapshot of a workspace holds of one kind; only keys and places are in memory.

    `broken` are parts that cannot be read.
    """

    def __init__(self, store: Store, kind: Kind[E]) -> None:
        self.parts: dict[str, ObjectsPart] = {}
        self.broken: set[str] = set()
        self._places: dict[Key, tuple[str, int]] = {}

        @lru_cache(PARTS_HELD)
        def lines(name: str) -> dict[int, Line[E]]:
            return {line.number: line for line in read_part(store, kind, name, self.parts[name].superseded)}

        self._lines = lines
        self._rows = RowsReader(store, kind)

    def add(self, part: ObjectsPart) -> None:
        """Learns what a part holds. A broken one is noted."""
        name = part.documents.path
        self.parts[name] = part
        try:
            self._places.update((line.item.key, (name, number)) for number, line in self._lines(name).items())
        except BundleDamaged:
            self.broken.add(name)

    def get(self, key: Key) -> E | None:
        """One of them, without its rows."""
        place = self._places.get(key)
        return None if place is None else self._lines(place[0])[place[1]].item

    def place(self, key: Key) -> tuple[str, int]:
        """The part and the line (from 1) of one that is there."""
        return self._places[key]

    def items(self, name: str, numbers: Iterable[int]) -> Iterator[tuple[int, E]]:
        """Some lines of a part, with their rows. Raises BundleDamaged where those cannot be read."""
        rows = self.parts[name].rows
        for number in sorted(numbers):
            line = self._lines(name)[number]
            place = Place(rows.path, *line.rows) if rows is not None else None
            yield number, line.item if place is None else self._rows.read(line.item, place)

    def all(self) -> Iterator[E]:
        """All of them, part by part."""
        for name in self.parts.keys() - self.broken:
            yield from (line.item for line in self._lines(name).values())


@dataclass(slots=True)
class KnownEntities:
    """What the newest snapshots of a workspace hold, by the name of the kind."""

    of_kinds: Mapping[str, StoredEntities[Any]] = field(default_factory=dict)


def learn_entities(bundle: Bundle, source: Address, kinds: Iterable[Kind[Any]]) -> KnownEntities:
    """Of each kind what the newest snapshot holds that is of that workspace and has any: ids of another mean others."""
    known = {kind.name: StoredEntities(bundle.store, BY_NAME[kind.name]) for kind in kinds}
    wanted = set(known)
    for snapshot_id in reversed(bundle.snapshot_ids()) if wanted else ():
        try:
            manifest = bundle.manifest(snapshot_id)
        except BundleDamaged:
            continue
        found = [part for part in manifest.objects if part.kind in wanted] if _is_of(manifest, source) else []
        for part in found:
            known[part.kind].add(part)
        wanted -= {part.kind for part in found}
        if not wanted:
            break
    return KnownEntities(known)


def _is_of(manifest: Manifest, source: Address) -> bool:
    homes = [place.details.get("source", place.address) for place in (manifest.source, source)]
    return homes[0] == homes[1]
