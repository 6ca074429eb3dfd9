"""A bundle as a target of further kinds of objects: their bytes become blobs, their documents parts of the snapshot."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import ObjectsPart, PartFile
from runsync.bundle.objects import SCHEMAS, KnownObjects
from runsync.bundle.suspects import Reusable
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused, may_pass
from runsync.model.left_behind import GONE, KINDS, changed
from runsync.model.objects import Blob, Key, Object
from runsync.model.progress import Progress
from runsync.model.protocol import CREATE, FAILED, NAMED, UNCHANGED, UPDATE, NotCarried, ObjectSource, Outcome

DOCUMENTS_A_PART = 1000


class ObjectsWriter:
    """Those of one snapshot. `known` is what is stored already, `stored` tells which files may be taken for sound.

    What is known and cannot be read now stays as it is.
    """

    def __init__(
        self,
        bundle: Bundle,
        known: KnownObjects,
        stored: Reusable,
        thorough: bool = False,
    ) -> None:
        self.failed: list[dict[str, str]] = []
        self._bundle = bundle
        self._stored = stored
        stored.verify(layout.blob(blob.sha256) for item in known.items.values() for blob in item.blobs)
        self._known = {
            place: item
            for place, item in known.items.items()
            if all(stored.size(layout.blob(blob.sha256)) == blob.size for blob in item.blobs)
        }
        self._broken = known.broken
        self._thorough = thorough
        self._kept: dict[tuple[str, Key], Object] = {}
        self._left: dict[tuple[str, bool], list[str]] = {}
        self._lock = threading.Lock()

    def plan(self, items: Sequence[Object], source: ObjectSource, pool: Executor) -> list[Outcome]:
        """See `ObjectTarget`."""
        return [outcome for outcome in pool.map(lambda item: self._one(item, source, None), items) if outcome]

    def put(self, items: Sequence[Object], source: ObjectSource, pool: Executor, progress: Progress) -> list[Outcome]:
        """See `ObjectTarget`."""
        return [outcome for outcome in pool.map(lambda item: self._one(item, source, progress), items) if outcome]

    def left(self) -> list[NotCarried]:
        """What is named at the source and cannot be had there."""
        found = []
        for (kind, is_gone), names in self._left.items():
            shown = tuple(sorted(names)[:NAMED])
            if is_gone:
                found.append(changed(f"{kind} {GONE}", len(names), "they are not there any more", shown))
            else:
                found.append(KINDS[kind].left(len(names), "they may not be read by who exports", shown))
        return found

    def finish(self) -> Iterator[ObjectsPart]:
        """Writes the documents of all that is kept, by kind and key."""
        for kind in dict.fromkeys(kind for kind, _ in sorted(self._kept)):
            self._bundle.require([kind])
            items = [item for (other, _), item in sorted(self._kept.items(), key=lambda each: each[0]) if other == kind]
            for start in range(0, len(items), DOCUMENTS_A_PART):
                chosen = items[start : start + DOCUMENTS_A_PART]
                documents = (item.to_document() for item in chosen)
                path, size = parts.write_documents(
                    self._bundle.store, SCHEMAS[kind], layout.OBJECTS[kind], documents, self._broken
                )
                self._stored.arrived(path, size)
                yield ObjectsPart(kind, PartFile(path, size, len(chosen)))

    def _one(self, item: Object, source: ObjectSource, progress: Progress | None) -> Outcome | None:
        """What becomes of one; without `progress` it is only planned. None where it is left."""
        known = self._known.get((item.kind, item.key))
        try:
            read = self._read(item, known, source, progress)
        except ITEM_ERRORS as error:
            return self._not_read(item, known, error)
        with self._lock:
            self._kept[item.kind, item.key] = read
        return _outcome(item, CREATE if known is None else UNCHANGED if read == known else UPDATE)

    def _read(self, item: Object, known: Object | None, source: ObjectSource, progress: Progress | None) -> Object:
        """The whole of an object, with the blob that it is in; that which is known where it is surely the same."""
        for is_complete in (False, True):
            if is_complete:
                item = source.complete(item)
            taken = item.taken_from(known) if known is not None and not self._thorough else None
            if taken is not None:
                return taken
        return item if progress is None or not item.has_bytes else self._fetch(item, source, progress)

    def _fetch(self, item: Object, source: ObjectSource, progress: Progress) -> Object:
        read, chunks = source.read(item)
        incoming = self._bundle.store.incoming()
        try:
            for chunk in chunks:
                incoming.write(chunk)
                progress.advance(bytes=len(chunk))
            blob = Blob(incoming.sha256(), incoming.size)
            self._stored.keep(incoming, layout.blob(blob.sha256))
        finally:
            incoming.discard()
        return read.stored_as(blob)

    def _not_read(self, item: Object, known: Object | None, error: Exception) -> Outcome | None:
        if known is not None:
            with self._lock:
                self._kept[item.kind, item.key] = known
        is_gone = isinstance(error, RequestRefused) and error.code == ABSENT
        is_denied = isinstance(error, AccessDenied) and not item.is_asked_for
        if known is not None and is_gone:
            return _outcome(item, UNCHANGED)
        with self._lock:
            if is_gone or is_denied:
                self._left.setdefault((item.kind, is_gone), []).append(item.name)
                return None
            told = {"kind": item.noun, "id": item.key[0], "name": item.name, "error": str(error)}
            self.failed.append(told)
        return Outcome(item.noun, item.key[0], item.name, FAILED, error=str(error), retry=may_pass(error))


def _outcome(item: Object, action: str) -> Outcome:
    return Outcome(item.noun, item.key[0], item.name, action)
