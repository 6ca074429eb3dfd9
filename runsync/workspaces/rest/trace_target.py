"""Traces into a server: spans of many by one request, then the info of each, with the mark that it is whole."""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from runsync.contract.entities import EntitySource
from runsync.errors import ITEM_ERRORS, RequestRefused, may_pass
from runsync.growing import EntityFiles, Growing
from runsync.kinds import span_documents
from runsync.kinds.assessments import Assessment
from runsync.kinds.kind import EXPERIMENTS, Resolve
from runsync.kinds.scope import Scope
from runsync.kinds.traces import ARTIFACT_LOCATION, COMPLETE, FINALIZED, NOT_YET, TRACES, Trace, plain, same_value
from runsync.model import brought
from runsync.model.ids import unfit_id
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NAMED, NotCarried
from runsync.model.outcome import CREATE, FAILED, UNCHANGED, UPDATE, Outcome
from runsync.model.progress import Progress
from runsync.model.run import ArtifactFile, Problem
from runsync.model.selection import RUNS
from runsync.workspaces import otlp
from runsync.workspaces.arrival.documents import NO_PLACE
from runsync.workspaces.arrival.experiments import ExperimentMap
from runsync.workspaces.arrival.files import Stream
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import part
from runsync.workspaces.rest import trace_wire
from runsync.workspaces.rest.artifacts import Artifacts, Root
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.search import chunks
from runsync.workspaces.rest.server import API, API3
from runsync.workspaces.rest.traces import TraceSource

OTLP = "/v1/traces"
BYTES_A_REQUEST = 8 << 20
TRACES_A_REQUEST = 100
LINKS_A_REQUEST = 100
"""The most that link-to-run takes (MLflow 3.17)."""
LOST = "/"
"""In a mark: before the number of links to runs that the target did not have."""
ANY_EXPERIMENT = "0"
WITHOUT_FILES = ":-"
"""How the mark ends of one whose attachments were not carried."""


@dataclass(frozen=True, slots=True)
class _There:
    """What is kept of a trace of the target."""

    experiment_id: str
    mark: str
    is_native: bool
    came_from: str


@dataclass(slots=True)
class _Copy:
    """A trace on its way; `wanted` is how it should read in the target, `now` what is there of it."""

    item: Trace
    wanted: Trace
    mark: str
    there: _There | None
    now: Trace | None = None
    location: str = ""
    problems: list[Problem] = field(default_factory=list)
    sent: list[ArtifactFile] = field(default_factory=list)
    lacks_files: bool = False
    error: str = ""
    retry: bool = False
    in_file: bool = False
    """Whether its spans go into a file."""
    is_marked: bool = True
    """Whether its info was given with the mark, if nothing comes after it."""

    def fail(self, error: Exception) -> None:
        """Nothing can be said to be whole."""
        self.error, self.retry = str(error), may_pass(error)

    def outcome(self) -> Outcome:
        """What was done with it."""
        action = FAILED if self.error else CREATE if self.there is None else UPDATE
        id, size = self.item.trace_id, sum(file.size for file in self.sent)
        told = (TRACES.noun, id, id, action, id, 0, len(self.sent), size)
        return Outcome(*told, tuple(self.problems), self.error, self.retry)


class TraceTarget:
    """See `EntityTarget`. `resolve` gives the target's ids of what the source has."""

    def __init__(
        self,
        client: Client,
        there: TraceSource,
        files: Artifacts,
        experiments: ExperimentMap,
        resolve: Resolve,
        options: ImportOptions,
        marks: Marks,
    ) -> None:
        self._client = client
        self._source = there
        self._files = files
        self._experiments = experiments
        self._resolve = resolve
        self._options = options
        self._marks = marks
        self._looked: set[str] = set()
        self._there: dict[str, _There] = {}
        self._has_otlp: bool | None = None
        self._taken: list[str] = []
        self._placeless: list[str] = []
        self._keeps_links: bool | None = None

    def plan(self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor) -> list[Outcome]:
        """See `EntityTarget`."""
        copies = [self._copy(item) for item in self._here(items)]
        self._read_natives(copies)
        return [copy.outcome() if copy.error else replace(copy.outcome(), action=self._action(copy)) for copy in copies]

    def put(
        self, items: Sequence[Trace], source: EntitySource[Trace], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        """See `EntityTarget`."""
        copies = {item.key: self._copy(item) for item in self._here(items)}
        self._read_natives(list(copies.values()))
        todo = [copy for copy in copies.values() if not copy.error and self._action(copy) != UNCHANGED]
        outcomes = [copy.outcome() for copy in copies.values() if copy.error]
        same = [copy for copy in copies.values() if not copy.error and self._action(copy) == UNCHANGED]
        outcomes += [replace(copy.outcome(), action=UNCHANGED) for copy in same]
        group: list[_Copy] = []
        size = 0
        for done in source.complete_many([copy.item for copy in todo], pool):
            copy = copies[done.item.key]
            if done.error is not None:
                copy.fail(done.error)
                outcomes.append(copy.outcome())
                continue
            self._take(copy, done.item)
            if self._is_same_while_running(copy):
                outcomes.append(replace(copy.outcome(), action=UNCHANGED))
                continue
            group.append(copy)
            size += _weight(copy.wanted)
            if size >= BYTES_A_REQUEST or len(group) == TRACES_A_REQUEST:
                outcomes += self._send(group, source, pool, progress)
                group, size = [], 0
        return outcomes + self._send(group, source, pool, progress)

    def finish(self, pool: Executor) -> list[Outcome]:
        """See `EntityTarget`: nothing is left to do."""
        return []

    def left(self) -> list[NotCarried]:
        """Those whose ids are taken, and all where the server cannot be given any."""
        why = "a server has each id once, and has these in other experiments"
        both = ((self._taken, why), (self._placeless, NO_PLACE))
        return [TRACES.left(len(ids), why, tuple(ids[:NAMED])) for ids, why in both if ids]

    def copies(self, experiment_ids: Sequence[str], key: str) -> Iterator[tuple[str, str]]:
        """See `TraceHoldings`."""
        homes = set(experiment_ids)
        self._look(homes)
        if left := self._source.left_behind(Scope()):
            raise RequestRefused(left[0].why)
        found = self._there.items()
        return ((id, one.experiment_id) for id, one in found if one.came_from == key and one.experiment_id in homes)

    def delete(self, experiment_id: str, trace_ids: Sequence[str]) -> None:
        """See `TraceHoldings`."""
        self._source.delete(experiment_id, trace_ids)

    def _here(self, items: Sequence[Trace]) -> list[Trace]:
        """Those whose experiment is there, once it is known what the target has."""
        homes = {self._place(item) for item in items} - {""}
        if self._source.has_api_of_2([*sorted(homes), ANY_EXPERIMENT]):
            self._placeless += [item.trace_id for item in items]
            return []
        self._look(homes)
        unknown = [item.trace_id for item in items if item.trace_id not in self._there]
        try:
            for found in self._source.infos(unknown).values() if unknown else ():
                self._note(found)
        except RequestRefused as error:
            if not is_unknown(error):
                raise
        return [item for item in items if not self._is_taken(item)]

    def _look(self, homes: Set[str]) -> None:
        """Lists experiments of the target, each once."""
        for found in self._source.of_experiments(sorted(homes - self._looked)) if homes - self._looked else ():
            self._note(found)
        self._looked |= homes

    def _note(self, found: Trace) -> None:
        mark, key = found.tags.get(COMPLETE, ""), sys.intern(brought.came_from(found.tags))
        self._there[found.trace_id] = _There(found.experiment_id, mark, not mark and FINALIZED in found.metadata, key)

    def _is_taken(self, item: Trace) -> bool:
        there = self._there.get(item.trace_id)
        is_taken = there is not None and there.experiment_id != self._place(item) and not self._why_not(item)
        self._taken += [item.trace_id] if is_taken else []
        return is_taken

    def _why_not(self, item: Trace) -> str:
        return self._experiments.why_not(item.experiment_id)

    def _place(self, item: Trace) -> str:
        """The target's experiment; "" where there is none, or none that can be used."""
        return self._resolve(EXPERIMENTS, item.experiment_id) or ""

    def _copy(self, item: Trace) -> _Copy:
        there = self._there.get(item.trace_id)
        lost = sum(self._resolve(RUNS, id) is None for id in item.linked_runs)
        mark = fingerprint(item) + (f"{LOST}{lost}" if lost else "")
        mark += "" if self._options.artifacts else WITHOUT_FILES
        return _Copy(item, _rewritten(item, self._resolve), mark, there, error=self._why_not(item))

    def _read_natives(self, copies: Sequence[_Copy]) -> None:
        """Of those that were made in the target, or changed since: how they read now."""
        ids = [copy.item.trace_id for copy in copies if copy.there is not None and self._is_other(copy)]
        found = {one.trace_id: one for one in self._source.named(ids)}
        for copy in copies:
            copy.now = found.get(copy.item.trace_id)

    def _is_other(self, copy: _Copy) -> bool:
        return copy.there is None or copy.there.mark not in (copy.mark, copy.mark.removesuffix(WITHOUT_FILES))

    def _action(self, copy: _Copy) -> str:
        if copy.there is None:
            return CREATE
        if copy.there.is_native and copy.now is not None:
            lacking = TRACES.lacks(replace(plain(copy.wanted), linked_runs=()), copy.now)
            return UPDATE if any(lacking) else UNCHANGED
        return UPDATE if self._is_other(copy) or self._options.thorough else UNCHANGED

    def _take(self, copy: _Copy, whole: Trace) -> None:
        copy.item = whole
        copy.wanted = _rewritten(whole, self._resolve)
        if whole.is_running:
            copy.mark += f"+{whole.span_digest[:16]}"

    def _is_same_while_running(self, copy: _Copy) -> bool:
        return copy.item.is_running and copy.there is not None and copy.there.mark == copy.mark

    def _send(
        self, group: Sequence[_Copy], source: EntitySource[Trace], pool: Executor, progress: Progress
    ) -> list[Outcome]:
        by_home: dict[str, list[_Copy]] = defaultdict(list)
        for copy in group:
            by_home[copy.wanted.experiment_id].append(copy)
        for home, copies in by_home.items():
            for copy in copies:
                self._guarded(copy, lambda copy: self._experiments.activate(copy.item.experiment_id))
            self._send_spans(home, [copy for copy in copies if not copy.error])
        list(pool.map(partial(self._guarded, act=partial(self._write, source=source, progress=progress)), group))
        self._link([copy for copy in group if not copy.error])
        self._note_links([copy for copy in group if not copy.error and not copy.in_file])
        list(
            pool.map(
                partial(self._guarded, act=self._mark), [copy for copy in group if _is_more(copy) or not copy.is_marked]
            )
        )
        return [copy.outcome() for copy in group]

    def _guarded(self, copy: _Copy, act: Callable[[_Copy], None]) -> None:
        try:
            if not copy.error:
                act(copy)
        except ITEM_ERRORS as error:
            copy.fail(error)

    def _send_spans(self, experiment_id: str, copies: Sequence[_Copy]) -> None:
        """By one request; what is refused by halves. What the server would not keep as it is goes into a file."""
        bodies: list[tuple[_Copy, bytes]] = []
        if self._has_otlp is None and any(copy.wanted.spans for copy in copies):
            self._has_otlp = self._source.tells_rows()
        for copy in copies:
            spans = () if self._has_spans(copy) else copy.wanted.spans or ()
            copy.in_file = bool(spans) and not (self._has_otlp and otlp.fits(copy.item.trace_id, spans))
            try:
                bodies += [(copy, otlp.request(spans))] if spans and not copy.in_file else []
            except ValueError:
                copy.in_file = True
        self._send_bodies(experiment_id, bodies)

    def _has_spans(self, copy: _Copy) -> bool:
        """Whether they are there: early MLflow 3 adds up the tokens of those that are sent again."""
        if copy.now is None or not self._is_amended(copy):
            return False
        with suppress(RequestRefused):
            there, wanted = self._source.complete(copy.now).spans or (), copy.wanted.spans or ()
            return {(span.span_id, span.end) for span in wanted} == {(span.span_id, span.end) for span in there}
        return False

    def _send_bodies(self, experiment_id: str, bodies: Sequence[tuple[_Copy, bytes]]) -> None:
        if not bodies:
            return
        headers = {"Content-Type": otlp.CONTENT_TYPE, "x-mlflow-experiment-id": experiment_id}
        try:  # messages one after the other are one message
            self._client.send("POST", OTLP, content=b"".join(body for _, body in bodies), headers=headers)
        except RequestRefused as error:
            self._has_otlp = not is_unknown(error)
            if len(bodies) == 1 or not self._has_otlp:
                for copy, _ in bodies:
                    copy.in_file = True
                return
            half = len(bodies) // 2
            self._send_bodies(experiment_id, bodies[:half])
            self._send_bodies(experiment_id, bodies[half:])

    def _write(self, copy: _Copy, source: EntitySource[Trace], progress: Progress) -> None:
        """Its info, then what needs its place."""
        now = copy.now.assessments if copy.now is not None else ()
        first, then = _in_turn(copy.wanted.assessments, now)
        tags = plain(copy.wanted).tags
        there = copy.now.tags if copy.now is not None else None
        is_native = copy.there is not None and copy.there.is_native
        own = {} if is_native else self._marks.of(copy.wanted.tags, there)
        ids = [one.assessment_id for one in copy.wanted.assessments]
        for id in {*self._marks.unassessed(there or {}, ids)} & {one.assessment_id for one in now}:
            self._client.send("DELETE", f"{_place(copy)}/assessments/{quote(id, safe='')}")
        own |= {} if is_native else self._marks.with_assessments(there or {}, ids)
        mark = {} if is_native else {COMPLETE: NOT_YET if _is_more(copy) else copy.mark}
        start = self._amend if self._is_amended(copy) else self._start
        then = [*start(copy, {**tags, **own, **mark}, first), *then]
        for key in self._marks.removed(copy.wanted.tags, there) if there is not None else ():
            self._change_tag("DELETE", copy, {"key": key})
        for assessment in then:
            try:
                self._assess(copy, assessment, {one.assessment_id for one in now})
            except RequestRefused as error:
                copy.problems.append(Problem("assessment", assessment.name, str(error)))
                copy.retry = copy.retry or may_pass(error)
        self._note_invalid(copy)
        if copy.in_file:
            content = span_documents.write_file(copy.item.trace_id, copy.wanted.spans or ())
            self._put(copy, span_documents.FILE, len(content), lambda: Stream(iter((content,)), len(content)))
        for file in copy.item.artifacts or () if self._options.artifacts else ():
            self._bring(copy, file, source, progress)
        self._link_prompts(copy)

    def _start(self, copy: _Copy, tags: Mapping[str, str], first: list[Assessment]) -> list[Assessment]:
        """Gives its info, and the assessments that remain: all where the server refuses it with them, as MLflow before
        3.11 does one that is an issue."""
        told = trace_wire.info(copy.wanted, tags, first)
        try:
            answer, left = self._client.post(f"{API3}/traces", {"trace": {"trace_info": told}}), []
        except RequestRefused:
            if not first:
                raise
            tags = {**tags, COMPLETE: NOT_YET} if COMPLETE in tags else tags
            told = trace_wire.info(copy.wanted, tags, ())
            answer, left = self._client.post(f"{API3}/traces", {"trace": {"trace_info": told}}), first
            copy.is_marked = False
        copy.location = str(part(part(part(answer, "trace"), "trace_info"), "tags").get(ARTIFACT_LOCATION, ""))
        return left

    def _is_amended(self, copy: _Copy) -> bool:
        """Whether its info cannot be given again: early MLflow 3 takes that once."""
        return copy.now is not None and self._source.is_before_batches

    def _amend(self, copy: _Copy, tags: Mapping[str, str], first: list[Assessment]) -> list[Assessment]:
        """Gives tags that differ, names what cannot be changed, and returns the assessments: all remain."""
        assert copy.now is not None
        for key, value in tags.items():
            if key != COMPLETE and copy.now.tags.get(key) != value:
                self._change_tag("PATCH", copy, {"key": key, "value": value})
        alike = replace(copy.wanted, tags={}, assessments=(), linked_runs=(), linked_prompts=(), spans=None)
        for change in TRACES.lacks(alike, copy.now):
            why = f"this version of MLflow cannot change it from “{change.new}”"
            copy.problems.append(Problem("field", change.field, why))
        copy.location, copy.is_marked = copy.now.tags.get(ARTIFACT_LOCATION, ""), False
        return first

    def _assess(self, copy: _Copy, one: Assessment, there: set[str]) -> None:
        """One that takes the place of another: that makes the other one invalid."""
        place = f"{_place(copy)}/assessments"
        if one.assessment_id in there:
            self._client.send("DELETE", f"{place}/{quote(one.assessment_id, safe='')}")
        self._client.post(place, {"assessment": trace_wire.assessment_document(copy.item.trace_id, one)}, retry=False)

    def _note_invalid(self, copy: _Copy) -> None:
        overridden = {one.overrides for one in copy.wanted.assessments}
        for one in copy.wanted.assessments:
            if not one.valid and one.assessment_id not in overridden:
                why = "it is not valid, and a server makes every new one valid"
                copy.problems.append(Problem("assessment", one.name, why))

    def _bring(self, copy: _Copy, file: ArtifactFile, source: EntitySource[Trace], progress: Progress) -> None:
        try:
            file.check()
            growing = Growing(EntityFiles(source, copy.item), file)
            growing.carry(
                lambda: self._put(
                    copy, growing.file.path, growing.file.size, lambda: Stream(growing.chunks(), growing.file.size)
                )
            )
            copy.sent.append(growing.file)
            progress.advance(bytes=growing.file.size)
        except ITEM_ERRORS as error:
            copy.problems.append(Problem("artifact", file.path, str(error)))
            copy.lacks_files, copy.retry = True, copy.retry or may_pass(error)

    def _put(self, copy: _Copy, path: str, size: int, opener: Any) -> None:
        self._files.write(Root(copy.item.trace_id, copy.location), path, size, opener)

    def _note_links(self, copies: Sequence[_Copy]) -> None:
        """Before MLflow 3.11 or so a server takes spans with links, and drops these."""
        with_links = [copy for copy in copies if any(span.links for span in copy.wanted.spans or ())]
        if with_links and self._keeps_links is None:
            with suppress(RequestRefused):
                there = self._source.complete(with_links[0].wanted)
                self._keeps_links = any(span.links for span in there.spans or ())
        for copy in with_links if self._keeps_links is False else ():
            copy.problems.append(Problem("links of spans", "links", "this version of MLflow does not keep them"))

    def _link(self, copies: Iterable[_Copy]) -> None:
        by_run: dict[str, list[_Copy]] = defaultdict(list)
        for copy in copies:
            for run_id in copy.item.linked_runs:
                there = self._resolve(RUNS, run_id)
                if there is None:
                    copy.problems.append(Problem("link", run_id, "the run is not in the target"))
                else:
                    by_run[there].append(copy)
        for run_id, some in by_run.items():
            for together in chunks(some, LINKS_A_REQUEST):
                body = {"trace_ids": [copy.item.trace_id for copy in together], "run_id": run_id}
                try:
                    self._client.post(f"{API}/traces/link-to-run", body)
                except ITEM_ERRORS as error:
                    for copy in together:
                        copy.problems.append(Problem("link", run_id, str(error)))
                        copy.retry = copy.retry or may_pass(error)

    def _link_prompts(self, copy: _Copy) -> None:
        versions = [name.rpartition("/") for name in copy.wanted.linked_prompts]
        if versions:
            told = [{"name": name, "version": version} for name, _, version in versions]
            try:
                body = {"trace_id": copy.item.trace_id, "prompt_versions": told}
                self._client.post(f"{API}/traces/link-prompts", body)
            except ITEM_ERRORS as error:
                copy.problems.append(Problem("link", ", ".join(copy.wanted.linked_prompts), str(error)))

    def _mark(self, copy: _Copy) -> None:
        """Last: it is whole, but for what the target cannot have."""
        is_native = copy.there is not None and copy.there.is_native
        if copy.error or copy.lacks_files or copy.retry or is_native:
            return
        if unfit_id(copy.item.trace_id) is None:
            self._change_tag("PATCH", copy, {"key": COMPLETE, "value": copy.mark})
        else:  # MLflow's routes do not find every id
            told = trace_wire.info(copy.wanted, {COMPLETE: copy.mark}, ())
            self._client.post(f"{API3}/traces", {"trace": {"trace_info": told}})

    def _change_tag(self, method: str, copy: _Copy, body: dict[str, str]) -> None:
        headers = {"Content-Type": "application/json"}
        place = _place(copy)
        if self._source.is_before_batches:  # MLflow 3.5 cannot delete any by the newer path
            place = place.replace(API3, API, 1)
        self._client.send(method, f"{place}/tags", content=orjson.dumps(body), headers=headers)


def fingerprint(item: Trace) -> str:
    """A hash (32 hex digits) of all that a search page tells of one, apart from where it lies."""
    document = plain(item).to_document()
    for name in ("experiment_id", "artifacts", "problems", "span_count", "span_digest"):
        del document[name]
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _rewritten(item: Trace, resolve: Resolve) -> Trace:
    there = TRACES.rewritten(item, resolve)
    if there is None:
        return item
    return there


def _place(copy: _Copy) -> str:
    """Its path."""
    return f"{API3}/traces/{quote(copy.item.trace_id, safe='')}"


def _weight(item: Trace) -> int:
    """Bytes of its attributes, about."""
    return sum(len(str(value)) for span in item.spans or () for value in span.attributes.values())


def _is_more(copy: _Copy) -> bool:
    """Whether anything comes after its info."""
    item = copy.wanted
    is_linked = item.linked_runs or item.linked_prompts or item.artifacts
    return bool(copy.in_file or is_linked or any(one.overrides or not one.valid for one in item.assessments))


def _in_turn(wanted: Sequence[Assessment], there: Sequence[Assessment]) -> tuple[list[Assessment], list[Assessment]]:
    """Those that come with the info, and those that take the place of others; not those that are there as they are."""
    known = {one.assessment_id: one for one in there}
    new = [one for one in wanted if not _is_there(one, known.get(one.assessment_id))]
    return [one for one in new if not one.overrides], [one for one in new if one.overrides]


def _is_there(one: Assessment, other: Assessment | None) -> bool:
    return other is not None and all(same_value(getattr(one, name), getattr(other, name)) for name in one.__slots__)
