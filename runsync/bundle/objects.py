"""Further kinds of objects in a bundle: how their documents are read, and a snapshot as a source of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import Manifest
from runsync.bundle.store import Store
from runsync.errors import BundleDamaged
from runsync.model.experiment import Experiment
from runsync.model.objects import CLASSES, Key, Named, Notebook, NotebookName, Object
from runsync.model.protocol import NotCarried, Place

SCHEMAS: Mapping[str, str] = {kind: each.noun for kind, each in CLASSES.items()}
"""Which schema the documents of a kind have."""


def read_objects(store: Store, kind: str, name: str) -> Iterator[Object]:
    """The objects of a part. Raises BundleDamaged."""
    return (CLASSES[kind].from_document(document) for document in parts.read_documents(store, SCHEMAS[kind], name))


def blobs_of(item: Object) -> list[str]:
    """Where its bytes lie."""
    return [layout.blob(blob.sha256) for blob in item.blobs]


class SnapshotObjects:
    """See `model.protocol.ObjectSource`."""

    are_copies = True

    def __init__(self, bundle: Bundle, manifest: Manifest) -> None:
        self._bundle = bundle
        self._manifest = manifest
        self.notebook_formats = manifest.notebook_formats
        self.kinds = tuple(dict.fromkeys(part.kind for part in manifest.objects))

    def all(self, kind: str) -> Iterator[Object]:
        """Every object of a kind."""
        for part in self._manifest.objects:
            if part.kind == kind:
                yield from read_objects(self._bundle.store, kind, part.documents.path)

    def list(self, kind: str, experiments: Sequence[Experiment], named: Named) -> Iterator[Object]:
        """Those of the experiments and runs that were selected, all in the format they are stored in."""
        chosen = {e.experiment_id for e in experiments}
        for item in self.all(kind):
            if isinstance(item, Notebook):
                runs = named.runs_of(NotebookName(item.path, item.revision))
                if runs or named.all_runs:
                    yield replace(item, runs=runs or item.runs)
            elif item.experiment_id in chosen:
                yield item

    def complete(self, item: Object) -> Object:
        """A snapshot tells all at once."""
        return item

    def read(self, item: Object) -> tuple[Object, Iterator[bytes]]:
        """Its blob. Raises BundleDamaged before its last bytes when they are not those that were stored."""
        what = f"{item.noun} {item.name}"
        return item, (c for name in blobs_of(item) for c in parts.sound_chunks(self._bundle.store, name, what))

    def left_behind(self, named: Named) -> Sequence[NotCarried]:
        """What the export left behind is told by the manifest."""
        return ()


@dataclass(slots=True)
class KnownObjects:
    """What the newest snapshots of a workspace hold, by kind and key; `broken` are parts that cannot be read."""

    items: dict[tuple[str, Key], Object] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


def learn_objects(bundle: Bundle, source: Place, kinds: Iterable[str]) -> KnownObjects:
    """Of each kind what the newest snapshot holds that is of that workspace and has any: ids of another mean others."""
    known, wanted = KnownObjects(), set(kinds)
    for snapshot_id in reversed(bundle.snapshot_ids()) if wanted else ():
        try:
            manifest = bundle.manifest(snapshot_id)
        except BundleDamaged:
            continue
        found = [part for part in manifest.objects if part.kind in wanted] if _is_of(manifest, source) else []
        for part in found:
            try:
                read = read_objects(bundle.store, part.kind, part.documents.path)
                known.items.update(((part.kind, item.key), item) for item in read)
            except BundleDamaged:
                known.broken.add(part.documents.path)
        wanted -= {part.kind for part in found}
        if not wanted:
            break
    return known


def _is_of(manifest: Manifest, source: Place) -> bool:
    homes = [place.details.get("source", place.address) for place in (manifest.source, source)]
    return homes[0] == homes[1]
