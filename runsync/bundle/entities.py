"""Entities in a bundle: how their documents are read, and a snapshot as a source of one kind of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest, ObjectsPart
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.kinds.kind import E, Entity, Key, Kind
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import ArtifactFile

PARTS_HELD = 4
"""Parts of stored entities whose documents are kept in memory."""


def read_entities(store: Store, kind: Kind[E], part: ObjectsPart) -> Iterator[E]:
    """Those of a part that a snapshot holds. Raises BundleDamaged."""
    left_out = frozenset(part.superseded)
    for _, item in read_lines(store, kind, part.documents.path, left_out):
        yield item


def read_lines(store: Store, kind: Kind[E], name: str, left_out: Iterable[int] = ()) -> Iterator[tuple[int, E]]:
    """Those of a part with the numbers of their lines (from 1). Raises BundleDamaged."""
    skipped = frozenset(left_out)
    for line, document in parts.read_lines(store, kind.schema, name, lambda number: number not in skipped):
        yield line, kind.entity.from_document(document)


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

    def all(self) -> Iterator[E]:
        """Whatever the snapshot holds of the kind."""
        for part in self._manifest.objects:
            if part.kind == self._kind.name:
                yield from read_entities(self._bundle.store, self._kind, part)

    def list(self, scope: Scope) -> Iterator[E]:
        """Those of the experiments and runs that were selected."""
        return (meant for item in self.all() if (meant := self._kind.meant(item, scope)) is not None)

    def complete(self, item: E) -> E:
        """A snapshot tells all at once."""
        return item

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
        def lines(name: str) -> dict[int, E]:
            return dict(read_lines(store, kind, name, self.parts[name].superseded))

        self._lines = lines

    def add(self, part: ObjectsPart) -> None:
        """Learns what a part holds. A broken one is noted."""
        name = part.documents.path
        self.parts[name] = part
        try:
            self._places.update((item.key, (name, line)) for line, item in self._lines(name).items())
        except BundleDamaged:
            self.broken.add(name)

    def get(self, key: Key) -> E | None:
        """One of them."""
        place = self._places.get(key)
        return None if place is None else self._lines(place[0])[place[1]]

    def place(self, key: Key) -> tuple[str, int]:
        """The part and the line (from 1) of one that is there."""
        return self._places[key]

    def items(self, name: str, lines: Iterable[int]) -> Iterator[E]:
        """Some lines of a part."""
        stored = self._lines(name)
        return (stored[line] for line in sorted(lines))

    def all(self) -> Iterator[E]:
        """All of them, part by part."""
        for name in self.parts.keys() - self.broken:
            yield from self._lines(name).values()


@dataclass(slots=True)
class KnownEntities:
    """What the newest snapshots of a workspace hold, by the name of the kind."""

    of_kinds: Mapping[str, StoredEntities[Any]] = field(default_factory=dict)


def learn_entities(bundle: Bundle, source: Place, kinds: Iterable[Kind[Any]]) -> KnownEntities:
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


def _is_of(manifest: Manifest, source: Place) -> bool:
    homes = [place.details.get("source", place.address) for place in (manifest.source, source)]
    return homes[0] == homes[1]
