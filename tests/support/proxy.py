"""A forwarding proxy on loopback that makes faults by plan and remembers every request."""

import base64
import http.client
import json
import random
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, Self
from urllib.parse import urlsplit

from support.secrets import SEARCH

CHUNK = 64 * 1024
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"}


@dataclass(frozen=True)
class Action:
    """What happens to a request; made by the functions below."""

    name: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    number: float = 0
    victim: Callable[[], object] | None = None
    change: Callable[[Any], object] | None = None


def respond(status: int, *, retry_after: float | None = None, body: bytes = b"") -> Action:
    """Answers for the server, which never hears of it."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Action(f"respond {status}", status=status, headers=headers, body=body)


def refuse(status: int) -> Action:
    """Answers without reading the body, and closes the connection, as proxies refuse what is too large for them."""
    return Action(f"refuse {status}", status=status)


def drop() -> Action:
    """Closes the connection before the server hears of the request."""
    return Action("drop")


def drop_response() -> Action:
    """The server does what it was asked, and the client never hears so."""
    return Action("drop response")


def truncate(keep: int = 10) -> Action:
    """Closes the connection after the first `keep` bytes of the response body, which promised more."""
    return Action("truncate", number=keep)


def late(until: threading.Event) -> Action:
    """Closes the connection, and forwards the request once `until` is set: a request that was held up on the wire."""
    return Action("late", victim=lambda: until.wait(300))


def delay(seconds: float) -> Action:
    """Waits, then forwards."""
    return Action("delay", number=seconds)


def kill(victim: Callable[[], object]) -> Action:
    """Calls `victim` (say, `server.kill`) before the request is forwarded, then closes the connection."""
    return Action("kill", victim=victim)


def kill_after(victim: Callable[[], object]) -> Action:
    """Forwards the request, calls `victim` once the server has answered, then closes the connection."""
    return Action("kill after", victim=victim)


def rewrite(change: Callable[[Any], object]) -> Action:
    """Forwards the request, and changes the JSON document of the answer in place."""
    return Action("rewrite", change=change)


@dataclass
class Rule:
    """An action for requests whose method is `method` ("" is any) and whose path and query match `path`.

    The first `after` matches pass by, the next `count` (None: all) are met, each with `probability`. `of` looks at the
    body, where that is JSON.
    """

    action: Action
    path: str = ""
    method: str = ""
    after: int = 0
    count: int | None = 1
    probability: float = 1.0
    of: Callable[[bytes], bool] | None = None
    matched: int = 0
    fired: int = 0

    def fires(self, method: str, target: str, body: bytes, chance: random.Random) -> bool:
        """Whether the request meets the action; counts it."""
        if (self.method and self.method != method) or not re.search(self.path, target):
            return False
        if self.of is not None and not self.of(body):
            return False
        self.matched += 1
        if self.matched <= self.after or (self.count is not None and self.fired >= self.count):
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        self.fired += 1
        return True


@dataclass
class Request:
    """One request as it came. `status` is what the client was told; None is nothing, or a broken answer."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int | None = None
    forwarded: bool = False
    fault: str = ""
    body: bytes = b""


class FaultProxy:
    """Forwards to `upstream` while in a `with`; `url` is its own address and ends on `prefix`.

    With `keep_host` the server is told the host that the client asked for: S3 has it signed. One that does not welcome
    bodies leaves clients that ask first (`Expect: 100-continue`) waiting: S3's for a second.
    """

    def __init__(
        self,
        upstream: str,
        *rules: Rule,
        prefix: str = "",
        basic: tuple[str, str] | None = None,
        token: str | None = None,
        seed: int = 0,
        keep_host: bool = False,
        welcomes: bool = True,
    ) -> None:
        self.keep_host = keep_host
        self.welcomes = welcomes
        self.upstream = upstream.rstrip("/")
        self.prefix = prefix.rstrip("/")
        self.rules = list(rules)
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self.wanted = _authorization(basic, token)
        if basic:
            SEARCH.keep(basic[1], "the password that the proxy asks for")
        if token:
            SEARCH.keep(token, "the token that the proxy asks for")
        self.closing = threading.Event()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"

    def add(self, *rules: Rule) -> None:
        """More rules; of all that match a request the first one in order is met."""
        with self._lock:
            self.rules += rules

    def clear(self) -> None:
        """Forgets all rules and all requests."""
        with self._lock:
            self.rules.clear()
            self.requests.clear()

    def seen(self, path: str = "", method: str = "") -> list[Request]:
        """The requests whose path and query match, in order of arrival."""
        with self._lock:
            requests = list(self.requests)
        return [r for r in requests if method in ("", r.method) and re.search(path, f"{r.path}?{r.query}")]

    def count(self, path: str = "", method: str = "") -> int:
        """How many requests matched."""
        return len(self.seen(path, method))

    def admit(self, request: Request) -> Action | None:
        """Remembers a request and says what is to happen to it."""
        with self._lock:
            self.requests.append(request)
            target = f"{request.path}?{request.query}" if request.query else request.path
            rules = (rule for rule in self.rules if rule.fires(request.method, target, request.body, self._chance))
            rule = next(rules, None)
        if rule is None:
            return None
        request.fault = rule.action.name
        return rule.action

    def __enter__(self) -> Self:
        poll = {"poll_interval": 0.02}
        threading.Thread(target=self._server.serve_forever, kwargs=poll, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        assert not self.errors, f"the proxy itself failed: {self.errors!r}"


def _authorization(basic: tuple[str, str] | None, token: str | None) -> str | None:
    if basic:
        return "Basic " + base64.b64encode(":".join(basic).encode()).decode()
    return f"Bearer {token}" if token else None


class _Server(ThreadingHTTPServer):
    """One thread a client connection; `hang_up` ends those that clients still keep alive."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def keep(self, connection: socket.socket) -> None:
        """Takes note of a connection (a client's or to the server) that `hang_up` is to end."""
        self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        """The connection is closed."""
        self._open.discard(connection)

    def hang_up(self) -> None:
        """Ends every connection, so that no thread waits any more."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up at any time; anything else is a fault of the proxy."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError) and not self.proxy.closing.is_set():
            self.proxy.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = CHUNK
    server: _Server
    _content: bytes | None = None
    """The body, where it was read ahead."""

    def setup(self) -> None:
        super().setup()
        self.server.keep(self.connection)

    def finish(self) -> None:
        with suppress(ConnectionError, ValueError):
            super().finish()
        self.server.forget(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """The proxy has its own memory of requests."""

    def handle_expect_100(self) -> bool:
        is_welcome = super().handle_expect_100()
        if self.server.proxy.welcomes:
            self.wfile.flush()
        return is_welcome

    def handle_any(self) -> None:
        proxy = self.server.proxy
        path, _, query = self.path.partition("?")
        self._content = None
        if "json" in self.headers.get("Content-Type", ""):
            self._content = b"".join(self._request_body())
        request = Request(self.command, path, query, dict(self.headers.items()), body=self._content or b"")
        action = proxy.admit(request)
        if not path.startswith(proxy.prefix + "/"):
            self._answer(request, Action("prefix", 404, body=b"no such path"))
        elif proxy.wanted is not None and self.headers.get("Authorization") != proxy.wanted:
            self._answer(request, Action("credentials", 401, {"WWW-Authenticate": 'Basic realm="mlflow"'}))
        else:
            self._meet(request, action or Action("none"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    def _meet(self, request: Request, action: Action) -> None:
        if action.status:
            self._answer(request, action)
        elif action.name == "drop":
            self._hang_up()
        elif action.name == "late" and action.victim:
            self._content = b"".join(self._request_body())
            self._hang_up()
            action.victim()
            self._forward(request, drop_response())
        elif action.name == "kill" and action.victim:
            action.victim()
            self._hang_up()
        else:
            if action.name == "delay":
                self.server.proxy.closing.wait(action.number)
            self._forward(request, action)

    def _answer(self, request: Request, action: Action) -> None:
        # The body is read to its end, else the client may see a reset instead of the answer.
        for _ in () if action.name.startswith("refuse") else self._request_body():
            pass
        request.status = action.status
        self.send_response_only(action.status)
        for name, value in action.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(action.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(action.body)
        if action.name.startswith("refuse"):
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, request: Request, action: Action) -> None:
        upstream = urlsplit(self.server.proxy.upstream)
        # A connection a request: one that the server closed while idle would look like a fault.
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=300)
        try:
            connection.connect()
            self.server.keep(connection.sock)
            response = self._ask(connection, upstream.path + self.path[len(self.server.proxy.prefix) :])
            request.forwarded = True
            if action.name in ("drop response", "kill after"):
                response.read()
                if action.victim:
                    action.victim()
                self._hang_up()
            elif action.change is not None:
                document = json.loads(response.read())
                action.change(document)
                self._answer(request, Action(action.name, response.status, body=json.dumps(document).encode()))
            else:
                keep = int(action.number) if action.name == "truncate" else None
                self._relay(request, response, keep)
        except (OSError, http.client.HTTPException):
            self._hang_up()
        finally:
            if connection.sock:
                self.server.forget(connection.sock)
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, target: str) -> http.client.HTTPResponse:
        connection.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP and name.lower() not in ("host", "content-length"):
                connection.putheader(name, value)
        own = f"{connection.host}:{connection.port}"
        connection.putheader("Host", self.headers["Host"] if self.server.proxy.keep_host else own)
        connection.putheader("Connection", "close")
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in self.headers:
            connection.putheader("Content-Length", self.headers["Content-Length"])
        connection.endheaders()
        for chunk in self._request_body():
            connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            connection.send(b"0\r\n\r\n")
        return connection.getresponse()

    def _request_body(self) -> Iterator[bytes]:
        if self._content is not None:
            yield from filter(None, [self._content])
        elif "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield from _exactly(self.rfile, size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            yield from _exactly(self.rfile, int(self.headers.get("Content-Length", 0)))

    def _relay(self, request: Request, response: http.client.HTTPResponse, keep: int | None) -> None:
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        length = response.headers.get("Content-Length")
        request.status = response.status
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if length is None and not bodiless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if keep is not None:
            self._send(response.read(keep) if keep else b"", chunked=length is None)
            self.wfile.flush()
            self._hang_up()
        elif not bodiless:
            self._send_all(response, chunked=length is None)

    def _send_all(self, response: http.client.HTTPResponse, *, chunked: bool) -> None:
        while chunk := response.read(CHUNK):
            self._send(chunk, chunked=chunked)
        if response.length:  # the server died amid its answer, which http.client tells by an early end only
            self.wfile.flush()
            self._hang_up()
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, chunk: bytes, *, chunked: bool) -> None:
        if chunk:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)


def _exactly(stream: BufferedIOBase, size: int) -> Iterator[bytes]:
    """The next `size` bytes of a stream, in chunks. Raises ConnectionError when it ends before."""
    while size:
        chunk = stream.read(min(size, CHUNK))
        if not chunk:
            raise ConnectionError("the client hung up within its request")
        size -= len(chunk)
        yield chunk
