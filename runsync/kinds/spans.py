"""Spans of traces: values, and how they stand in rows (Arrow, Parquet) that DuckDB can query."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

UNSET, OK, ERROR = "UNSET", "OK", "ERROR"
STATUSES = (UNSET, OK, ERROR)
TYPE = "mlflow.spanType"
"""The attribute with the type of a span, such as TOOL."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span; `time` is in epoch nanoseconds. Attributes are values of JSON."""

    name: str
    time: int
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link to a span of another trace, by MLflow's id of that trace (`tr-…`) and 16 hex digits."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace. `otel_trace_id` (32 hex digits) and `span_id`, `parent_id` (16; "" for none) are those of
    OpenTelemetry. Times are in epoch nanoseconds; `end` is None while it is running.

    `attributes` are values of JSON, NaN, Infinity and integers of any size among them; a store keeps each as JSON text.
    `kind` is OpenTelemetry's (`SPAN_KIND_CLIENT`), "" where the store does not keep it. `further` is whatever else the
    document of a store says, by name.
    """

    span_id: str
    otel_trace_id: str
    name: str = ""
    parent_id: str = ""
    start: int = 0
    end: int | None = None
    status: str = UNSET
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    kind: str = ""
    trace_state: str = ""
    flags: int = 0
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """What MLflow calls its type: TOOL, LLM; "" for none."""
        told = self.attributes.get(TYPE, "")
        return told if isinstance(told, str) else ""


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """As they stand in a trace: by their start, whatever the order in which a store tells them."""
    return tuple(sorted(spans, key=lambda span: (span.start, span.span_id)))


def digest(spans: Iterable[Span]) -> str:
    """SHA-256 (hex) of all that spans say."""
    running = hashlib.sha256()
    for span in spans:
        for value in _row(span):
            running.update(str(value).encode(errors="surrogatepass"))
            running.update(b"\0")
    return running.hexdigest()


def to_json(value: Any) -> str:
    """JSON text, in which NaN and Infinity stand as such. A text that is no Unicode stands in it escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


@cache
def schema() -> "pa.Schema":
    """The columns of rows. `attributes`, `events`, `links` and `further` are JSON text."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    texts = ("name", "kind", "type", "status", "status_message", "attributes", "events", "links", "otel_trace_id")
    return pa.schema(
        [
            pa.field("trace_id", text, nullable=False),
            pa.field("span_id", text, nullable=False),
            pa.field("parent_span_id", text),
            pa.field("start_ns", number, nullable=False),
            pa.field("end_ns", number),
            *(pa.field(name, text, nullable=False) for name in texts),
            pa.field("trace_state", text, nullable=False),
            pa.field("flags", number, nullable=False),
            pa.field("further", text, nullable=False),
        ]
    )


def to_rows(trace_id: str, spans: Iterable[Span]) -> "pa.RecordBatch":
    """The spans of a trace, in their order. Raises ValueError for what has no place in a row."""
    import pyarrow as pa

    columns = zip(*(_row(span) for span in spans), strict=True)
    arrays = [list(column) for column in columns]
    count = len(arrays[0]) if arrays else 0
    arrays = arrays or [[] for _ in schema().names[1:]]
    try:
        return pa.RecordBatch.from_pydict(
            dict(zip(schema().names, [[trace_id] * count, *arrays], strict=True)), schema=schema()
        )
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"its spans cannot be stored: {error}") from None


def from_rows(rows: "pa.Table") -> Iterator[Span]:
    """The reverse. Raises ValueError for a text that is no JSON of the right form."""
    for row in rows.to_pylist():
        try:
            yield _span(row)
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"span {row['span_id']}: {error}") from None


def _row(span: Span) -> tuple[Any, ...]:
    """In the order of the columns, from `span_id` on."""
    return (
        span.span_id,
        span.parent_id or None,
        span.start,
        span.end,
        span.name,
        span.kind,
        span.type,
        span.status,
        span.status_message,
        to_json(dict(span.attributes)),
        to_json(list(map(_event, span.events))) if span.events else "[]",
        to_json(list(map(_link, span.links))) if span.links else "[]",
        span.otel_trace_id,
        span.trace_state,
        span.flags,
        to_json(dict(span.further)) if span.further else "{}",
    )


def _event(event: SpanEvent) -> dict[str, Any]:
    return {"name": event.name, "time": event.time, "attributes": dict(event.attributes)}


def _link(link: SpanLink) -> dict[str, Any]:
    return {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": dict(link.attributes)}


def _span(row: Mapping[str, Any]) -> Span:
    return Span(
        span_id=row["span_id"],
        otel_trace_id=row["otel_trace_id"],
        name=row["name"],
        parent_id=row["parent_span_id"] or "",
        start=row["start_ns"],
        end=row["end_ns"],
        status=row["status"],
        status_message=row["status_message"],
        attributes=dict(json.loads(row["attributes"])),
        events=tuple(SpanEvent(**event) for event in json.loads(row["events"])),
        links=tuple(SpanLink(**link) for link in json.loads(row["links"])),
        kind=row["kind"],
        trace_state=row["trace_state"],
        flags=row["flags"],
        further=dict(json.loads(row["further"])),
    )
