"""A bundle as a target of one kind of entity: bytes become blobs, documents parts of the snapshot."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Generic

from runsync.bundle import layout, parts
from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import StoredEntities, blobs_of
from runsync.bundle.manifest import ObjectsPart, PartFile
from runsync.bundle.suspects import Reusable
from runsync.contract.entities import EntitySource
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, RequestRefused, may_pass
from runsync.kinds.kind import Blob, E, Kind, is_same
from runsync.kinds.left_behind import GONE, changed
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem

DOCUMENTS_A_PART = 1000
MOST_SMALL = 10
"""So many stored parts of less than half as many documents are left alone."""


@dataclass(slots=True)
class _Entity(Generic[E]):
    """One on its way. `known` is the stored one; it stands in where `is_known`."""

    item: E
    known: E | None
    is_known: bool = False
    error: Exception | None = None
    files: list[Future[ArtifactFile | Problem]] = field(default_factory=list)


class EntityWriter(Generic[E]):
    """Those of one snapshot. `known` is what is stored already, `stored` tells which files may be taken for sound.

    What is known and cannot be read now stays as it is.
    """

    def __init__(
        self,
        kind: Kind[E],
        bundle: Bundle,
        known: StoredEntities[E],
        stored: Reusable,
        with_artifacts: bool,
        thorough: bool = False,
    ) -> None:
        self.failed: list[dict[str, str]] = []
        self._kind = kind
        self._bundle = bundle
        self._known = known
        self._stored = stored
        self._with_artifacts = with_artifacts
        self._thorough = thorough
        if kind.has_bytes or kind.has_files:
            stored.verify(name for item in known.all() for name in blobs_of(item))
        self._kept: dict[str, set[int]] = defaultdict(set)
        """Lines of stored parts that are of this snapshot too."""
        self._fresh: list[E] = []
        self._written: list[ObjectsPart] = []
        self._gone: list[str] = []
        self._denied: list[str] = []

    def plan(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return self._settled(list(pool.map(lambda item: self._look(item, source), items)))

    def put(self, items: Sequence[E], source: EntitySource[E], pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`. Bytes of several are fetched side by side."""
        looked = list(pool.map(lambda item: self._look(item, source), items))
        todo = [each for each in looked if not each.is_known and each.error is None]
        if self._kind.has_files and self._with_artifacts:
            for each in todo:
                files = self._kind.files(each.item)
                each.files = [pool.submit(self._fetch_file, each.item, file, source, progress) for file in files]
        elif self._kind.has_bytes:
            for future in [pool.submit(self._fetch, each, source, progress) for each in todo]:
                future.result()
        outcomes = self._settled(looked)
        while len(self._fresh) >= DOCUMENTS_A_PART:
            self._write(DOCUMENTS_A_PART)
        return outcomes

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: a bundle holds what it is given."""
        return []

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

    def parts(self) -> tuple[ObjectsPart, ...]:
        """Writes what is not written yet; gives all parts of the snapshot. Those of which little is needed any more are
        written anew."""
        kept = [replace(self._known.parts[name], superseded=self._others(name)) for name in sorted(self._kept)]
        small = [part for part in kept if 2 * _live(part) < DOCUMENTS_A_PART]
        sparse = [part for part in kept if 2 * _live(part) < part.documents.count]
        moved = {part.documents.path for part in (*sparse, *(small if len(small) > MOST_SMALL else ()))}
        for name in sorted(moved):
            self._fresh += self._known.items(name, self._kept[name])
        while self._fresh:
            self._write(DOCUMENTS_A_PART)
        all_parts = (*(part for part in kept if part.documents.path not in moved), *self._written)
        if all_parts:
            self._bundle.require([self._kind.name])
        if any(part.superseded for part in all_parts):
            self._bundle.require([layout.SUPERSEDED])
        return all_parts

    def _others(self, name: str) -> tuple[int, ...]:
        """The lines of a stored part that are not of this snapshot."""
        count = self._known.parts[name].documents.count
        return tuple(line for line in range(1, count + 1) if line not in self._kept[name])

    def _write(self, count: int) -> None:
        chosen, self._fresh = sorted(self._fresh[:count], key=lambda item: item.key), self._fresh[count:]
        documents = (item.to_document() for item in chosen)
        suffix = layout.ENTITIES[self._kind.name]
        broken = self._known.broken
        path, size = parts.write_documents(self._bundle.store, self._kind.schema, suffix, documents, broken)
        self._stored.arrived(path, size)
        self._written.append(ObjectsPart(self._kind.name, PartFile(path, size, len(chosen))))

    def _look(self, item: E, source: EntitySource[E]) -> _Entity[E]:
        """The complete entity, or the stored one where it is surely the same."""
        known = self._known.get(item.key)
        if known is not None and any(self._stored.size(layout.blob(b.sha256)) != b.size for b in known.blobs):
            known = None
        try:
            for is_complete in (False, True):
                if is_complete and (self._with_artifacts or not self._kind.has_files):
                    item = source.complete(item)
                taken = self._kind.reuse(known, item) if known is not None and not self._thorough else None
                if taken is not None:
                    return _Entity(taken, known, is_known=True)
        except ITEM_ERRORS as error:
            return _Entity(item, known, error=error)
        return _Entity(item, known)

    def _fetch(self, each: _Entity[E], source: EntitySource[E], progress: Progress) -> None:
        try:
            read, chunks = source.read(each.item)
            sha256, size = self._store(chunks, progress)
            each.item = self._kind.with_bytes(read, Blob(sha256, size))
        except ITEM_ERRORS as error:
            each.error = error

    def _fetch_file(
        self, item: E, file: ArtifactFile, source: EntitySource[E], progress: Progress
    ) -> ArtifactFile | Problem:
        """One that is stored, or why it cannot be had."""
        if file.fault:
            return Problem("artifact", file.path, file.fault)
        try:
            sha256, size = self._store(source.read_file(item, file), progress)
        except ITEM_ERRORS as error:
            return Problem("artifact", file.path, str(error))
        return ArtifactFile(file.path, size, sha256)

    def _store(self, chunks: Iterator[bytes], progress: Progress) -> tuple[str, int]:
        incoming = self._bundle.store.incoming()
        try:
            for chunk in chunks:
                incoming.write(chunk)
                progress.advance(bytes=len(chunk))
            sha256 = incoming.sha256()
            self._stored.keep(incoming, layout.blob(sha256))
            return sha256, incoming.size
        finally:
            incoming.discard()

    def _settled(self, looked: Sequence[_Entity[E]]) -> list[Outcome]:
        return [outcome for each in looked if (outcome := self._settle(each)) is not None]

    def _settle(self, each: _Entity[E]) -> Outcome | None:
        """Notes what the snapshot is to hold of one; None where it is left."""
        if each.error is not None:
            return self._not_read(each, each.error)
        files, problems = self._with_files(each)
        if each.known is not None and is_same(each.item, each.known):
            self._keep(each.item)
            return replace(self._outcome(each.item, UNCHANGED), problems=problems)
        self._fresh.append(each.item)
        outcome = self._outcome(each.item, CREATE if each.known is None else UPDATE)
        size = sum(file.size for file in files)
        return replace(outcome, artifacts=len(files), bytes=size, problems=problems)

    def _with_files(self, each: _Entity[E]) -> tuple[tuple[ArtifactFile, ...], tuple[Problem, ...]]:
        """The files that were fetched, and those that were not."""
        if not each.files:
            return (), self._kind.problems(each.item)
        told = self._kind.problems(each.item)
        results = [future.result() for future in each.files]
        files = tuple(result for result in results if isinstance(result, ArtifactFile))
        problems = (*told, *(result for result in results if isinstance(result, Problem)))
        each.item = self._kind.with_files(each.item, files, problems)
        return files, problems

    def _keep(self, item: E) -> None:
        name, line = self._known.place(item.key)
        self._kept[name].add(line)

    def _not_read(self, each: _Entity[E], error: Exception) -> Outcome | None:
        item = each.item
        is_gone = isinstance(error, RequestRefused) and error.code == ABSENT
        is_denied = isinstance(error, AccessDenied) and not self._kind.opt_in
        if each.known is not None:
            self._keep(each.known)
            if is_gone:
                return self._outcome(item, UNCHANGED)
        if is_gone or is_denied:
            (self._gone if is_gone else self._denied).append(item.name)
            return None
        self.failed.append({"kind": self._kind.noun, "id": item.key[0], "name": item.name, "error": str(error)})
        return self._outcome(item, FAILED, str(error), may_pass(error))

    def _outcome(self, item: E, action: str, error: str = "", retry: bool = False) -> Outcome:
        return Outcome(self._kind.noun, item.key[0], item.name, action, error=error, retry=retry)


def _live(part: ObjectsPart) -> int:
    return part.documents.count - len(part.superseded)
