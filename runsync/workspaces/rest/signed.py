"""Large proxied artifacts: sent to and fetched from the storage behind the server, by addresses that it signs.

MLflow 3 does so where that storage can, and tells so in server-info (seen with 3.17). Whatever cannot go that way is
left to the server's proxy, which can carry all.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from runsync.errors import Interrupted, RequestRefused
from runsync.multipart import cut, part_size, send_parts
from runsync.workspaces.clouds.signed import bare_session, chunks
from runsync.workspaces.http import BROKEN, RETRIED, Client, Opener
from runsync.workspaces.rest.server import Server

MULTIPART = "/api/2.0/mlflow-artifacts/mpu"
PRESIGNED = "/api/2.0/mlflow-artifacts/presigned/"
LARGE = 64 << 20
"""Bytes from which on a file is worth the further requests."""
UPLOADS = 2
"""Files on their way in parts at a time: each holds some parts in memory."""
_UNABLE = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED}


class SignedAddresses:
    """Of one server. `notes` tells once of each way why it is not used any more."""

    def __init__(self, client: Client, server: Server, notes: list[str]) -> None:
        self._client = client
        self._uploads = server.signs_uploads
        self._downloads = server.signs_downloads
        self._notes = notes
        self._session = bare_session()
        self._lock = Lock()
        self._free = BoundedSemaphore(UPLOADS)

    def close(self) -> None:
        """Drops the connections."""
        self._session.close()

    def download(self, path: str, size: int) -> Iterator[bytes] | None:
        """The bytes of a file, by its path in the server's storage; None where the server must carry it.

        A connection that breaks is taken up where it broke, with an address signed anew.
        """
        if not self._downloads or size < LARGE:
            return None
        response = self._open(path, {})
        return None if response is None else chunks(self._client, response, lambda rest: self._open(path, rest))

    def upload(self, path: str, size: int, opener: Opener) -> bool:
        """Sends a file; False where the server must carry it. Raises what the source raises."""
        if not self._uploads or size < LARGE:
            return False
        try:
            with self._free, self._client.half_made():
                try:
                    self._send(path, size, opener)
                except _Expired:
                    self._send(path, size, opener)
        except _Unable as error:
            if error.is_lasting:
                self._uploads = False
                self._note(f"uploads in parts, which the server offers, do not work ({error})")
            return False
        return True

    def _send(self, path: str, size: int, opener: Opener) -> None:
        folder, _, name = path.rpartition("/")
        part = part_size(size)
        count = -(-size // part)
        try:
            made = self._client.post(f"{MULTIPART}/create/{quote(folder)}", {"path": name, "num_parts": count})
        except RequestRefused as error:
            raise _Unable(str(error), error.status in _UNABLE) from None
        addresses = {int(told["part_number"]): told for told in made.get("credentials", ())}
        upload = {"path": name, "upload_id": made.get("upload_id", "")}

        def send(number: int, content: bytes) -> dict[str, Any]:
            etag = self._put(addresses[number], content)
            return {"part_number": number, "url": addresses[number]["url"], "etag": etag}

        try:
            if len(addresses) != count:
                raise _Unable(f"{len(addresses)} addresses for {count} parts", True)
            with closing(opener()) as stream:
                parts = send_parts(cut(stream.read, size, part), send)
            self._complete(folder, {**upload, "parts": parts})
        except BaseException:
            self._client.clean_up(f"{MULTIPART}/abort/{quote(folder)}", upload)
            raise

    def _complete(self, folder: str, body: Mapping[str, Any]) -> None:
        try:
            self._client.post(f"{MULTIPART}/complete/{quote(folder)}", body)
        except RequestRefused as error:
            raise _Unable(str(error), False) from None

    def _put(self, address: Mapping[str, Any], content: bytes) -> str:
        """Sends one part, again when that fails; gives its ETag. Raises _Expired, _Unable."""
        failures = 0
        while True:
            try:
                response = self._request("PUT", address, data=content)
            except BROKEN as error:
                problem = f"{_host(address['url'])}: {type(error).__name__}"
            else:
                if response.ok:
                    self._client.limits.sent(len(content))
                    return response.headers.get("ETag", "")
                problem = f"{_host(address['url'])} answered {response.status_code}"
                if response.status_code == HTTPStatus.FORBIDDEN:
                    raise _Expired(problem, True)
                if response.status_code not in RETRIED:
                    raise _Unable(problem, True)
            failures += 1
            if failures >= self._client.patience.tries:
                raise _Unable(problem, True)
            self._client.pause(self._client.patience.delay(failures))

    def _open(self, path: str, headers: Mapping[str, str]) -> requests.Response | None:
        """A response whose body is the file (from where `headers` say); None where there is none to be had."""
        try:
            told = self._client.get(PRESIGNED + quote(path))
        except RequestRefused as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                self._give_up_downloads(str(error))
            return None
        if not told.get("url"):
            return None
        try:
            response = self._request("GET", told, headers={"Accept-Encoding": "identity", **headers}, stream=True)
        except BROKEN as error:
            if not headers:
                self._give_up_downloads(f"{_host(told['url'])}: {type(error).__name__}")
            return None
        if response.status_code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return response
        response.close()
        return None

    def _request(
        self, method: str, address: Mapping[str, Any], headers: Mapping[str, str] | None = None, **options: Any
    ) -> requests.Response:
        self._client.limits.request()
        if self._client.is_closed:
            raise Interrupted("stopped")
        url = address["url"]
        return self._session.request(
            method,
            url,
            headers={**(address.get("headers") or {}), **(headers or {})},
            timeout=self._client.timeout,
            proxies=requests.utils.get_environ_proxies(url),
            allow_redirects=False,
            **options,
        )

    def _give_up_downloads(self, why: str) -> None:
        self._downloads = False
        self._note(f"downloads at signed addresses, which the server offers, do not work ({why})")

    def _note(self, text: str) -> None:
        note = f"{text}: large artifacts go through the server"
        with self._lock:
            if note not in self._notes:
                self._notes.append(note)


class _Unable(Exception):
    """The server must carry it; `is_lasting`: all others too."""

    def __init__(self, message: str, is_lasting: bool) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class _Expired(_Unable):
    """A signed address was refused: it may have been too old."""


def _host(url: str) -> str:
    """Of a signed address, which as a whole is a secret."""
    return urlsplit(url).netloc
