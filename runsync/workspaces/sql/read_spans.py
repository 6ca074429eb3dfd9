"""Spans of traces, out of rows that hold them as JSON: as many traces at once as a few megabytes are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds import span_documents
from runsync.kinds.spans import Span, in_order
from runsync.model.run import Problem
from runsync.workspaces.direct.traces import FoundSpans
from runsync.workspaces.sql.address import SQLITE
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

AT_ONCE = 4 << 20
"""Bytes of documents that are read by one statement, unless one trace alone has more."""


def read_spans(part: Part, trace_ids: Sequence[str]) -> Iterator[tuple[str, FoundSpans]]:
    """See `TraceStore.spans`."""
    for some in parts(trace_ids):
        for together in _together(some, _sizes(part, some)):
            found = _read(part, together)
            yield from ((id, found.get(id, FoundSpans())) for id in together)


def _sizes(part: Part, trace_ids: Sequence[str]) -> Mapping[str, int]:
    """How large the documents of each trace are. It costs a database little to tell."""
    from sqlalchemy import func, select

    spans = part.table("spans")
    asked = select(spans.c.trace_id, func.sum(_bytes(part))).where(spans.c.trace_id.in_(trace_ids))
    rows: Any = part.all_rows(asked.group_by(spans.c.trace_id))
    return {id: int(size or 0) for id, size in rows}


def _bytes(part: Part) -> "ColumnElement[int]":
    from sqlalchemy import LargeBinary, cast, func

    content = part.table("spans").c.content
    if part.database.kind == SQLITE:
        return func.length(cast(content, LargeBinary))
    return func.octet_length(content)


def _together(trace_ids: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    some: list[str] = []
    total = 0
    for id in trace_ids:
        if some and total + sizes.get(id, 0) > AT_ONCE:
            yield some
            some, total = [], 0
        some.append(id)
        total += sizes.get(id, 0)
    if some:
        yield some


def _read(part: Part, trace_ids: Sequence[str]) -> Mapping[str, FoundSpans]:
    from sqlalchemy import select

    table = part.table("spans")
    asked = select(table.c.trace_id, table.c.span_id, table.c.content).where(table.c.trace_id.in_(trace_ids))
    spans: dict[str, list[Span]] = defaultdict(list)
    broken: dict[str, list[Problem]] = defaultdict(list)
    with_attachments = set()
    rows: Any = part.all_rows(asked)
    for trace_id, span_id, content in rows:
        if span_documents.names_attachments(content):
            with_attachments.add(trace_id)
        try:
            spans[trace_id].append(span_documents.read(content))
        except ValueError as error:
            broken[trace_id].append(Problem("span", span_id, str(error)))
    return {id: FoundSpans(in_order(spans[id]), tuple(broken[id]), id in with_attachments) for id in {*spans, *broken}}
