"""One HTTP client for one server: kept-alive connections, retries, a pause for all when the server asks for one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import requests
from requests.adapters import BaseAdapter

from runsync.download import download
from runsync.errors import (
    UNAVAILABLE,
    AccessDenied,
    Interrupted,
    RequestRefused,
    TooMuch,
    WorkspaceError,
    WorkspaceUnreachable,
    WrongUsage,
)
from runsync.limits import UNLIMITED, Limits
from runsync.patience import Patience
from runsync.secrecy import strike
from runsync.threads import Stop
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.header import unsendable
from runsync.workspaces.http.answer import json_of, take
from runsync.workspaces.http.body import Body, Paced
from runsync.workspaces.http.care import NEEDED, SHORT_TIMEOUT, TOO_LARGE, Care, Tries, is_too_slow
from runsync.workspaces.http.download import HttpAnswer, HttpLine
from runsync.workspaces.http.identity import Identity
from runsync.workspaces.http.patience import (
    RETRIED,
    Pace,
)
from runsync.workspaces.http.policies import Call, Contact, Next, Policy, Renewal, Retry, Turns
from runsync.workspaces.http.session import session_for
from runsync.workspaces.http.trouble import BROKEN, proxy_for, tls_trouble, without_query

AT_ROOT = ("/api/", "/version", "/health")
ALWAYS_THERE = "/api/2.0/mlflow/experiments/search?max_results=1"
"""What every server has."""
TIMEOUT = (10.0, 300.0)
"""Seconds to connect, and for the next byte to come."""
FIRST_ANSWER = 15.0
"""Seconds in which somebody has to answer at all: then it is told who is waited for."""
LEAST_ANSWER = 5.0
"""Seconds in which somebody may answer for the first time, however little was to be waited."""
SIGN_OF_LIFE = 5.0
"""Seconds in which a server that failed is to answer anything at all."""
TIDYING = 5.0
"""Seconds that the end waits for what is half made to be taken away."""
LAST_WORDS = (2.0, 3.0)
"""Seconds to connect and to be answered in when everything is to end."""


class Client:
    """Requests to one server; safe for many threads.

    Counts `requests` sent. `close()` makes waiting and further requests raise Interrupted. `transport` takes
    the place of connections to the server.
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
        transport: BaseAdapter | None = None,
    ) -> None:
        self.url = url
        self.api_url = url
        """Where the paths of AT_ROOT are; `rest.server.meet` may find them elsewhere."""
        self.credentials = credentials
        self.patience = patience or Patience.from_environment()
        self.limits = limits
        self.timeout = TIMEOUT
        self.requests = 0
        self._session = session_for(url, credentials, connections)
        if transport is not None:
            for scheme in ("http://", "https://"):
                self._session.mount(scheme, transport)
        self.identity = identity
        """Who we are, where that is said by more than the credentials of plain servers."""
        self._session.auth = identity or self._session.auth
        self._count = threading.Lock()
        self._stopped = Stop()
        self._contact = Contact()
        turns = Turns(self.patience, pace, self._stopped)
        self._retry = Retry(url, self.patience, self._contact, turns, self._stopped, self._is_alive)
        self._policies: tuple[Policy, ...] = (turns, Renewal(identity), self._retry)
        self._half_made = 0
        self._tidied = threading.Condition()

    def set_header(self, name: str, value: str) -> None:
        """A header for every further request. Raises WrongUsage where it cannot be sent."""
        if fault := unsendable(name, value):
            raise WrongUsage(f"{self.url}: {fault}")
        self._session.headers[name] = value

    def close(self) -> None:
        """Stops all that waits, lets what is half made be taken away, and drops the connections."""
        self._stopped.set()
        with self._tidied:
            self._tidied.wait_for(lambda: not self._half_made, TIDYING)
        self._session.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._stopped.is_set()

    def pause(self, seconds: float) -> None:
        """Waits. Raises Interrupted once closed."""
        if self._stopped.wait(seconds):
            raise Interrupted("stopped")

    def get(self, path: str, /, *, care: Care = NEEDED, **parameters: Any) -> dict[str, Any]:
        """The JSON object that a GET answers with; see `send`."""
        return _document(self.send("GET", path, parameters=parameters, care=care), care)

    def post(self, path: str, body: Mapping[str, Any], retry: bool = True, *, care: Care = NEEDED) -> dict[str, Any]:
        """The JSON object that a POST answers with; see `send`."""
        content = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        return _document(self.send("POST", path, content=content, headers=headers, retry=retry, care=care), care)

    @contextmanager
    def half_made(self) -> Iterator[None]:
        """Around what is not to be left half made: `close`, in another thread, waits some seconds for its end."""
        with self._tidied:
            self._half_made += 1
        try:
            yield
        finally:
            with self._tidied:
                self._half_made -= 1
                self._tidied.notify_all()

    def clean_up(self, path: str, body: Mapping[str, Any]) -> None:
        """Posts what takes away something half made, once more also when closed; failures are passed over."""
        with suppress(WorkspaceError):
            try:
                self.post(path, body)
            except Interrupted:
                self._last(path, body)

    def _last(self, path: str, body: Mapping[str, Any]) -> None:
        with suppress(requests.RequestException, *BROKEN):
            headers = {"Content-Type": "application/json"}
            place = (self.api_url if path.startswith(AT_ROOT) else self.url) + path
            self._session.post(
                place, data=orjson.dumps(body), headers=headers, timeout=LAST_WORDS, allow_redirects=False, stream=True
            ).close()

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
        care: Care = NEEDED,
    ) -> requests.Response:
        """The response, when it is a success. Without `retry` it is sent again only where it surely was not done.

        Raises WorkspaceUnreachable (no answer within the patience, not MLflow), AccessDenied, RequestRefused, and
        Interrupted once closed. What is raised of a request that the caller can do without, or make smaller, `Care`
        tells.
        """
        call = Call(method, path, care, Tries(self.patience, care, retry))
        if self._is_awaited:
            call.tries.begin()
        while True:
            for policy in self._policies:
                policy.before(call)
            timeout = self._timeout(care, call.tries.left(0))
            call.response, call.problem = self._try(method, path, parameters, content, headers, stream, timeout)
            verdicts = (policy.after(call) for policy in self._policies)
            verdict = next(filter(None, verdicts))
            if verdict is Next.ANSWERED and call.response is not None:
                return self._checked(call.response, path, care.is_divisible)
            if verdict is Next.GIVEN_UP:
                return self._failed(call)

    def _failed(self, call: Call) -> requests.Response:
        """Raises what comes of a request that is not tried again."""
        tries, response, path, care, why = call.tries, call.response, call.path, call.care, call.why
        is_hopeless = self._retry.is_hopeless(call)
        message = why if response is None else f"{why}, {_complaint(response)[1]}".rstrip(", ")
        too_much = TooMuch(f"{self.url}{path}: {message}", call.status)
        if is_too_slow(care, response, call.problem):
            raise too_much
        is_alive = not is_hopeless and (response is None or care.is_short) and tries.sees(self._is_alive)
        if is_alive and care.is_divisible:
            raise too_much
        if response is not None and (is_alive or not care.is_optional):
            return self._checked(response, path)
        if is_alive:
            raise RequestRefused(f"{path}: the server broke the connection each time ({why})", 0, UNAVAILABLE)
        hint = "; --wait 5m waits for it" if is_hopeless else ""
        proxy = proxy_for(self.url)
        through, further = (f" through the proxy {proxy}", ", the proxy (or NO_PROXY)") if proxy else ("", "")
        raise WorkspaceUnreachable(
            f"{self.url} does not answer{through} ({why}); check the address{further} and that the server runs{hint}"
        )

    def download(self, path: str, parameters: Mapping[str, Any] | None = None, name: str = "") -> Iterator[bytes]:
        """The body of a GET in chunks of at most CHUNK bytes; see `runsync.download`. Errors call the file `name`."""

        def ask(further: Mapping[str, str]) -> HttpAnswer:
            headers = {"Accept-Encoding": "identity", **further}
            response = self.send("GET", path, parameters=parameters, headers=headers, stream=True)
            return HttpAnswer(response, unpacks=True)

        return download(ask, name or path, HttpLine(self))

    def _try(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None,
        content: Body,
        headers: Mapping[str, str] | None,
        stream: bool,
        timeout: tuple[float, float],
    ) -> tuple[requests.Response | None, Exception | None]:
        self.limits.request()
        with self._count:
            self.requests += 1
        body = content if isinstance(content, bytes) else content()
        if self.limits.upload and body:
            headers = {**(headers or {}), **({"Content-Length": str(len(body))} if isinstance(body, bytes) else {})}
            body = Paced.of(body, self.limits)
        try:
            response = self._session.request(
                method,
                (self.api_url if path.startswith(AT_ROOT) else self.url) + path,
                params=parameters,
                data=body,
                headers=headers,
                stream=True,
                timeout=timeout,
                allow_redirects=False,
            )
            self._contact.has_answered = True
            self._contact.is_waiting = self._contact.is_waiting and response.status_code in RETRIED
            if not stream or response.status_code >= 300:
                take(response)
            return response, None
        except requests.exceptions.SSLError as error:
            raise WorkspaceUnreachable(f"{self.url}: {tls_trouble(error)}") from None
        except BROKEN as error:
            return None, error
        except (requests.RequestException, UnicodeError) as error:
            raise RequestRefused(f"{self.url}{path}: the answer is not valid HTTP ({type(error).__name__})") from None
        finally:
            if not isinstance(body, bytes):
                body.close()

    @property
    def _is_awaited(self) -> bool:
        """Whether nobody has answered yet, and somebody said how long to wait."""
        return self.patience.is_asked and not self._contact.has_answered

    def _timeout(self, care: Care, left: float) -> tuple[float, float]:
        """Seconds to connect and to be answered in, with so many of patience left."""
        connect, read = self.timeout
        if self.patience.timeout is not None:
            return connect, self.patience.timeout
        if not self._contact.has_answered:
            read = min(read, FIRST_ANSWER)
        if self._is_awaited:
            most = max(LEAST_ANSWER, left)
            connect, read = min(connect, most), min(read, most)
        return connect, min(read, SHORT_TIMEOUT) if care.is_short else read

    def _is_alive(self) -> bool:
        """Whether it answers at all: what stands before it may not let us ask for its health."""
        for path in ("/health", ALWAYS_THERE):
            try:
                if self._answers(path):
                    return True
            except requests.Timeout:
                if self._is_awaited:  # it is silent, whatever it is asked
                    return False
        return False

    def _answers(self, path: str) -> bool:
        self.limits.request()
        url = self.api_url + path
        timeout = SIGN_OF_LIFE / 2 if self._is_awaited else SIGN_OF_LIFE
        try:
            with self._session.get(url, timeout=timeout, allow_redirects=False, stream=True) as response:
                return response.status_code < 500
        except requests.Timeout:
            raise
        except (requests.RequestException, *BROKEN):
            return False

    def _checked(self, response: requests.Response, path: str, is_divisible: bool = False) -> requests.Response:
        status = response.status_code
        if status < 300:
            return response
        if status < 400:
            raise RequestRefused(
                f"{self.url} redirects to {without_query(response.headers.get('Location', ''))}; "
                "use the server's own address, behind any login page, or name the headers that let you through it in "
                "runsync.toml",
                status,
            )
        code, message = _complaint(response)
        text = f"{self.url} answered {status} to {path}: {message or response.reason}"
        if status in (401, 403):
            raise AccessDenied(text, status, code)
        is_too_much = status in TOO_LARGE or (status == 400 and "max_results" in message)
        raise (TooMuch if is_divisible and is_too_much else RequestRefused)(text, status, code)


def _document(response: requests.Response, care: Care) -> dict[str, Any]:
    try:
        return json_of(response)
    except WorkspaceUnreachable as error:  # a login page, say
        if care.is_optional:
            raise RequestRefused(str(error), response.status_code) from None
        raise


def _complaint(response: requests.Response) -> tuple[str, str]:
    try:
        document = orjson.loads(response.content)
        code, message = (str(document.get(name) or "") for name in ("error_code", "message"))
        return code, strike(" ".join(message.split()))[:300]
    except (ValueError, AttributeError):
        is_plain = response.headers.get("Content-Type", "").startswith("text/plain")
        return "", " ".join(response.text.split()) if is_plain and len(response.content) < 200 else ""
