"""Entities in a bundle: how their documents are read, and a snapshot as a source of one kind of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged
from runsync.kinds import BY_NAME
from runsync.kinds.kind import E, Entity, Key, Kind
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place


def read_entities(store: Store, kind: Kind[E], name: str) -> Iterator[E]:
    """Those of a part. Raises BundleDamaged."""
    return (kind.entity.from_document(document) for document in parts.read_documents(store, kind.noun, name))


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
                yield from read_entities(self._bundle.store, self._kind, part.documents.path)

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

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """The manifest says what the export left behind."""
        return ()


@dataclass(slots=True)
class KnownEntities:
    """What the newest snapshots of a workspace hold, by the name of the kind and by key; `broken` are parts that cannot
    be read."""

    items: dict[str, dict[Key, Any]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


def learn_entities(bundle: Bundle, source: Place, kinds: Iterable[Kind[Any]]) -> KnownEntities:
    """Of each kind what the newest snapshot holds that is of that workspace and has any: ids of another mean others."""
    known, wanted = KnownEntities(), {kind.name for kind in kinds}
    for snapshot_id in reversed(bundle.snapshot_ids()) if wanted else ():
        try:
            manifest = bundle.manifest(snapshot_id)
        except BundleDamaged:
            continue
        found = [part for part in manifest.objects if part.kind in wanted] if _is_of(manifest, source) else []
        for part in found:
            try:
                read = read_entities(bundle.store, BY_NAME[part.kind], part.documents.path)
                known.items.setdefault(part.kind, {}).update((item.key, item) for item in read)
            except BundleDamaged:
                known.broken.add(part.documents.path)
        wanted -= {part.kind for part in found}
        if not wanted:
            break
    return known


def _is_of(manifest: Manifest, source: Place) -> bool:
    homes = [place.details.get("source", place.address) for place in (manifest.source, source)]
    return homes[0] == homes[1]
