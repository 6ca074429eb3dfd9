"""Traces into the database, with all that hangs off them, and all that MLflow keeps besides so that it finds them."""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds import span_documents
from runsync.kinds.assessments import Assessment
from runsync.kinds.spans import Span
from runsync.kinds.traces import ARCHIVE_LOCATION, ARTIFACT_LOCATION, SPANS_LOCATION, Trace
from runsync.model.times import now
from runsync.workspaces.direct.traces import ROWS, TraceWrite
from runsync.workspaces.sql import trace_analytics
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.rollups import queue_rebuilds
from runsync.workspaces.sql.room import Room
from runsync.workspaces.sql.traces import PROMPT, RUN, TRACE
from runsync.workspaces.sql.upsert import in_order

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

Row = dict[str, Any]


class TraceWriter:
    """Writes into one MLflow workspace. `content` and `name` are what the columns of spans take."""

    def __init__(self, part: Part, content: Room, name: Room) -> None:
        self._part = part
        self._content = content
        self._name = name
        self._has_columns = "session_id" in part.table("trace_info").c
        self._has_rows = part.has("spans")

    def write(self, connection: "Connection", writes: Sequence[TraceWrite]) -> None:
        """See `TraceStore.write`."""
        part, info = self._part, self._part.table("trace_info")
        new = [self._info(one.item) for one in writes if one.there is None]
        if new:
            connection.execute(info.insert(), new)
        part.update(connection, info, ("request_id",), [self._info(one.item) for one in writes if one.there])
        self._texts(connection, writes)
        if not self._has_columns and part.has("trace_metrics"):
            metrics = list(self._metrics([one.item for one in writes]))
            part.upsert(connection, part.table("trace_metrics"), ("request_id", "key"), metrics, ("value",))
        if self._has_rows:
            self._spans(connection, [one.item for one in writes if one.item.spans is not None])
        if part.has("assessments"):
            self._assessments(connection, writes)
        if part.has("entity_associations"):
            self._links(connection, [one.item for one in writes])
        queue_rebuilds(part, connection, [one.item for one in writes])

    def _info(self, item: Trace) -> Row:
        row = {
            "request_id": item.trace_id,
            "experiment_id": int(item.experiment_id),
            "timestamp_ms": item.request_time,
            "execution_time_ms": item.execution_duration,
            "status": item.state,
            "client_request_id": item.client_request_id,
            "request_preview": item.request_preview,
            "response_preview": item.response_preview,
            **trace_analytics.to_columns(item.metadata, item.tags.get(trace_analytics.TRACE_NAME)),
        }
        table = self._part.table("trace_info")
        return {name: value for name, value in row.items() if name in table.c}

    def _texts(self, connection: "Connection", writes: Sequence[TraceWrite]) -> None:
        """Tags and metadata, but for what is in columns."""
        kept = {trace_analytics.TRACE_NAME, *trace_analytics.PROMOTED} if self._has_columns else set()
        columns = ("request_id", "key")
        for name, texts in (
            ("trace_tags", [self._tags(one) for one in writes]),
            ("trace_request_metadata", [one.item.metadata for one in writes]),
        ):
            rows = [
                {"request_id": one.item.trace_id, "key": key, "value": value}
                for one, some in zip(writes, texts, strict=True)
                for key, value in in_order(some)
                if key not in kept
            ]
            self._part.upsert(connection, self._part.table(name), columns, rows, ("value",))
        gone = [{"request_id": one.item.trace_id, "key": key} for one in writes for key in one.untagged]
        self._part.delete(connection, self._part.table("trace_tags"), columns, gone)

    def _tags(self, one: TraceWrite) -> dict[str, str]:
        places = {ARTIFACT_LOCATION: one.location} if one.location else {}
        if one.item.spans and self._has_rows:
            places[SPANS_LOCATION] = ROWS
        return {key: value for key, value in one.item.tags.items() if key != ARCHIVE_LOCATION} | places

    def _spans(self, connection: "Connection", items: Sequence[Trace]) -> None:
        table = self._part.table("spans")
        _delete(connection, table, "trace_id", [item.trace_id for item in items])
        spans = [(item, span) for item in items for span in item.spans or ()]
        if not spans:
            return
        connection.execute(table.insert(), [self._span(table, item, span) for item, span in spans])
        metrics = [
            {"trace_id": item.trace_id, "span_id": span.span_id, "key": key, "value": value}
            for item, span in (spans if not self._has_columns and self._part.has("span_metrics") else ())
            for key, value in trace_analytics.span_metrics(span).items()
        ]
        if metrics:
            connection.execute(self._part.table("span_metrics").insert(), metrics)

    def _span(self, table: "Table", item: Trace, span: Span) -> Row:
        row = {
            "trace_id": item.trace_id,
            "experiment_id": int(item.experiment_id),
            "span_id": span.span_id,
            "parent_span_id": span.parent_id or None,
            "name": self._name.nearest(span.name),
            "type": span.type or None,
            "status": span.status,
            "start_time_unix_nano": span.start,
            "end_time_unix_nano": span.end,
            "content": self._document(item.trace_id, span),
            **trace_analytics.of_span(span),
        }
        if "dimension_attributes" in table.c:
            row["dimension_attributes"] = trace_analytics.dimensions(span)
        return {name: value for name, value in row.items() if name in table.c}

    def _document(self, trace_id: str, span: Span) -> str:
        """With escapes where the database lacks characters."""
        text = span_documents.write(trace_id, span)
        return text if self._content.has_all_of(text) else span_documents.write(trace_id, span, ascii_only=True)

    def _assessments(self, connection: "Connection", writes: Sequence[TraceWrite]) -> None:
        table = self._part.table("assessments")
        gone = [{"assessment_id": id} for one in writes for id in one.unassessed]
        self._part.delete(connection, table, ("assessment_id",), gone)
        rows = [self._assessment(table, one.item, each) for one in writes for each in one.item.assessments]
        if rows:
            updated = [name for name in rows[0] if name != "assessment_id"]
            self._part.upsert(connection, table, ("assessment_id",), rows, updated)

    def _assessment(self, table: "Table", item: Trace, one: Assessment) -> Row:
        number, is_numeric = trace_analytics.aggregate(one.value)
        row = {
            "assessment_id": one.assessment_id,
            "trace_id": item.trace_id,
            "name": one.name,
            "assessment_type": one.type,
            **assessment_texts(one),
            "created_timestamp": one.created_at,
            "last_updated_timestamp": one.updated_at,
            "source_type": one.source_type,
            "source_id": one.source_id or None,
            "run_id": one.run_id or None,
            "span_id": one.span_id or None,
            "overrides": one.overrides or None,
            "valid": one.valid,
            "experiment_id": int(item.experiment_id),
            "trace_timestamp_ms": item.request_time,
            "aggregate_value": number,
            "is_numeric_value": is_numeric,
        }
        return {name: value for name, value in row.items() if name in table.c}

    def _links(self, connection: "Connection", items: Sequence[Trace]) -> None:
        table = self._part.table("entity_associations")
        rows = [
            {
                "association_id": uuid.uuid4().hex,
                "source_type": TRACE,
                "source_id": item.trace_id,
                "destination_type": what,
                "destination_id": other,
                "created_time": now(),
            }
            for item in items
            for what, others in ((RUN, item.linked_runs), (PROMPT, item.linked_prompts))
            for other in others
        ]
        self._part.upsert(
            connection, table, ("source_type", "source_id", "destination_type", "destination_id"), rows, ()
        )

    def _metrics(self, items: Sequence[Trace]) -> Iterator[Row]:
        for item in items:
            for key, value in trace_analytics.trace_metrics(item.metadata).items():
                yield {"request_id": item.trace_id, "key": key, "value": value}


def delete_traces(part: Part, connection: "Connection", trace_ids: Collection[str]) -> None:
    """See `TraceStore.delete`. What hangs off them goes with them (`ON DELETE CASCADE`)."""
    from sqlalchemy import bindparam, text

    ids = sorted(trace_ids)
    _delete(connection, part.table("trace_info"), "request_id", ids)
    if "review_queue_items" in part.schema.names:  # MLflow takes them off by itself: there is no foreign key
        gone = text("DELETE FROM review_queue_items WHERE item_type = 'TRACE' AND item_id IN :ids")
        for some in parts(ids):
            connection.execute(gone.bindparams(bindparam("ids", list(some), expanding=True)))


def assessment_texts(one: Assessment) -> dict[str, str | None]:
    """Its columns of any length."""
    return {
        "value": json.dumps(one.value),
        "error": None if one.error is None else json.dumps(_error(one)),
        "rationale": one.rationale,
        "assessment_metadata": json.dumps(dict(one.metadata)) if one.metadata else None,
    }


def _delete(connection: "Connection", table: "Table", column: str, ids: Sequence[str]) -> None:
    for some in parts(ids):
        connection.execute(table.delete().where(table.c[column].in_(some)))


def _error(one: Assessment) -> Mapping[str, str | None]:
    assert one.error is not None
    told = {"error_code": one.error.code, "error_message": one.error.message or None}
    return {**told, "stack_trace": one.error.stack_trace or None}
