"""Spans of an archived trace: `traces.pb`, a `TracesData` of OpenTelemetry as protobuf, as MLflow 3.13 writes it.

Read without a library: field numbers are those of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto.
"""

import base64
import struct
from collections.abc import Iterator
from typing import Any

from runsync.kinds.spans import ERROR, OK, UNSET, Span, SpanEvent, SpanLink

FILE = "traces.pb"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STATUSES = {0: UNSET, 1: OK, 2: ERROR}
_KINDS = {
    2: "SPAN_KIND_SERVER",
    3: "SPAN_KIND_CLIENT",
    4: "SPAN_KIND_PRODUCER",
    5: "SPAN_KIND_CONSUMER",
}
"""INTERNAL is what MLflow gives to all, as the kind that nobody told."""
_DEEPEST = 100
Field = tuple[int, Any]


def read(data: bytes) -> list[Span]:
    """Raises ValueError for what is no such file."""
    try:
        return [_span(span) for resource in _all(data, 1) for scope in _all(resource, 2) for span in _all(scope, 2)]
    except (IndexError, struct.error, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no OpenTelemetry protobuf ({error})") from None


def _span(data: bytes) -> Span:
    one = dict(_fields(data))
    status = dict(_fields(one.get(15, b"")))
    kind = one.get(6, 0)
    if not one.get(1) or not one.get(2):
        raise ValueError("a span has no id")
    return Span(
        span_id=one[2].hex(),
        otel_trace_id=one[1].hex(),
        name=_text(one.get(5)),
        parent_id=one.get(4, b"").hex(),
        start=one.get(7, 0),
        end=one.get(8) or None,
        status=_STATUSES.get(status.get(3, 0), UNSET),
        status_message=_text(status.get(2)),
        attributes=_attributes(_all(data, 9)),
        events=tuple(map(_event, _all(data, 11))),
        links=tuple(map(_link, _all(data, 13))),
        kind=_KINDS.get(kind, ""),
        trace_state=_text(one.get(3)),
    )


def _event(data: bytes) -> SpanEvent:
    one = dict(_fields(data))
    return SpanEvent(_text(one.get(2)), one.get(1, 0), _attributes(_all(data, 3)))


def _link(data: bytes) -> SpanLink:
    one = dict(_fields(data))
    return SpanLink(f"tr-{one.get(1, b'').hex()}", one.get(2, b"").hex(), _attributes(_all(data, 4)))


def _attributes(pairs: Iterator[bytes], depth: int = 0) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        one = dict(_fields(pair))
        found[_text(one.get(1))] = _value(one.get(2, b""), depth + 1)
    return found


def _value(data: bytes, depth: int) -> Any:
    """A value without any field is null."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    for number, told in _fields(data):
        if number == 1:
            return _text(told)
        if number == 2:
            return bool(told)
        if number == 3:
            return told - (1 << 64) if told >= 1 << 63 else told
        if number == 4:
            return struct.unpack("<d", struct.pack("<Q", told))[0]
        if number == 5:
            return [_value(each, depth + 1) for each in _all(told, 1)]
        if number == 6:
            return _attributes(_all(told, 1), depth)
        if number == 7:
            return base64.b64encode(told).decode()
    return None


def _all(data: bytes, number: int) -> Iterator[bytes]:
    """The messages that a field repeats."""
    return (told for found, told in _fields(data) if found == number and isinstance(told, bytes))


def _fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, form = tag >> 3, tag & 7
        if form == _VARINT:
            told, at = _varint(data, at)
            yield number, told
        elif form == _FIXED64:
            yield number, struct.unpack_from("<Q", data, at)[0]
            at += 8
        elif form == _BYTES:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("it is cut off")
            yield number, data[at : at + size]
            at += size
        elif form == _FIXED32:
            yield number, struct.unpack_from("<I", data, at)[0]
            at += 4
        else:
            raise ValueError("it is no protobuf")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("it is no protobuf")


def _text(told: bytes | None) -> str:
    return "" if told is None else told.decode()
