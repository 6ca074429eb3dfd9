"""Spans as MLflow itself writes them: a JSON document each, as a row of its databases or in the file `traces.json`.

Attributes are JSON text within it, ids base64 (in MLflow 3.5 hexadecimal); MLflow 2 wrote other names.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from runsync.kinds.spans import ERROR, OK, UNSET, Span, SpanEvent, SpanLink

FILE = "traces.json"
"""Below the artifacts of a trace."""
REQUEST_ID = "mlflow.traceRequestId"
"""The attribute with MLflow's id of the trace, which every span of a document must have."""
_ATTACHMENT = "mlflow-attachment://"
_STATUS = "STATUS_CODE_"
_STATUSES = (UNSET, OK, ERROR)
_KNOWN = frozenset(
    (
        *("trace_id", "span_id", "parent_span_id", "name", "start_time_unix_nano", "end_time_unix_nano", "events"),
        *("status", "attributes", "links", "kind"),
    )
)
_KNOWN_OF_2 = frozenset(
    (
        *("name", "context", "parent_id", "start_time", "end_time", "status_code", "status_message", "attributes"),
        *("events", "links", "span_type"),
    )
)


def read(text: str | bytes) -> Span:
    """A span of the text of its document. Raises ValueError."""
    return of_document(_parsed(text))


def read_file(data: bytes) -> tuple[list[Span], list[tuple[str, str]]]:
    """The spans of a file `traces.json`, and which of them are broken (by name) and why. Raises ValueError for what is
    no such file."""
    document = _parsed(data)
    told = document.get("spans") if isinstance(document, dict) else None
    if not isinstance(told, list):
        raise ValueError("it has no list of spans")
    spans, broken = [], []
    for number, span in enumerate(told, 1):
        try:
            spans.append(of_document(span))
        except ValueError as error:
            broken.append((f"number {number} of {FILE}", str(error)))
    return spans, broken


def names_attachments(text: str | bytes) -> bool:
    """Whether a document (or a file of them) has a link to an attachment of its trace."""
    return _ATTACHMENT in text if isinstance(text, str) else _ATTACHMENT.encode() in text


def of_document(document: Any) -> Span:
    """Raises ValueError."""
    try:
        return _of_2(document) if "context" in document else _of_3(document)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not as MLflow writes spans ({type(error).__name__}: {error})") from None


def write(trace_id: str, span: Span, *, ascii_only: bool = False) -> str:
    """The text of the document of a span, of the trace with this id of MLflow."""
    text = json.dumps(to_document(trace_id, span), ensure_ascii=ascii_only)
    return text if ascii_only or _is_unicode(text) else write(trace_id, span, ascii_only=True)


def write_file(trace_id: str, spans: Iterable[Span]) -> bytes:
    """The reverse of `read_file`."""
    return b'{"spans": [%s]}' % b", ".join(write(trace_id, span).encode() for span in spans)


def to_document(trace_id: str, span: Span) -> dict[str, Any]:
    """As MLflow 3 writes it."""
    attributes = dict(span.attributes)
    attributes.setdefault(REQUEST_ID, trace_id)
    return {
        "trace_id": _base64(span.otel_trace_id),
        "span_id": _base64(span.span_id),
        "parent_span_id": _base64(span.parent_id) if span.parent_id else None,
        "name": span.name,
        "start_time_unix_nano": span.start,
        "end_time_unix_nano": span.end,
        "events": [
            {"name": event.name, "time_unix_nano": event.time, "attributes": dict(event.attributes)}
            for event in span.events
        ],
        "status": {"code": _STATUS + span.status, "message": span.status_message},
        "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        "links": [
            {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": dict(link.attributes) or None}
            for link in span.links
        ],
        **({"kind": span.kind} if span.kind else {}),
        **span.further,
    }


def _of_3(document: Mapping[str, Any]) -> Span:
    status = document.get("status") or {}
    return Span(
        span_id=_id(document["span_id"], 16),
        otel_trace_id=_id(document["trace_id"], 32),
        name=_text(document["name"]),
        parent_id=_id(document["parent_span_id"], 16) if document.get("parent_span_id") else "",
        start=int(document["start_time_unix_nano"]),
        end=int(document["end_time_unix_nano"]) if document.get("end_time_unix_nano") else None,
        status=_status(status.get("code")),
        status_message=_text(status.get("message")),
        attributes=_attributes(document.get("attributes")),
        events=tuple(_event(event, "time_unix_nano") for event in document.get("events") or ()),
        links=_links(document),
        kind=_text(document.get("kind")),
        further={name: value for name, value in document.items() if name not in _KNOWN},
    )


def _of_2(document: Mapping[str, Any]) -> Span:
    return Span(
        span_id=_id(document["context"]["span_id"], 16),
        otel_trace_id=_id(document["context"]["trace_id"], 32),
        name=_text(document["name"]),
        parent_id=_id(document["parent_id"], 16) if document.get("parent_id") else "",
        start=int(document["start_time"]),
        end=int(document["end_time"]) if document.get("end_time") else None,
        status=_status(document.get("status_code")),
        status_message=_text(document.get("status_message")),
        attributes=_attributes(document.get("attributes")),
        events=tuple(_event(event, "timestamp") for event in document.get("events") or ()),
        links=_links(document),
        further={name: value for name, value in document.items() if name not in _KNOWN_OF_2},
    )


def _attributes(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Each value is JSON text; what is none is taken as it is, as MLflow does."""
    return {key: _value(value) for key, value in (told or {}).items()}


def _value(told: Any) -> Any:
    try:
        return json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        return told


def _event(told: Mapping[str, Any], time: str) -> SpanEvent:
    return SpanEvent(_text(told["name"]), int(told[time]), dict(told.get("attributes") or {}))


def _links(document: Mapping[str, Any]) -> tuple[SpanLink, ...]:
    return tuple(
        SpanLink(_text(link["trace_id"]), _text(link["span_id"]), dict(link.get("attributes") or {}))
        for link in document.get("links") or ()
    )


def _status(told: Any) -> str:
    code = _text(told).removeprefix(_STATUS)
    return code if code in _STATUSES else UNSET


def _text(told: Any) -> str:
    return "" if told is None else str(told)


def _id(told: str, digits: int) -> str:
    """Hexadecimal digits of what stands as base64, as hexadecimal digits, or (MLflow 2) as `0x…`."""
    plain = told.rpartition("/")[2] if told.startswith("trace:/") else told
    plain = plain.removeprefix("tr-").removeprefix("0x")
    if plain != told or len(plain) == digits:
        return f"{int(plain, 16):0{digits}x}"
    try:
        return base64.b64decode(told, validate=True).hex().zfill(digits)
    except binascii.Error:
        raise ValueError(f"{told!r} is no id") from None


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
