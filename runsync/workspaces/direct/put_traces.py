"""A store as a target of traces: attachments first, then many in one transaction, with a tag that each is whole."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.kinds import span_documents
from runsync.kinds.assessments import SOURCE_RUN
from runsync.kinds.traces import COMPLETE, MODEL_ID, NOT_YET, PLACES, TRACES, Trace
from runsync.model.identity import own_tags_removed
from runsync.model.ids import unfit_id
from runsync.model.import_options import ImportOptions
from runsync.model.mark import NOT_CARRIED, UNKNOWN, digest
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import Problem
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.direct.artifacts import DirectArtifacts
from runsync.workspaces.direct.entity_files import EntityFiles, Load
from runsync.workspaces.direct.model_ids import ModelIds
from runsync.workspaces.direct.records import write_all
from runsync.workspaces.direct.trace_source import TraceSource, as_run
from runsync.workspaces.direct.traces import StoredTrace, TraceStore, TraceWrite

_ABOVE = "their experiments are not carried"
TRACES_A_WRITE, BYTES_A_WRITE = 200, 4 << 20
"""That are held until they are written together, as far as one alone does not have more."""


@dataclass(slots=True)
class _Copy:
    """One on its way: as the source has it, as it is to be here, and what is there of it."""

    item: Trace
    wanted: Trace
    there: StoredTrace | None
    location: str
    action: str = UNCHANGED
    is_look: bool = False
    """Whether its spans may have changed, of which nothing tells."""
    error: str = ""
    retry: bool = False
    left_out: tuple[Problem, ...] = ()
    """What of it has no place here; all else of it may be whole."""
    problems: list[Problem] = field(default_factory=list)
    load: Load | None = None
    untagged: Sequence[str] = ()
    unassessed: Sequence[str] = ()

    def fail(self, error: object) -> None:
        self.action, self.error, self.retry = FAILED, str(error), may_pass(error)

    def outcome(self) -> Outcome:
        load, item = self.load, self.item
        return Outcome(
            TRACES.noun,
            item.trace_id,
            item.name,
            self.action,
            self.wanted.trace_id,
            artifacts=load.written if load else 0,
            bytes=load.bytes if load else 0,
            problems=(*self.left_out, *self.problems),
            error=self.error,
            retry=self.retry or (load is not None and load.retry),
        )


class TraceTarget:
    """See `EntityTarget`. `location_of` gives the artifact location of an experiment of the target."""

    def __init__(
        self,
        store: TraceStore,
        ids: ModelIds,
        artifacts: DirectArtifacts,
        options: ImportOptions,
        location_of: Callable[[str], str],
        marks: Marks,
    ) -> None:
        self._store = store
        self._ids = ids
        self._artifacts = artifacts
        self._files = EntityFiles(artifacts, options.verify_artifacts)
        self._own = TraceSource(store, artifacts)
        self._options = options
        self._location_of = location_of
        self._marks = marks
        self._homeless: list[str] = []

    def plan(self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        return [copy.outcome() for copy in self._compared(items)]

    def put(
        self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`. Spans are read where they are surely needed, or nothing tells that they are there."""
        copies = self._compared(items)
        for some in self._together(copies, source, pool):
            self._write(some, source, pool, progress)
        return [copy.outcome() for copy in copies]

    def finish(self, pool: Executor) -> list[Outcome]:
        """What comes next reads what was written."""
        self._store.refresh()
        return []

    def left(self) -> list[NotCarried]:
        """Traces of experiments that were not selected."""
        names = tuple(self._homeless[:NAMED])
        return [TRACES.left(len(self._homeless), _ABOVE, names)] if self._homeless else []

    def _compared(self, items: Sequence[Trace]) -> list[_Copy]:
        models = {item.metadata.get(MODEL_ID, "") for item in items} - {""}
        found = self._ids.find({id for item in items for id in _runs(item)}, models)
        there = {one.item.trace_id: one for one in self._store.traces((), [item.trace_id for item in items])}
        copies = []
        for item in items:
            wanted = TRACES.rewritten(item, found.resolve)
            if wanted is None:
                self._homeless.append(item.name)
            else:
                copies.append(self._copy(item, wanted, there.get(item.trace_id)))
        return copies

    def _copy(self, item: Trace, wanted: Trace, there: StoredTrace | None) -> _Copy:
        fitted = self._store.fitted(replace(wanted, tags=_tags(wanted), problems=()))
        wanted = replace(fitted.item, artifacts=None)
        if there is not None:
            location = there.location
        else:
            location = f"{self._location_of(wanted.experiment_id).rstrip('/')}/traces/{wanted.trace_id}/artifacts"
        copy = _Copy(item, wanted, there, location, CREATE if there is None else UNCHANGED, left_out=fitted.left_out)
        if why := unfit_id(item.trace_id) or fitted.why_not:
            copy.fail(f"its id cannot be used: {why}")
        elif there is not None and there.item.experiment_id != wanted.experiment_id:
            copy.fail(
                f"its id is that of a trace in another experiment of the target ({there.item.experiment_id}):"
                " that one is not touched"
            )
        elif there is not None:
            copy.untagged = self._marks.removed(item.tags, there.item.tags)
            copy.unassessed = self._unassessed(item, there)
            is_same = not copy.untagged and not copy.unassessed and not any(TRACES.lacks(wanted, there.item))
            copy.action = UNCHANGED if is_same else UPDATE
            copy.is_look = self._may_differ(item, there)
        return copy

    def _unassessed(self, item: Trace, there: StoredTrace) -> list[str]:
        """Assessments that were brought, and are gone at the source."""
        has = {one.assessment_id for one in there.item.assessments}
        ids = {one.assessment_id for one in item.assessments}
        return [id for id in self._marks.unassessed(there.item.tags, ids) if id in has]

    def _may_differ(self, item: Trace, there: StoredTrace) -> bool:
        """Whether nothing tells that the one that is there has the same spans and files."""
        spans, _, files = there.item.tags.get(COMPLETE, "").partition(":")
        if spans in ("", NOT_YET) or self._options.thorough or item.is_running or there.item.is_running:
            return True
        if item.span_count is not None and spans != item.span_digest[: len(spans)]:
            return True
        wanted = NOT_CARRIED
        if self._options.artifacts:
            wanted = UNKNOWN if item.artifacts is None else digest(item.artifacts)
        return not (wanted in (files, NOT_CARRIED) or (wanted == UNKNOWN and files != NOT_CARRIED))

    def _together(
        self, copies: Sequence[_Copy], source: EntitySource[Trace], pool: Executor
    ) -> Iterator[Sequence[_Copy]]:
        """Those of which something is to be written, with their spans where they are read: as many as are held."""
        some: list[_Copy] = []
        size = 0
        for copy in self._completed(copies, source, pool):
            weight = sum(map(_weight, (span.attributes for span in copy.wanted.spans or ())))
            if some and (len(some) == TRACES_A_WRITE or size + weight > BYTES_A_WRITE):
                yield some
                some, size = [], 0
            some.append(copy)
            size += weight
        if some:
            yield some

    def _completed(self, copies: Sequence[_Copy], source: EntitySource[Trace], pool: Executor) -> Iterator[_Copy]:
        todo = [copy for copy in copies if copy.action == CREATE or (copy.is_look and not copy.error)]
        there = [copy.there for copy in todo if copy.there is not None]
        for stored in there:
            self._own.note(stored)
        own = self._own.complete_many([stored.item for stored in there], pool)
        for copy, done in zip(todo, source.complete_many([copy.item for copy in todo], pool), strict=True):
            known = next(own) if copy.there is not None else None
            if done.error is not None:
                copy.fail(done.error)
                continue
            self._complete(copy, done.item)
            if known is not None:
                self._compare(copy, known.item)
            if copy.action != UNCHANGED:
                yield copy
        yield from (copy for copy in copies if copy.action == UPDATE and not copy.is_look)

    def _complete(self, copy: _Copy, whole: Trace) -> None:
        """With its spans, as they are to be here."""
        copy.item = replace(whole, spans=None)
        copy.problems += whole.problems
        moved = TRACES.rewritten(whole, self._moves_only(copy.item.experiment_id, copy.wanted.experiment_id))
        assert moved is not None
        fitted = self._store.fitted(replace(copy.wanted, spans=moved.spans))
        copy.wanted = replace(fitted.item, span_count=moved.span_count, span_digest=moved.span_digest)
        copy.left_out = tuple(dict.fromkeys((*copy.left_out, *fitted.left_out)))

    def _compare(self, copy: _Copy, known: Trace) -> None:
        """With what is there in full: spans that are the same are not written again."""
        if not any(TRACES.lacks(replace(copy.wanted, artifacts=known.artifacts), known)):
            copy.wanted = replace(copy.wanted, spans=None)
            is_tagged = not self._options.tags or known.tags.get(COMPLETE, "") == self._complete_tag(copy)
            has_files = not self._options.artifacts or _paths(copy.item) <= _paths(known)
            copy.action = UNCHANGED if copy.action == UNCHANGED and is_tagged and has_files else UPDATE
        else:
            copy.action = UPDATE

    def _moves_only(self, old: str, new: str) -> Callable[[str, str], str | None]:
        return lambda kind, id: new if id == old else id

    def _write(self, copies: Sequence[_Copy], source: EntitySource[Trace], pool: Executor, progress: Progress) -> None:
        if self._options.artifacts:
            for copy in copies:
                files = copy.item.artifacts or ()
                copy.load = Load(copy.item, files, as_run(copy.wanted, copy.location), copy.there is None)
            self._files.carry([copy.load for copy in copies if copy.load is not None], source, pool, progress)
            for copy in copies:
                copy.problems += copy.load.problems if copy.load is not None else ()
        if self._store.wants_file or not self._store.keeps_spans:
            for copy in copies:
                self._write_file(copy)
        writes = [self._record(copy) for copy in copies]
        for copy, error in zip(copies, write_all(self._store.write, writes), strict=True):
            copy.wanted = replace(copy.wanted, spans=None)
            if error is not None:
                copy.fail(error)

    def _write_file(self, copy: _Copy) -> None:
        """The spans as MLflow reads them from among artifacts."""
        if not copy.wanted.spans:
            return
        data = span_documents.write_file(copy.wanted.trace_id, copy.wanted.spans)
        owner = as_run(copy.wanted, copy.location)
        try:
            if not self._options.artifacts:
                raise RequestRefused("this MLflow keeps them among artifacts, and these were not asked for")
            self._artifacts.write(owner, span_documents.FILE, len(data), lambda: io.BytesIO(data))
        except ITEM_ERRORS as error:
            if not self._store.keeps_spans:
                copy.problems.append(Problem("spans", span_documents.FILE, str(error)))

    def _record(self, copy: _Copy) -> TraceWrite:
        known = copy.there.item.tags if copy.there is not None else None
        tags = {**copy.wanted.tags, **self._marks.of(copy.wanted.tags, known)}
        tags |= self._marks.with_assessments(known or {}, (one.assessment_id for one in copy.wanted.assessments))
        if complete := self._complete_tag(copy):
            tags[COMPLETE] = complete
        gone = [COMPLETE] if known is not None and COMPLETE in known and copy.problems else []
        untagged = (*copy.untagged, *gone)
        return TraceWrite(replace(copy.wanted, tags=tags), copy.location, copy.there, untagged, copy.unassessed)

    def _complete_tag(self, copy: _Copy) -> str:
        """Of one that is whole; "" where its spans were not read, and where something is missing."""
        if not self._options.tags or copy.problems or copy.item.span_count is None:
            return ""
        has_files = self._options.artifacts and copy.item.artifacts is not None
        files = digest(copy.item.artifacts or ()) if has_files else NOT_CARRIED
        return f"{copy.item.span_digest[:32]}:{files}"


def _tags(item: Trace) -> Mapping[str, str]:
    """Those of ours apart, and those that say where it lies at the source."""
    return {key: value for key, value in own_tags_removed(item.tags).items() if key not in PLACES}


def _runs(item: Trace) -> Iterator[str]:
    """All that it names."""
    yield from item.runs
    for one in item.assessments:
        yield from (one.run_id, one.metadata.get(SOURCE_RUN, ""))


def _paths(item: Trace) -> set[str]:
    return {file.path for file in item.artifacts or ()}


def _weight(value: object) -> int:
    """About as many bytes as it takes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_weight(key) + _weight(each) for key, each in value.items())
    return sum(map(_weight, value)) if isinstance(value, list | tuple) else 8
