"""Traces of a store as a source of them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from runsync.contract.entities import Completed, one_by_one
from runsync.errors import ABSENT, RequestRefused, WrongUsage
from runsync.kinds import span_documents
from runsync.kinds.kind import Key
from runsync.kinds.scope import Scope
from runsync.kinds.traces import TRACES, Trace
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Problem, Run
from runsync.workspaces import archived_spans
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.sound import Sound
from runsync.workspaces.direct.traces import ARCHIVE, ROWS, FoundSpans, StoredTrace, TraceStore
from runsync.workspaces.places import Places

ATTACHMENTS = "attachments/"
_TELLING = ("mlflow.trace_schema.version", "mlflow.traceInputs", "mlflow.trace.sizeBytes", "mlflow.trace.sizeStats")
"""Entries of the metadata of which a client that logged spans leaves one or the other."""
LARGEST_FILE = 1 << 30
"""Bytes of a file of spans that are read."""


@dataclass(frozen=True, slots=True)
class _Place:
    """See `StoredTrace`."""

    location: str
    spans_at: str
    archive: str


class TraceSource:
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, store: TraceStore, artifacts: DirectArtifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._places: Places[_Place] = Places(self._look_up)
        self._sound = Sound(TRACES)

    def list(self, scope: Scope) -> Iterator[Trace]:
        """Without their spans and files."""
        named = scope.named(TRACES.name)
        for stored in self._store.traces([e.experiment_id for e in scope.experiments], named):
            self.note(stored)
            meant = TRACES.meant(stored.item, scope)
            if meant is not None and self._sound.holds(meant):
                yield meant

    def note(self, stored: StoredTrace) -> None:
        """Remembers where the spans and files of one lie."""
        self._places.note(stored.item.key, _Place(stored.location, stored.spans_at, stored.archive))

    def complete(self, item: Trace) -> Trace:
        """Adds its spans, and its attachments. Raises RequestRefused."""
        place = self._places.of(item.key)
        if place.spans_at == ROWS:
            found = next((found for _, found in self._store.spans([item.trace_id])), FoundSpans())
        else:
            found = self._from_file(item, place)
        return self._with(item, found, place)

    def complete_many(self, items: Sequence[Trace], pool: Executor) -> Iterator[Completed[Trace]]:
        """See `EntitySource`: what lies in rows is read for many at once."""
        places = {item.key: self._places.of(item.key) for item in items}
        in_rows = [item.trace_id for item in items if places[item.key].spans_at == ROWS]
        rows = self._store.spans(in_rows)
        others = one_by_one(self.complete, [item for item in items if places[item.key].spans_at != ROWS], pool)
        for item in items:
            place = places[item.key]
            if place.spans_at != ROWS:
                yield next(others)
                continue
            try:
                yield Completed(self._with(item, next(rows)[1], place))
            except RequestRefused as error:
                yield Completed(item, error)

    def read(self, item: Trace) -> tuple[Trace, Iterator[bytes]]:
        """It has only files."""
        return item, iter(())

    def read_file(self, item: Trace, file: ArtifactFile) -> Iterator[bytes]:
        """Straight from where they lie."""
        file.check()
        return self._artifacts.read(as_run(item, self._places.of(item.key).location), file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """Traces that cannot be read."""
        return self._sound.left(self._store.unreadable())

    def _with(self, item: Trace, found: FoundSpans, place: _Place) -> Trace:
        whole = item.with_spans(found.spans)
        whole = replace(whole, problems=(*item.problems, *found.broken))
        if not found.has_attachments:
            return replace(whole, artifacts=())
        try:
            files = self._artifacts.list(as_run(item, place.location))
        except (RequestRefused, WrongUsage) as error:
            problem = Problem("artifact", ATTACHMENTS, str(error))
            return replace(whole, artifacts=(), problems=(*whole.problems, problem))
        return replace(whole, artifacts=tuple(file for file in files if file.path.startswith(ATTACHMENTS)))

    def _from_file(self, item: Trace, place: _Place) -> FoundSpans:
        """Those of a file; a trace that has none is of a program that logged none, or still runs."""
        is_archived = place.spans_at == ARCHIVE
        name = archived_spans.FILE if is_archived else span_documents.FILE
        location = place.archive if is_archived else place.location
        try:
            files = self._artifacts.list(as_run(item, location)) if location else ()
        except (RequestRefused, WrongUsage) as error:
            if not is_archived and item.metadata.keys().isdisjoint(_TELLING):
                return FoundSpans()
            raise RequestRefused(f"its spans are in a file: {error}") from None
        file = next((file for file in files if file.path == name), None)
        if file is None:
            if is_archived:
                raise RequestRefused(f"its spans are archived in {name}, which is not there")
            return FoundSpans()
        if file.size > LARGEST_FILE:
            raise RequestRefused(f"{name} has {file.size} bytes, and {LARGEST_FILE} are read at most")
        data = b"".join(self._artifacts.read(as_run(item, location), file))
        return _archived(data) if is_archived else found_in(data)

    def _look_up(self, key: Key) -> _Place:
        for stored in self._store.traces((), key):
            return _Place(stored.location, stored.spans_at, stored.archive)
        raise RequestRefused(f"there is no trace {key[0]}", 404, ABSENT)


def found_in(data: bytes) -> FoundSpans:
    """The spans of a file `traces.json`. Raises RequestRefused."""
    try:
        spans, broken = span_documents.read_file(data)
    except ValueError as error:
        raise RequestRefused(f"{span_documents.FILE} cannot be read: {error}") from None
    problems = tuple(Problem("span", name, why) for name, why in broken)
    return FoundSpans(tuple(spans), problems, span_documents.names_attachments(data))


def _archived(data: bytes) -> FoundSpans:
    try:
        spans = archived_spans.read(data)
    except ValueError as error:
        raise RequestRefused(f"{archived_spans.FILE} cannot be read: {error}") from None
    return FoundSpans(tuple(spans), (), span_documents.names_attachments(data))


def as_run(item: Trace, location: str) -> Run:
    """What has its artifacts in the same way."""
    return Run(item.trace_id, item.experiment_id, artifact_uri=location)
