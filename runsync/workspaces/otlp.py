"""Spans as servers take them by OTLP: an `ExportTraceServiceRequest` in protobuf.

Written without a library: it is five kinds of messages, whose numbers OpenTelemetry has promised to keep
(opentelemetry/proto/trace/v1/trace.proto), and every release of `protobuf` shuts out some of MLflow.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from runsync.kinds.spans import ERROR, OK, UNSET, Span, SpanEvent, SpanLink

CONTENT_TYPE = "application/x-protobuf"
_STATUSES = {UNSET: 0, OK: 1, ERROR: 2}
_KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_TRACE = "tr-"


def fits(trace_id: str, spans: Iterable[Span]) -> bool:
    """Whether a server would make the very trace of them: its id is that of OpenTelemetry."""
    return all(trace_id == f"{_TRACE}{span.otel_trace_id}" for span in spans)


def request(spans: Iterable[Span]) -> bytes:
    """All of them, of one experiment. Raises ValueError for what has no place in it."""
    return _bytes(1, _bytes(2, b"".join(_bytes(2, message(span)) for span in spans)))


def message(span: Span) -> bytes:
    """One. Raises ValueError likewise."""
    try:
        return b"".join(
            (
                _bytes(1, bytes.fromhex(span.otel_trace_id)),
                _bytes(2, bytes.fromhex(span.span_id)),
                _text(3, span.trace_state),
                _bytes(4, bytes.fromhex(span.parent_id)) if span.parent_id else b"",
                _text(5, span.name),
                _number(6, _KINDS.get(span.kind, 0)),
                _fixed(7, span.start),
                _fixed(8, span.end or 0),
                _attributes(9, span.attributes),
                *(_bytes(11, _event(event)) for event in span.events),
                *(_bytes(13, _link(link)) for link in span.links),
                _bytes(15, _text(2, span.status_message) + _number(3, _STATUSES[span.status])),
                b"" if not span.flags else _varint(16 << 3 | 5) + struct.pack("<I", span.flags),
            )
        )
    except (struct.error, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"span {span.span_id} cannot be sent: {error}") from None


def _event(event: SpanEvent) -> bytes:
    return _fixed(1, event.time) + _text(2, event.name) + _attributes(3, event.attributes)


def _link(link: SpanLink) -> bytes:
    trace_id = bytes.fromhex(link.trace_id.rpartition("/")[2].removeprefix(_TRACE))
    return _bytes(1, trace_id) + _bytes(2, bytes.fromhex(link.span_id)) + _attributes(4, link.attributes)


def _attributes(number: int, attributes: Mapping[str, Any]) -> bytes:
    return b"".join(_bytes(number, _pair(key, value)) for key, value in attributes.items())


def _pair(key: str, value: Any) -> bytes:
    return _text(1, key) + _bytes(2, _value(value))


def _value(value: Any) -> bytes:
    """A value without any field is null."""
    if value is None:
        return b""
    if isinstance(value, bool):
        return _varint(2 << 3) + _varint(int(value))
    if isinstance(value, str):
        return _bytes(1, value.encode())
    if isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise ValueError("a number of more than 64 bits cannot be sent")
        return _varint(3 << 3) + _varint(value & ((1 << 64) - 1))
    if isinstance(value, float):
        return _varint(4 << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, Mapping):
        return _bytes(6, _attributes(1, value))
    return _bytes(5, b"".join(_bytes(1, _value(each)) for each in value))


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode()) if text else b""


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _fixed(number: int, value: int) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<Q", value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
