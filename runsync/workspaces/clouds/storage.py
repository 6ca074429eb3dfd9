"""Requests to the storage of a cloud at signed addresses: without our own credentials, renewed when they expire."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import requests

from runsync.download import download
from runsync.errors import Interrupted, RequestRefused
from runsync.workspaces.clouds.credential import Credential, Pass
from runsync.workspaces.clouds.signed import bare_session, check
from runsync.workspaces.http import BROKEN, LAST_WORDS, RETRIED, Body, Client, HttpAnswer, HttpLine, Paced, take

RENEWALS = 3
"""Of one request: a fresh address that is refused was not refused for its age."""
CONNECTIONS = 128
"""Kept alive with one host: those beyond are opened anew for each request."""
_AGED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Storage:
    """Sends to and fetches from the clouds behind one workspace. Counts `requests`. Safe for many threads."""

    def __init__(self, client: Client) -> None:
        self.requests = 0
        self._client = client
        self._session = bare_session(CONNECTIONS)
        self._count = threading.Lock()

    def close(self) -> None:
        """Drops the connections."""
        self._session.close()

    def send(
        self,
        given: Pass,
        method: str,
        content: Body = b"",
        size: int = 0,
        *,
        query: Mapping[str, str] | None = None,
        headers: Callable[[Mapping[str, str]], dict[str, str]] = dict,
        stream: bool = False,
    ) -> requests.Response:
        """A response that is a success.

        `query` is added to the address; `headers` makes those to be sent of those that came with it. A body that is no
        bytes has `size` bytes. Raises RequestRefused, and what the body's source raises.
        """
        failures = renewals = 0
        while True:
            credential = given.credential
            place = urlsplit(credential.url).hostname
            try:
                response = self._once(credential, method, content, size, query, headers, stream)
                if _is_success(response):
                    return response
                with response:
                    problem, status = f"answered {response.status_code}{_code(response)}", response.status_code
            except BROKEN as error:
                problem, status = type(error).__name__, 0
            except (requests.RequestException, UnicodeError) as error:  # its text has the whole address
                raise RequestRefused(f"{place}: no address to ask ({type(error).__name__})") from None
            if status in _AGED and renewals < RENEWALS:
                renewals += 1
                given.renew(credential)
                continue
            failures += 1
            if (status and status not in RETRIED) or failures >= self._client.patience.tries:
                raise RequestRefused(f"{place}: {problem} ({method} of an artifact)", status)
            self._client.pause(self._client.patience.delay(failures))

    def download(self, given: Pass) -> Iterator[bytes]:
        """The bytes of a file, as they are stored; see `runsync.download`. A fresh address is asked for if need be."""

        def ask(further: Mapping[str, str]) -> HttpAnswer:
            headers = partial(_with, {"Accept-Encoding": "identity", **further})
            return HttpAnswer(self.send(given, "GET", headers=headers, stream=True), unpacks=False)

        yield from download(ask, f"a file at {urlsplit(given.credential.url).hostname}", HttpLine(self._client))

    def half_made(self) -> AbstractContextManager[None]:
        """See `Client.half_made`."""
        return self._client.half_made()

    def abandon(self, credential: Credential) -> None:
        """Deletes at an address what is not to be finished, also when all else is stopped; failures are passed over."""
        given = Pass(credential, lambda: credential)
        with suppress(RequestRefused):
            try:
                self.send(given, "DELETE")
            except Interrupted:
                self._last(credential)

    def _last(self, credential: Credential) -> None:
        with suppress(requests.RequestException, *BROKEN):
            self._session.delete(
                credential.url,
                headers=dict(credential.headers),
                timeout=LAST_WORDS,
                proxies=requests.utils.get_environ_proxies(credential.url),
                allow_redirects=False,
                stream=True,
            ).close()

    def _once(
        self,
        credential: Credential,
        method: str,
        content: Body,
        size: int,
        query: Mapping[str, str] | None,
        headers: Callable[[Mapping[str, str]], dict[str, str]],
        stream: bool,
    ) -> requests.Response:
        check(credential.url, self._client.url)
        self._client.limits.request()
        if self._client.is_closed:
            raise Interrupted("stopped")
        with self._count:
            self.requests += 1
        sent = headers(credential.headers)
        body = content if isinstance(content, bytes) else content()
        if body and not isinstance(body, bytes):
            sent["Content-Length"] = str(size)
        if body and self._client.limits.upload:
            sent["Content-Length"] = str(len(body) if isinstance(body, bytes) else size)
            body = Paced.of(body, self._client.limits)
        url = credential.url
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query)
        try:
            response = self._session.request(
                method,
                url,
                data=body,
                headers=sent,
                timeout=self._client.timeout,
                proxies=requests.utils.get_environ_proxies(url),
                allow_redirects=False,
                stream=True,
            )
            if not stream or not _is_success(response):
                take(response)
            return response
        finally:
            if not isinstance(body, bytes):
                body.close()


def _is_success(response: requests.Response) -> bool:
    """A redirect is none: storage is where its address says."""
    return response.status_code < 300


def _with(further: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    return {**told, **further}


def _code(response: requests.Response) -> str:
    """The error code in the XML that clouds answer with."""
    text = response.text[:2000]
    _, sign, rest = text.partition("<Code>")
    return f" {rest.partition('</Code>')[0]}" if sign else ""
