"""Traces of a server as a source: infos by search pages, spans for many at once, attachments."""

import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import replace
from heapq import merge
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import quote

import orjson

from runsync import threads
from runsync.contract.entities import Completed
from runsync.errors import RequestRefused
from runsync.kinds import push_traces, span_documents
from runsync.kinds.scope import Scope
from runsync.kinds.spans import Span
from runsync.kinds.trace_filter import SOURCE_RUN, sort_key
from runsync.kinds.traces import SPANS_LOCATION, TRACES, Trace
from runsync.model.fields import Order
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Problem
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import ODD, Json, listed, part
from runsync.workspaces.rest import trace_wire
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.listing import Listing
from runsync.workspaces.rest.search import chunks
from runsync.workspaces.rest.server import AJAX, API, API3

PAGE = 500
"""Traces of a search page (MLflow 3.17 gives no more)."""
EXPERIMENTS_A_SEARCH = 100
TOGETHER = 100
"""Traces whose spans are read by one request."""
BYTES_TOGETHER = 4 << 20
AHEAD = 8
"""Requests for spans that are on their way."""
ROWS = "TRACKING_STORE"
"""Where the spans of a trace are that can be read with those of others."""
ATTACHMENTS = "attachments/"
_SIZE = "mlflow.trace.sizeStats"
_NAMED = re.compile(r"mlflow-attachment://([0-9A-Za-z-]+)\?([^\"\\\s]*)")
_IN_BATCH = Care(is_optional=True, is_divisible=True, soon=1)


Ids = list[str]
Done = list[Completed[Trace]]
Spans = list[Span]


class TraceSource:
    """See `EntitySource`. `runs_of` gives the ids of all runs of some experiments."""

    is_exact = False

    def __init__(self, client: Client, runs_of: Callable[[Sequence[str]], Iterator[str]], workers: int = 8) -> None:
        self._client = client
        self._runs_of = runs_of
        self._workers = workers
        self._listing = Listing(client, TRACES, PAGE, lambda found: str(found.get("trace_id")))
        self._listing_of_2 = Listing(client, TRACES, PAGE, lambda found: str(found.get("request_id")))
        self._is_of_2: bool | None = None
        self.is_before_batches = False
        """Whether the server turned out to tell infos one by one only, as MLflow 3 did at first."""

    def list(self, scope: Scope) -> Iterator[Trace]:
        """With assessments, without spans; those that are named where no experiments are."""
        ids = [e.experiment_id for e in scope.experiments]
        if not ids:
            yield from self.named(sorted(scope.named(TRACES.name)))
            return
        wanted = scope.linked_runs if scope.linked_runs is not None else scope.run_ids
        linked: dict[str, Ids] | None = None
        choice = TRACES.choice(scope)
        where = push_traces.pushed(choice.expression) if choice is not None else ""
        for found in self.of_experiments(ids, where, scope.order):
            if linked is None:
                runs_asked = sorted(wanted) if wanted or scope.linked_runs is not None else list(self._runs_of(ids))
                linked = self._links(ids, runs_asked)
            runs = tuple(run for run in linked.get(found.trace_id, ()) if run != found.metadata.get(SOURCE_RUN))
            found = replace(found, linked_runs=runs)
            if TRACES.meant(found, scope) is not None:
                yield found

    def of_experiments(
        self, experiment_ids: Sequence[str], where: str = "", order: Sequence[Order] = ()
    ) -> Iterator[Trace]:
        """Those that match a filter, without links to runs, oldest first or in another order (one of numbers)."""
        some = list(chunks(list(experiment_ids), EXPERIMENTS_A_SEARCH))
        lists = (self._of_some(ids, where, order) for ids in some)
        return merge(*lists, key=sort_key(order)) if order and len(some) > 1 else chain.from_iterable(lists)

    def _of_some(self, experiment_ids: Sequence[str], where: str, order: Sequence[Order]) -> Iterator[Trace]:
        if self.has_api_of_2(experiment_ids):
            found = self._of_2(experiment_ids)
            return iter(sorted(found, key=sort_key(order))) if order else found
        asked = push_traces.orders(order) or ["timestamp_ms ASC"]
        body = {"locations": [*map(trace_wire.place, experiment_ids)], "order_by": asked}
        body |= {"filter": where} if where else {}

        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.post(f"{API3}/traces/search", {**body, **most}, care=care)

        return self._listing.each("traces", send, trace_wire.trace)

    def delete(self, experiment_id: str, trace_ids: Sequence[str]) -> None:
        """Some of an experiment, for good. Raises RequestRefused."""
        delete_traces(self._client, experiment_id, trace_ids)

    def infos(self, trace_ids: Sequence[str]) -> dict[str, Trace]:
        """Those of them that are there, wherever. Raises RequestRefused."""
        found: dict[str, Trace] = {}
        for some in chunks([*trace_ids], PAGE):
            try:
                answer = self._client.post(f"{API3}/traces/batchGetInfos", {"trace_ids": some})
            except RequestRefused as error:
                self.is_before_batches = is_unknown(error)
                raise
            found.update((one.trace_id, one) for one in map(trace_wire.trace, listed(answer, "trace_infos")))
        return found

    def named(self, trace_ids: Sequence[str]) -> Iterator[Trace]:
        """Those of them that are there, of servers too that tell infos one by one only."""
        try:
            found = {} if self.is_before_batches else self.infos(trace_ids)
            yield from found.values()
        except RequestRefused as error:
            if not is_unknown(error):
                raise
        if not self.is_before_batches:
            return
        for id in trace_ids:
            with suppress(RequestRefused):
                yield self._one(id)

    def _one(self, trace_id: str) -> Trace:
        path = quote(trace_id, safe="")
        try:
            answer = self._client.get(f"{API3}/traces/{path}", care=Care(is_optional=True))
            return trace_wire.trace(part(part(answer, "trace"), "trace_info"))
        except RequestRefused as error:
            if not is_unknown(error):
                raise
            answer = self._client.get(f"{API}/traces/{path}/info", care=Care(is_optional=True))
            return trace_wire.trace_of_2(part(answer, "trace_info"))

    def tells_rows(self) -> bool:
        """Whether the server tells spans that it keeps itself: MLflow 3.5 takes some by OTLP, and tells them nobody."""
        try:
            self._client.get(f"{API3}/traces/batchGet", care=Care(is_optional=True), trace_ids=["tr-0"])
        except RequestRefused as error:
            return not is_unknown(error)
        return True

    def complete(self, item: Trace) -> Trace:
        """With its spans and attachments, wherever the server keeps them. Raises RequestRefused."""
        try:
            asked = {"request_id": item.trace_id}
            data = b"".join(self._client.download(f"{AJAX}/get-trace-artifact", asked, f"spans of {item.trace_id}"))
            spans, broken = span_documents.read_file(data)
        except RequestRefused as error:
            if SPANS_LOCATION in item.tags or error.status not in _NOTHING:
                raise
            spans, broken = [], []  # its info is all there is
        except ValueError as error:
            raise RequestRefused(f"its spans: {error}") from None
        return _with(item, spans, tuple(Problem("span", name, why) for name, why in broken))

    def complete_many(self, items: Sequence[Trace], pool: Executor) -> Iterator[Completed[Trace]]:
        """See `EntitySource`: many by one request, and what that does not give one by one."""
        running: deque[Future[Done]] = deque()
        for some in _together(items):
            running.append(pool.submit(self._complete_some, some))
            if len(running) > AHEAD:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()

    def read(self, item: Trace) -> tuple[Trace, Iterator[bytes]]:
        """It has files."""
        return item, iter(())

    def read_file(self, item: Trace, file: ArtifactFile) -> Iterator[bytes]:
        """An attachment."""
        file.check()
        asked = {"request_id": item.trace_id, "path": file.path.removeprefix(ATTACHMENTS)}
        return self._client.download(f"{AJAX}/get-trace-artifact", asked, f"attachment “{file.path}”")

    @property
    def lacks_kind(self) -> bool:
        """See `MayLackTheKind`."""
        return self._listing.lacks_kind

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return [*self._listing.left(), *self._listing_of_2.left()]

    def has_api_of_2(self, experiment_ids: Sequence[str]) -> bool:
        """Whether it has no other way than that of MLflow 2."""
        if self._is_of_2 is None:
            body = {"locations": [trace_wire.place(experiment_ids[0])], "max_results": 1}
            self._is_of_2 = False
            try:
                self._client.post(f"{API3}/traces/search", body, care=Care(is_optional=True))
            except RequestRefused as error:
                self._is_of_2 = is_unknown(error)
        return self._is_of_2

    def _of_2(self, experiment_ids: Sequence[str]) -> Iterator[Trace]:
        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.get(f"{API}/traces", care=care, experiment_ids=list(experiment_ids), **most)

        return self._listing_of_2.each("traces", send, trace_wire.trace_of_2)

    def _links(self, experiment_ids: Sequence[str], run_ids: Sequence[str]) -> dict[str, Ids]:
        """Runs by the traces that a search for them finds: a trace does not tell them itself."""
        if self._is_of_2:
            return {}
        linked: dict[str, Ids] = defaultdict(list)

        def of_run(run_id: str) -> Ids:
            return [found.trace_id for found in self.of_experiments(experiment_ids, f"attributes.run_id = '{run_id}'")]

        with threads.pool(self._workers, "runsync-request") as pool:
            for run_id, found in zip(run_ids, pool.map(of_run, run_ids), strict=True):
                for trace_id in found:
                    linked[trace_id].append(run_id)
        return linked

    def _complete_some(self, items: Sequence[Trace]) -> Done:
        spans = self._spans([item.trace_id for item in items if item.tags.get(SPANS_LOCATION) == ROWS])
        done = []
        for item in items:
            try:
                found = spans.get(item.trace_id)
                done.append(Completed(self.complete(item) if found is None else _with(item, found)))
            except RequestRefused as error:
                done.append(Completed(item, error))
        return done

    def _spans(self, trace_ids: Sequence[str]) -> dict[str, Spans]:
        """Of those that can be had: one that the server cannot read fails the request for all, so it goes by halves."""
        if not trace_ids:
            return {}
        try:
            answer = self._client.get(f"{API3}/traces/batchGet", care=_IN_BATCH, trace_ids=list(trace_ids))
            found = listed(answer, "traces")
            return {one["trace_info"]["trace_id"]: [*map(trace_wire.span, listed(one, "spans"))] for one in found}
        except (RequestRefused, *ODD):
            if len(trace_ids) == 1:
                return {}
            half = len(trace_ids) // 2
            return {**self._spans(trace_ids[:half]), **self._spans(trace_ids[half:])}


def delete_traces(client: Client, experiment_id: str, trace_ids: Sequence[str]) -> None:
    """Some of an experiment, for good. Raises RequestRefused."""
    client.post(f"{API}/traces/delete-traces", {"experiment_id": experiment_id, "request_ids": list(trace_ids)})


_NOTHING = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR})
"""Statuses for a file that is not there, by where the artifacts lie."""


def _with(item: Trace, spans: Sequence[Span], problems: tuple[Problem, ...] = ()) -> Trace:
    return replace(item.with_spans(spans), artifacts=tuple(attachments(spans)), problems=problems)


def attachments(spans: Sequence[Span]) -> Iterator[ArtifactFile]:
    """Those that spans name, with their sizes."""
    found: dict[str, int] = {}
    for span in spans:
        text = json.dumps(dict(span.attributes))
        for id, query in _NAMED.findall(text) if "mlflow-attachment://" in text else ():
            size = re.search(r"size=(\d+)", query)
            found[id] = int(size[1]) if size else 0
    return (ArtifactFile(f"{ATTACHMENTS}{id}", size) for id, size in sorted(found.items()))


def _together(items: Sequence[Trace]) -> Iterator[list[Trace]]:
    """As many as one request may ask for, by the sizes that MLflow noted."""
    some: list[Trace] = []
    total = 0
    for item in items:
        size = _size(item)
        if some and (len(some) == TOGETHER or total + size > BYTES_TOGETHER):
            yield some
            some, total = [], 0
        some.append(item)
        total += size
    if some:
        yield some


def _size(item: Trace) -> int:
    """Bytes of its spans; 0 where they are not told."""
    try:
        return int(orjson.loads(item.metadata.get(_SIZE, "{}")).get("total_size_bytes", 0))
    except ODD:
        return 0
