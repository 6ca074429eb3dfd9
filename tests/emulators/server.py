"""A small HTTP/1.1 server on loopback: a thread a connection, kept alive, no waiting for small packets."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

MAX_BODY = 6 << 30
BODILESS = {204, 304}


@dataclass(frozen=True)
class Request:
    """One request as it came. Names of headers are in small letters; `target` is the raw path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    chunked: bool = False


@dataclass
class Reply:
    """One answer. `fate`: sent whole, `cut` in the middle, or `reset` (nothing is sent)."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fate: str = "sent"


Answer = Callable[[Request], Reply]


class Server:
    """Answers on a free port of 127.0.0.1 from `start` to `stop`."""

    def __init__(self, answer: Answer) -> None:
        self._server = _Sockets(answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Answers from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Closes every connection and the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()
        self._server.server_close()


class _Sockets(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: "socket.socket | tuple[bytes, socket.socket]", client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: "socket.socket | tuple[bytes, socket.socket]") -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def close_all(self) -> None:
        with self._lock:
            for each in list(self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    rbufsize = 1 << 16
    server: _Sockets

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            while self._one():
                pass

    def _one(self) -> bool:
        """Answers one request; tells whether another may follow."""
        line = self.rfile.readline(1 << 16)
        if not line.strip():
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(1 << 16)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        body = self._chunks() if chunked else self._exactly(int(headers.get("content-length", 0)))
        reply = self.server.answer(Request(method, target, headers, body, chunked))
        return self._send(method, reply) and headers.get("connection", "").lower() != "close"

    def _exactly(self, size: int) -> bytes:
        if not 0 <= size <= MAX_BODY:
            raise ConnectionError("absurd length")
        body = self.rfile.read(size) if size else b""
        if len(body) < size:
            raise ConnectionError("the body ended early")
        return body

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(1 << 10).split(b";")[0], 16):
            parts.append(self._exactly(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, method: str, reply: Reply) -> bool:
        if reply.fate == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lengths = {} if reply.status in BODILESS else {"Content-Length": str(len(reply.body))}
        head += [f"{name}: {value}" for name, value in (lengths | reply.headers).items()]
        raw = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        body = b"" if method == "HEAD" or reply.status in BODILESS else reply.body
        if reply.fate == "cut":
            self.request.sendall(raw + body[: len(body) // 2])
            return False
        if len(body) < 1 << 16:
            self.request.sendall(raw + body)
        else:
            self.request.sendall(raw)
            self.request.sendall(body)
        return True
