"""A bundle as a target of one kind of entity: bytes become blobs, documents parts of the snapshot."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Generic

from runsync.bundle import layout
from runsync.bundle.bundle import Bundle
from runsync.bundle.entities import StoredEntities, blobs_of
from runsync.bundle.entity_part import DOCUMENTS_A_PART, EntityPart
from runsync.bundle.manifest import ObjectsPart
from runsync.bundle.rows import BYTES_A_FILE
from runsync.bundle.suspects import Reusable
from runsync.contract.entities import EntitySource
from runsync.errors import ABSENT, ITEM_ERRORS, AccessDenied, BundleDamaged, RequestRefused, may_pass
from runsync.growing import EntityFiles, Growing
from runsync.kinds.kind import Blob, E, Kind, is_same
from runsync.kinds.left_behind import GONE, changed
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem

WITH_ROWS_AT_ONCE = 16
"""Entities of a kind with rows that are held at once."""
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
        stored.verify(part.rows.path for part in known.parts.values() if part.rows is not None)
        self._kept: dict[str, set[int]] = defaultdict(set)
        """Lines of stored parts that are of this snapshot too."""
        self._written: list[ObjectsPart] = []
        self._part = EntityPart(kind, bundle.store, stored, known)
        self._gone: list[str] = []
        self._denied: list[str] = []

    def plan(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        looked = self._look(items, source, pool)
        return [outcome for each in looked if (outcome := self._settle(each, is_planned=True)) is not None]

    def put(self, items: Sequence[E], source: EntitySource[E], pool: Executor, progress: Progress) -> list[Outcome]:
        """See `EntityTarget`. Bytes of several are fetched side by side."""
        looked = self._look(items, source, pool)
        outcomes: list[Outcome] = []
        while some := list(islice(looked, WITH_ROWS_AT_ONCE if self._kind.rows_name else None)):
            outcomes += self._put(some, source, pool, progress)
        return outcomes

    def _put(
        self, looked: Sequence[_Entity[E]], source: EntitySource[E], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        todo = [each for each in looked if not each.is_known and each.error is None]
        if self._kind.has_files and self._with_artifacts:
            for each in todo:
                files = self._kind.files(each.item)
                each.files = [pool.submit(self._fetch_file, each.item, file, source, progress) for file in files]
        elif self._kind.has_bytes:
            for future in [pool.submit(self._fetch, each, source, progress) for each in todo]:
                future.result()
        return [outcome for each in looked if (outcome := self._settle(each)) is not None]

    def close(self) -> None:
        """Lets go of what is not written to its end."""
        self._part.abandon()

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
        for name in self._crowded():
            self._move(name)
        self._end_part()
        kept = [replace(self._known.parts[name], superseded=self._others(name)) for name in sorted(self._kept)]
        all_parts = (*kept, *self._written)
        if all_parts:
            self._bundle.require([self._kind.name])
        if any(part.superseded for part in all_parts):
            self._bundle.require([layout.SUPERSEDED])
        return all_parts

    def _crowded(self) -> list[str]:
        """The stored parts that are to be written anew: of which little is needed, and small ones if they are many."""
        sparse = {
            name for name, lines in self._kept.items() if 2 * len(lines) < self._known.parts[name].documents.count
        }
        small = {name for name, lines in self._kept.items() if self._is_small(self._known.parts[name], len(lines))}
        return sorted(sparse | (small if len(small) > MOST_SMALL else set()))

    def _is_small(self, part: ObjectsPart, lines: int) -> bool:
        return 2 * lines < DOCUMENTS_A_PART and 2 * (part.rows.bytes if part.rows is not None else 0) < BYTES_A_FILE

    def _move(self, name: str) -> None:
        """What can be read of a part goes into new ones."""
        with suppress(BundleDamaged):
            for line, item in self._known.items(name, set(self._kept[name])):
                self._add(item)
                self._kept[name].remove(line)
        if not self._kept[name]:
            del self._kept[name]

    def _add(self, item: E) -> None:
        self._part.add(item)
        if self._part.is_full:
            self._end_part()

    def _end_part(self) -> None:
        part = self._part.close()
        self._written += [part] if part is not None else []
        self._part = EntityPart(self._kind, self._bundle.store, self._stored, self._known)

    def _others(self, name: str) -> tuple[int, ...]:
        """The lines of a stored part that are not of this snapshot."""
        count = self._known.parts[name].documents.count
        return tuple(line for line in range(1, count + 1) if line not in self._kept[name])

    def _look(self, items: Sequence[E], source: EntitySource[E], pool: Executor) -> Iterator[_Entity[E]]:
        """The complete entities, or the stored ones where they are surely the same, in no order."""
        looked = [_Entity(item, self._known_of(item)) for item in items]
        rest = [each for each in looked if not self._is_reused(each)]
        yield from (each for each in looked if each.is_known)
        if not self._with_artifacts and self._kind.has_files and not self._kind.rows_name:
            yield from rest
            return
        for each, done in zip(rest, source.complete_many([each.item for each in rest], pool), strict=True):
            each.item, each.error = done.item, done.error
            if done.error is None and not self._is_reused(each) and not self._with_artifacts:
                each.item = self._kind.without_files(each.item)
            yield each

    def _known_of(self, item: E) -> E | None:
        """The stored one, if all its bytes are there."""
        known = self._known.get(item.key)
        if known is not None and self._lacks_rows(self._known.place(item.key)[0]):
            return None
        if known is not None and any(self._stored.size(layout.blob(b.sha256)) != b.size for b in known.blobs):
            return None
        return known

    def _lacks_rows(self, part: str) -> bool:
        rows = self._known.parts[part].rows
        return rows is not None and self._stored.size(rows.path) != rows.bytes

    def _is_reused(self, each: _Entity[E]) -> bool:
        """Whether the stored one surely is the same; then it stands in."""
        if each.known is None or self._thorough:
            return False
        taken = self._kind.reuse(each.known, each.item)
        if taken is not None:
            each.item, each.is_known = taken, True
        return taken is not None

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
            growing = Growing(EntityFiles(source, item), file)
            sha256, size = growing.carry(lambda: self._store(growing.chunks(), progress))
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

    def _settle(self, each: _Entity[E], is_planned: bool = False) -> Outcome | None:
        """Notes what the snapshot is to hold of one; None where it is left. What is only planned has no hashes of its
        files yet, and is not written."""
        if each.error is not None:
            return self._not_read(each, each.error)
        files, problems = self._with_files(each)
        if each.known is not None and is_same(each.item, each.known):
            self._keep(each.item)
            return replace(self._outcome(each.item, UNCHANGED), problems=problems)
        try:
            if not is_planned:
                self._add(each.item)
        except BundleDamaged as error:
            return self._not_read(each, error)
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
