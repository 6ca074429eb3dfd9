"""One HTTP client for one server: kept-alive connections, retries, a pause for all when the server asks for one."""

import email.utils
import io
import json
import logging
import math
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from runsync.errors import AccessDenied, Interrupted, RequestRefused, WorkspaceUnreachable, WrongUsage
from runsync.model.limits import UNLIMITED, Limits
from runsync.version import VERSION
from runsync.workspaces.credentials import Credentials

LOG = logging.getLogger("runsync")
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
ASKS_FOR_PAUSE = frozenset({429, 503})
CHUNK = 1 << 20
AT_ROOT = ("/api/", "/version", "/health")
LONGEST_RETRY_AFTER = 300.0

BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.HTTPError,
)


class Identity(Protocol):
    """Says who we are on each request, where that changes: a token that expires, a signature."""

    kind: str
    """In what way."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds what lets a request in (see `requests.auth.AuthBase`)."""

    def renew(self, response: requests.Response) -> bool:
        """After an answer: whether it is a refusal after which another try makes sense. May raise AccessDenied."""


class Pace(Protocol):
    """When requests may go, where that depends on what they ask for."""

    def take(self, method: str, path: str, stopped: threading.Event) -> None:
        """Waits until this request may be sent, or until `stopped`."""

    def refused(self, method: str, path: str, retry_after: float | None) -> bool:
        """Told of an answer 429: the next `take` waits longer. Whether patience has reason to go on."""

    def granted(self, method: str, path: str) -> None:
        """Told of any other answer."""


class Readable(Protocol):
    """As much of a file as an upload needs."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; b"" at the end."""

    def close(self) -> None:
        """Ends the reading."""


Opener = Callable[[], Readable]
Body = bytes | Opener
"""A request's body: bytes, or what opens it afresh for each try."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on when a server fails. `seconds` bounds a request with all its tries after the first
    failure; `tries` bounds failures that waiting seldom mends (HTTP 500, a connection that breaks while the
    server is otherwise well)."""

    seconds: float = 60.0
    tries: int = 5
    first_delay: float = 0.2
    longest_delay: float = 10.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Patience":
        """`RUNSYNC_PATIENCE` in seconds, where it is set. Raises WrongUsage when it is no number."""
        text = environ.get("RUNSYNC_PATIENCE", "")
        if not text:
            return cls()
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < math.inf:
            raise WrongUsage(f"RUNSYNC_PATIENCE is a number of seconds, not “{text}”")
        return cls(seconds)

    def delay(self, failures: int) -> float:
        """Seconds before the next try: exponential, half of it random."""
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


class _QuickAck:
    """Re-arms TCP_QUICKACK before each response.

    MLflow's default server (uvicorn with several workers) sends head and body of a response apart, without
    TCP_NODELAY: the kernel's delayed ACK would cost 40 ms a request.
    """

    sock: socket.socket | None

    def getresponse(self) -> Any:
        if self.sock is not None and hasattr(socket, "TCP_QUICKACK"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().getresponse()  # type: ignore[misc]


class _HTTPConnection(_QuickAck, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_QuickAck, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, blocksize=CHUNK)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def _session(url: str, credentials: Credentials, connections: int) -> requests.Session:
    session = requests.Session()
    adapter = _Adapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # The environment is read once: requests would look for proxies and a .netrc at every request.
    session.proxies = requests.utils.get_environ_proxies(url)
    session.trust_env = False
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.verify = not credentials.insecure_tls and (credentials.server_cert_path or bundle)
    session.cert = credentials.client_cert_path or None
    if credentials.token:
        session.headers["Authorization"] = f"Bearer {credentials.token}"
    elif credentials.username:
        session.auth = HTTPBasicAuth(credentials.username.encode(), credentials.password.encode())
    session.headers["User-Agent"] = f"runsync/{VERSION}"
    session.headers["Accept-Encoding"] = "gzip"
    return session


class Client:
    """Requests to one server; safe for many threads.

    Counts `requests` sent. `close()` makes waiting and further requests raise Interrupted.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        connections: int = 16,
        patience: Patience | None = None,
        limits: Limits = UNLIMITED,
        identity: Identity | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.url = url
        self.api_url = url
        """Where the paths of AT_ROOT are; `rest.server.meet` may find them elsewhere."""
        self.credentials = credentials
        self.patience = patience or Patience.from_environment()
        self.limits = limits
        self.timeout = (10.0, 300.0)
        self.requests = 0
        self._session = _session(url, credentials, connections)
        self._identity = identity
        self._session.auth = identity or self._session.auth
        self._pace = pace
        self._count = threading.Lock()
        self._not_before = 0.0
        self._stopped = threading.Event()

    def set_header(self, name: str, value: str) -> None:
        """A header for every further request."""
        self._session.headers[name] = value

    def close(self) -> None:
        """Stops all that waits, and drops the connections."""
        self._stopped.set()
        self._session.close()

    @property
    def has_identity(self) -> bool:
        """Whether who we are is said by more than the credentials of plain servers."""
        return self._identity is not None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopped.is_set()

    def pause(self, seconds: float) -> None:
        """Waits. Raises Interrupted once closed."""
        if self._stopped.wait(seconds):
            raise Interrupted("stopped")

    def get(self, path: str, /, **parameters: Any) -> dict[str, Any]:
        """The JSON object that a GET answers with."""
        return json_of(self.send("GET", path, parameters=parameters))

    def post(self, path: str, body: Mapping[str, Any], retry: bool = True) -> dict[str, Any]:
        """The JSON object that a POST answers with; with `retry` off, one try only."""
        content = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        return json_of(self.send("POST", path, content=content, headers=headers, retry=retry))

    def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        content: Body = b"",
        headers: Mapping[str, str] | None = None,
        retry: bool = True,
        stream: bool = False,
    ) -> requests.Response:
        """The response, when it is a success.

        Raises WorkspaceUnreachable (no answer within the patience, not MLflow), AccessDenied, RequestRefused, and
        Interrupted once closed.
        """
        failures = 0
        deadline = 0.0
        renewed = False
        while True:
            self._wait_turn(method, path)
            response, problem = self._try(method, path, parameters, content, headers, stream)
            if response is not None and self._pace is not None and response.status_code != 429:
                self._pace.granted(method, path)
            if response is not None and response.status_code not in RETRIED:
                if self._identity and self._identity.renew(response) and not renewed:
                    renewed = True
                    continue
                return self._checked(response, path)
            if response is not None and self._is_paced(response, method, path):
                deadline = 0.0
                continue
            failures += 1
            deadline = deadline or time.monotonic() + self.patience.seconds
            delay = self._delay(response, failures)
            over = not retry or time.monotonic() + delay > deadline
            if response is not None and (over or (failures >= self.patience.tries and response.status_code == 500)):
                return self._checked(response, path)
            if response is None and (over or failures >= self.patience.tries) and (self._is_alive() or over):
                self._give_up(problem, path)
            told = response.status_code if response is not None else _cause(problem)
            LOG.warning("%s %s%s: %s; again in %.1f s", method, self.url, path.partition("?")[0], told, delay)
            self._stopped.wait(delay)

    def download(self, path: str, parameters: Mapping[str, Any] | None = None) -> Iterator[bytes]:
        """The body of a GET in chunks of at most CHUNK bytes; a broken connection is taken up where it broke."""
        received = 0
        failures = 0
        while True:
            headers = {"Accept-Encoding": "identity"}
            if received:
                headers["Range"] = f"bytes={received}-"
            response = self.send("GET", path, parameters=parameters, headers=headers, stream=True)
            skip = received if response.status_code != 206 else 0
            try:
                while chunk := response.raw.read1(CHUNK, decode_content=True):
                    if self._stopped.is_set():
                        raise Interrupted("stopped")
                    fresh = chunk[skip:]
                    skip = max(0, skip - len(chunk))
                    if fresh:
                        self.limits.received(len(fresh))
                        received += len(fresh)
                        failures = 0
                        yield fresh
                return
            except BROKEN as error:
                failures += 1
                if failures >= self.patience.tries:
                    raise RequestRefused(
                        f"{path}: the connection breaks after {received} bytes ({_cause(error)})"
                    ) from None
                LOG.warning("%s%s: broke after %d bytes: %s", self.url, path.partition("?")[0], received, _cause(error))
                self._stopped.wait(self.patience.delay(failures))
            finally:
                response.close()

    def _try(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None,
        content: Body,
        headers: Mapping[str, str] | None,
        stream: bool,
    ) -> tuple[requests.Response | None, Exception | None]:
        self.limits.request()
        with self._count:
            self.requests += 1
        body = content if isinstance(content, bytes) else content()
        if self.limits.upload and body:
            headers = {**(headers or {}), **({"Content-Length": str(len(body))} if isinstance(body, bytes) else {})}
            body = Paced.of(body, self.limits)
        try:
            return (
                self._session.request(
                    method,
                    (self.api_url if path.startswith(AT_ROOT) else self.url) + path,
                    params=parameters,
                    data=body,
                    headers=headers,
                    stream=stream,
                    timeout=self.timeout,
                    allow_redirects=False,
                ),
                None,
            )
        except requests.exceptions.SSLError as error:
            raise WorkspaceUnreachable(f"{self.url}: {_tls_trouble(error)}") from None
        except BROKEN as error:
            return None, error
        finally:
            if not isinstance(body, bytes):
                body.close()

    def _wait_turn(self, method: str, path: str) -> None:
        while not self._stopped.is_set() and (pause := self._not_before - time.monotonic()) > 0:
            self._stopped.wait(pause)
        if self._pace is not None:
            self._pace.take(method, path, self._stopped)
        if self._stopped.is_set():
            raise Interrupted("stopped")

    def _is_paced(self, response: requests.Response, method: str, path: str) -> bool:
        """Whether the pace has taken up an answer 429, and others get through."""
        if self._pace is None or response.status_code != 429:
            return False
        asked = _retry_after(response.headers.get("Retry-After", ""))
        return self._pace.refused(method, path, None if asked is None else min(asked, LONGEST_RETRY_AFTER))

    def _delay(self, response: requests.Response | None, failures: int) -> float:
        delay = self.patience.delay(failures)
        if response is not None and response.status_code in ASKS_FOR_PAUSE:
            asked = _retry_after(response.headers.get("Retry-After", ""))
            if asked is not None:
                delay = min(asked, LONGEST_RETRY_AFTER)
            self._not_before = max(self._not_before, time.monotonic() + delay)
        return delay

    def _is_alive(self) -> bool:
        self.limits.request()
        try:
            return self._session.get(self.api_url + "/health", timeout=5, allow_redirects=False).status_code < 500
        except BROKEN:
            return False

    def _give_up(self, problem: Exception | None, path: str) -> None:
        cause = _cause(problem)
        if self._is_alive():
            raise RequestRefused(f"{path}: the server broke the connection each time ({cause})")
        raise WorkspaceUnreachable(f"{self.url} does not answer ({cause}); check the address and that the server runs")

    def _checked(self, response: requests.Response, path: str) -> requests.Response:
        status = response.status_code
        if status < 300:
            return response
        if status < 400:
            raise WorkspaceUnreachable(
                f"{self.url} redirects to {_without_query(response.headers.get('Location', ''))}; "
                "use the server's own address, behind any login page"
            )
        code, message = _complaint(response)
        text = f"{self.url} answered {status} to {path}: {message or response.reason}"
        if status in (401, 403):
            raise AccessDenied(text, status, code)
        raise RequestRefused(text, status, code)


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


def json_of(response: requests.Response) -> dict[str, Any]:
    """The JSON object of a response. Raises WorkspaceUnreachable when it is none."""
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        try:
            document = json.loads(response.content)  # get-history-bulk answers with a bare NaN
        except ValueError:
            document = None
    if not isinstance(document, dict):
        raise WorkspaceUnreachable(f"{response.url.split('?')[0]} answered with something that is not MLflow's API")
    return document


def _complaint(response: requests.Response) -> tuple[str, str]:
    try:
        document = orjson.loads(response.content)
        return str(document.get("error_code", "")), " ".join(str(document.get("message", "")).split())[:300]
    except (ValueError, AttributeError):
        is_plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return "", " ".join(response.text.split()) if is_plain and len(response.content) < 200 else ""


def _retry_after(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _without_query(url: str) -> str:
    return url.split("?")[0].split("@")[-1] or "another page"


def _tls_trouble(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "the TLS certificate was not accepted; name its authority with MLFLOW_TRACKING_SERVER_CERT_PATH "
            "or server_cert_path"
        )
    return "no TLS connection could be made; is it a server for http:// ?"


def _cause(error: BaseException | None) -> str:
    """The innermost plain cause of a chain of wrapped network errors."""
    text = str(error)
    for sign, plain in (
        ("NameResolutionError", "no such host"),
        ("Connection refused", "connection refused"),
        ("Connection reset", "connection reset"),
        ("RemoteDisconnected", "it closed the connection without an answer"),
        ("IncompleteRead", "it closed the connection amid the answer"),
        ("timed out", "timed out"),
    ):
        if sign in text:
            return plain
    return type(error).__name__
