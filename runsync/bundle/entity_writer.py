"""A bundle as a target of one kind of entity: bytes become blobs, documents parts of the snapshot."""

import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from typing import Generic

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.manifest import ObjectsPart, PartFile
from runsync.bundle.suspects import Reusable
from runsync.contract.entities import EntitySource
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused, may_pass
from runsync.kinds.kind import Blob, E, Key, Kind
from runsync.kinds.left_behind import GONE, changed
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress

DOCUMENTS_A_PART = 1000


class EntityWriter(Generic[E]):
    """Those of one snapshot. `known` is what is stored already (`broken` are its parts that cannot be read), `stored`
    tells which files may be taken for sound.

    What is known and cannot be read now stays as it is.
    """

    def __init__(
        self,
        kind: Kind[E],
        bundle: Bundle,
        known: Mapping[Key, E],
        broken: Set[str],
        stored: Reusable,
        thorough: bool = False,
    ) -> None:
        self.failed: list[dict[str, str]] = []
        self._kind = kind
        self._bundle = bundle
        self._stored = stored
        stored.verify(layout.blob(blob.sha256) for item in known.values() for blob in item.blobs)
        self._known = {
            key: item
            for key, item in known.items()
            if all(stored.size(layout.blob(blob.sha256)) == blob.size for blob in item.blobs)
        }
        self._broken = broken
        self._thorough = thorough
        self._kept: dict[Key, E] = {}
        self._gone: list[str] = []
        self._denied: list[str] = []
        self._lock = threading.Lock()

    def plan(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [outcome for outcome in pool.map(lambda item: self._one(item, source, None), items) if outcome]

    def put(self, items: Sequence[E], source: EntitySource[E], pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`."""
        return [outcome for outcome in pool.map(lambda item: self._one(item, source, progress), items) if outcome]

    def left(self) -> list[NotCarried]:
        """What is named at the source and cannot be had there."""
        left = []
        if self._gone:
            names = tuple(sorted(self._gone)[:NAMED])
            left.append(changed(f"{self._kind.name} {GONE}", len(self._gone), "they are not there any more", names))
        if self._denied:
            names = tuple(sorted(self._denied)[:NAMED])
            left.append(self._kind.left(len(self._denied), "they may not be read by who exports", names))
        return left

    def finish(self) -> Iterator[ObjectsPart]:
        """Writes the documents of all that is kept, by key."""
        if self._kept:
            self._bundle.require([self._kind.name])
        items = [item for _, item in sorted(self._kept.items(), key=lambda each: each[0])]
        for start in range(0, len(items), DOCUMENTS_A_PART):
            chosen = items[start : start + DOCUMENTS_A_PART]
            documents = (item.to_document() for item in chosen)
            suffix = layout.ENTITIES[self._kind.name]
            path, size = parts.write_documents(self._bundle.store, self._kind.noun, suffix, documents, self._broken)
            self._stored.arrived(path, size)
            yield ObjectsPart(self._kind.name, PartFile(path, size, len(chosen)))

    def _one(self, item: E, source: EntitySource[E], progress: Progress | None) -> Outcome | None:
        """What becomes of one; without `progress` it is only planned. None where it is left."""
        known = self._known.get(item.key)
        try:
            read = self._read(item, known, source, progress)
        except ITEM_ERRORS as error:
            return self._not_read(item, known, error)
        with self._lock:
            self._kept[item.key] = read
        return self._outcome(item, CREATE if known is None else UNCHANGED if read == known else UPDATE)

    def _read(self, item: E, known: E | None, source: EntitySource[E], progress: Progress | None) -> E:
        """The complete entity with its blob; the stored one where it is surely the same."""
        for is_complete in (False, True):
            if is_complete:
                item = source.complete(item)
            taken = self._kind.reuse(known, item) if known is not None and not self._thorough else None
            if taken is not None:
                return taken
        return item if progress is None or not self._kind.has_bytes else self._fetch(item, source, progress)

    def _fetch(self, item: E, source: EntitySource[E], progress: Progress) -> E:
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
        return self._kind.with_bytes(read, blob)

    def _not_read(self, item: E, known: E | None, error: Exception) -> Outcome | None:
        is_gone = isinstance(error, RequestRefused) and error.code == ABSENT
        is_denied = isinstance(error, AccessDenied) and not self._kind.opt_in
        with self._lock:
            if known is not None:
                self._kept[item.key] = known
                if is_gone:
                    return self._outcome(item, UNCHANGED)
            if is_gone or is_denied:
                (self._gone if is_gone else self._denied).append(item.name)
                return None
            self.failed.append({"kind": self._kind.noun, "id": item.key[0], "name": item.name, "error": str(error)})
        return self._outcome(item, FAILED, str(error), may_pass(error))

    def _outcome(self, item: E, action: str, error: str = "", retry: bool = False) -> Outcome:
        return Outcome(self._kind.noun, item.key[0], item.name, action, error=error, retry=retry)
