"""Reading answers, none of which is trusted: bounds on their length and depth, and on how slowly they may come."""

import http.client
import io
import json
import math
import socket
import ssl
import time
from typing import Any

import orjson
import requests
import urllib3
from urllib3.util.ssltransport import SSLTransport

from runsync.download import Progress
from runsync.errors import AnswerTooLong, Interrupted, WorkspaceUnreachable
from runsync.threads import Stop
from runsync.workspaces.http.body import CHUNK

LONGEST = 128 << 20
"""Bytes of a document, unpacked."""
MOST_PIECES = 200_000
"""In which a document may come: each costs time, however small it is."""
LONGEST_COMPLAINT = 64 << 10
"""Bytes of an error that are read."""
SLICE = 0.5
"""Seconds between two looks at whether to stop."""
LONGEST_HEADERS = 1 << 20
"""Bytes before a body begins, interim answers included."""


class Response(http.client.HTTPResponse):
    """An answer whose headers have an end, and which makes progress: see `download.Progress`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._raw = _Raw(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._raw)

    def begin(self) -> None:
        """Reads the headers."""
        self._raw.most = LONGEST_HEADERS
        super().begin()
        self._raw.most = None

    def _read_and_discard_trailer(self) -> None:
        for _ in range(100):
            if self.fp.readline(CHUNK).strip() == b"":
                return
        raise http.client.HTTPException("got more than 100 trailers")


class _Raw(io.RawIOBase):
    """What comes from a socket. How long it takes to begin is the business of its timeout.

    A thread that waits for it raises Interrupted once the transfer that it belongs to was stopped.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self.most: int | None = None
        self._raw = raw
        self._sock = sock
        self._stopped = Stop()
        self._progress: Progress | None = None
        self._came = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._progress is None:
            self._progress = Progress()
            count = self._next(buffer)
        else:
            count = self._progress.watch(lambda: self._next(buffer), int)
        self._came += count
        if self.most is not None and self._came > self.most:
            raise http.client.HTTPException(f"got more than {self.most} bytes of headers")
        return count

    def _next(self, buffer: Any) -> int:
        is_there = _has_decrypted(self._sock)
        until = time.monotonic() + (self._sock.gettimeout() or math.inf)
        while not is_there:
            left = until - time.monotonic()
            is_there = urllib3.util.wait.wait_for_read(self._sock, max(0, min(left, SLICE)))
            if not is_there and self._stopped.is_set():
                raise Interrupted("stopped")
            if not is_there and left <= 0:
                raise TimeoutError("timed out")
        return int(self._raw.readinto(buffer) or 0)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _has_decrypted(sock: socket.socket | SSLTransport) -> bool:
    """Whether bytes that the socket itself no longer has wait in a layer above it."""
    if isinstance(sock, SSLTransport):  # TLS within TLS: what was read ahead may be encrypted still
        return bool(sock.sslobj.pending() or sock.incoming.pending)
    return isinstance(sock, ssl.SSLSocket) and bool(sock.pending())


def take(response: requests.Response) -> None:
    """Reads the body of an answer whole; of an error, its beginning. Raises AnswerTooLong, and what reading raises."""
    most = LONGEST if response.status_code < 300 else LONGEST_COMPLAINT
    pieces: list[bytes] = []
    size = 0
    while size <= most and len(pieces) <= MOST_PIECES and (piece := response.raw.read1(CHUNK, decode_content=True)):
        pieces.append(piece)
        size += len(piece)
    if size > most or len(pieces) > MOST_PIECES:
        response.close()
        if response.status_code < 300:
            raise AnswerTooLong(
                f"{_place(response)} answered with more than {LONGEST >> 20} MiB or {MOST_PIECES:,} pieces: "
                "MLflow's API does not send that; check what is running at that address"
            )
    response._content = b"".join(pieces)
    response._content_consumed = True  # type: ignore[attr-defined]


def json_of(response: requests.Response) -> dict[str, Any]:
    """The JSON object of a response. Raises WorkspaceUnreachable when it is none."""
    document = _parsed(response.content)
    if not isinstance(document, dict):
        raise WorkspaceUnreachable(f"{_place(response)} answered with something that is not MLflow's API")
    return document


def _parsed(content: bytes) -> object:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        document = json.loads(content)  # get-history-bulk answers with a bare NaN
        orjson.dumps(document)  # which lets through neither half characters nor endless nesting
    except (ValueError, TypeError, RecursionError):
        return None
    return document


def _place(response: requests.Response) -> str:
    return response.url.split("?")[0]
