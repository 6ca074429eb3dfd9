"""The bodies of requests: bytes, or streams that are opened afresh for each try and read no faster than may be sent."""

import io
from collections.abc import Callable
from typing import Protocol

from runsync.limits import Limits

CHUNK = 1 << 20
"""Bytes that are read at a time."""


class Readable(Protocol):
    """As much of a file as an upload needs."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end."""

    def close(self) -> None:
        """Ends the reading."""


Opener = Callable[[], Readable]
Body = bytes | Opener
"""A request's body: bytes, or what opens it afresh for each try."""


class Paced:
    """A body that is read no faster than it may be sent."""

    @classmethod
    def of(cls, body: bytes | Readable, limits: Limits) -> "Paced":
        """Of bytes or of a stream."""
        return cls(io.BytesIO(body) if isinstance(body, bytes) else body, limits)

    def __init__(self, stream: Readable, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._most = max(16 * 1024, int(limits.upload / 10))

    def read(self, size: int = -1, /) -> bytes:
        """See `Readable`."""
        piece = self._stream.read(self._most if size < 0 else min(size, self._most))
        self._limits.sent(len(piece))
        return piece

    def close(self) -> None:
        """See `Readable`."""
        self._stream.close()
