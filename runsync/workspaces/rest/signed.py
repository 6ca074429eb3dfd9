"""Large proxied artifacts: sent to and fetched from the storage behind the server, by addresses that it signs.

MLflow 3 does so where that storage can, and tells so in server-info (seen with 3.17). Whatever cannot go that way is
left to the server's proxy, which can carry all.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import quote

from runsync.download import begun
from runsync.errors import RequestRefused
from runsync.model.wording import many
from runsync.multipart import cut, part_size, send_parts
from runsync.workspaces.clouds.credential import AWS, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Client, Opener
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
        self._storage = Storage(client)
        self._lock = Lock()
        self._free = BoundedSemaphore(UPLOADS)

    def close(self) -> None:
        """Drops the connections."""
        self._storage.close()

    def download(self, path: str, size: int) -> Iterator[bytes] | None:
        """The bytes of a file, by its path in the server's storage; None where the server must carry it.

        See `runsync.download`. An address that is refused is signed anew.
        """
        if not self._downloads or size < LARGE:
            return None
        try:
            given = self._address(path)
        except RequestRefused as error:
            if error.status == HTTPStatus.NOT_IMPLEMENTED:
                self._give_up_downloads(str(error))
            return None
        try:
            return begun(self._storage.download(Pass(given, lambda: self._address(path))))
        except RequestRefused as error:
            if not error.status:
                self._give_up_downloads(str(error))
            return None

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
        upload = {"path": name, "upload_id": made.get("upload_id") or ""}

        def send(number: int, content: bytes) -> dict[str, Any]:
            etag = self._put(addresses[number], content)
            return {"part_number": number, "url": addresses[number].url, "etag": etag}

        try:
            addresses = _addresses(made.get("credentials"), count)
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

    def _put(self, address: Credential, content: bytes) -> str:
        """Sends one part; gives its ETag. Raises _Expired, _Unable."""

        def ask() -> Credential:
            raise _Expired("a signed address was refused", True)

        try:
            return self._storage.send(Pass(address, ask), "PUT", content).headers.get("ETag", "")
        except RequestRefused as error:
            raise _Unable(str(error), True) from None

    def _address(self, path: str) -> Credential:
        return _signed(self._client.get(PRESIGNED + quote(path)))

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


def _addresses(told: object, count: int) -> dict[int, Credential]:
    """Those of all parts, by number. Raises _Unable."""
    try:
        found = {int(one["part_number"]): _signed(one) for one in told}  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, AttributeError):
        found = {}
    if set(found) != set(range(1, count + 1)):
        raise _Unable(f"addresses for {len(found)} of {many(count, 'part')}", True)
    return found


def _signed(told: Mapping[str, Any]) -> Credential:
    """An address of an answer. Raises RequestRefused where there is none."""
    url, headers = told.get("url"), told.get("headers") or {}
    if not isinstance(url, str) or not isinstance(headers, dict):
        raise RequestRefused("the server did not return a signed address")
    return Credential(AWS, url, {str(name): str(value) for name, value in headers.items()})
