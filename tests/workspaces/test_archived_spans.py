"""Spans of archived traces: protobuf as OpenTelemetry writes it."""

import struct

import pytest

from runsync.kinds.spans import SpanEvent, SpanLink
from runsync.workspaces.archived_spans import read


def field(number: int, value: int | bytes | str) -> bytes:
    """A field of protobuf: a number as 64 bits, all else with its length (below 128)."""
    if isinstance(value, int):
        return bytes([number << 3 | 1]) + struct.pack("<Q", value)
    data = value.encode() if isinstance(value, str) else value
    tag = number << 3 | 2
    return (bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, 1])) + bytes([len(data)]) + data


def pair(key: str, value: bytes) -> bytes:
    return field(1, key) + field(2, value)


def test_spans_are_told_with_ids_times_attributes_events_and_links() -> None:
    minus_two = b"\x18" + b"\xfe" + b"\xff" * 8 + b"\x01"
    listed = field(5, field(1, field(1, "é")) + field(1, b""))
    event = field(1, 7) + field(2, "tick") + field(3, pair("n", minus_two))
    link = field(1, b"\xab" * 16) + field(2, b"\xcd" * 8)
    ids = field(1, b"\x01" * 16) + field(2, b"\x02" * 8) + field(4, b"\x03" * 8)
    span = ids + field(5, "tool") + field(7, 5) + field(8, 9) + field(9, pair("a", listed))
    span = span + field(11, event) + field(13, link) + field(15, field(2, "bad") + b"\x18\x02")
    whole = b"\x12" + bytes([len(span) & 127 | 128, len(span) >> 7]) + span
    scope = b"\x12" + bytes([len(whole) & 127 | 128, len(whole) >> 7]) + whole
    (found,) = read(b"\x0a" + bytes([len(scope) & 127 | 128, len(scope) >> 7]) + scope)
    assert (found.span_id, found.otel_trace_id, found.parent_id) == ("02" * 8, "01" * 16, "03" * 8)
    assert (found.start, found.end, found.status, found.status_message) == (5, 9, "ERROR", "bad")
    assert found.attributes == {"a": ["é", None]}
    assert found.events == (SpanEvent("tick", 7, {"n": -2}),)
    assert found.links == (SpanLink("tr-" + "ab" * 16, "cd" * 8),)


@pytest.mark.parametrize("data", [b"\x0a\xff", b"\x0a\x05ab", b"{}", b"\x0b", field(1, field(2, field(2, b"\x08")))])
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"protobuf|cut off|no id"):
        read(data)
