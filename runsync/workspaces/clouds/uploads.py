"""Uploads at signed addresses, in the four ways that the clouds want them. Memory holds a few parts at most."""

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain, islice
from threading import BoundedSemaphore

from runsync.errors import RequestRefused
from runsync.multipart import body, cut, part_size, send_parts
from runsync.workspaces.clouds.credential import ADLS, AWS, AZURE, GCP, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Opener

LARGE = 64 << 20
"""Bytes from which on a file goes to S3 in parts."""
UPLOADS = 2
"""Large files on their way at a time: each holds some parts in memory."""

_BLOCK = frozenset(
    {
        *("authorization", "x-ms-date", "x-ms-version", "content-md5", "x-ms-content-crc64"),
        *("x-ms-encryption-scope", "x-ms-lease-id", "x-ms-client-request-id", "x-ms-encryption-key"),
        *("x-ms-encryption-key-sha256", "x-ms-encryption-algorithm"),
    }
)
"""Headers of Azure's Put Block, of those that come with an address (learn.microsoft.com/rest/api/storageservices)."""
_BLOCK_LIST = frozenset(
    {
        *("date", "x-ms-date", "x-ms-version", "x-ms-blob-cache-control", "x-ms-blob-content-type"),
        *("x-ms-blob-content-encoding", "x-ms-blob-content-language", "x-ms-encryption-scope", "x-ms-tags"),
        *("x-ms-lease-id", "x-ms-client-request-id", "x-ms-blob-content-disposition", "x-ms-access-tier"),
        *("if-modified-since", "if-unmodified-since", "if-match", "if-none-match"),
    }
)
_PATH_CREATE = frozenset(
    {
        *("cache-control", "content-language", "content-disposition", "x-ms-cache-control"),
        *("x-ms-content-type", "x-ms-content-encoding", "x-ms-content-language", "x-ms-content-disposition"),
        *("x-ms-lease-id", "x-ms-properties", "x-ms-permissions", "x-ms-umask", "x-ms-owner", "x-ms-group"),
        *("x-ms-acl", "x-ms-proposed-lease-id", "x-ms-expiry-option", "x-ms-expiry-time", "if-match"),
        *("if-none-match", "if-modified-since", "if-unmodified-since", "x-ms-encryption-key"),
        *("x-ms-encryption-key-sha256", "x-ms-encryption-algorithm", "x-ms-encryption-context"),
        *("x-ms-client-request-id", "x-ms-date", "x-ms-version"),
    }
)
_PATH_UPDATE = frozenset(
    {
        *("x-ms-lease-id", "x-ms-encryption-key", "x-ms-encryption-key-sha256", "x-ms-encryption-algorithm"),
        *("x-ms-encryption-context", "x-ms-client-request-id", "x-ms-date", "x-ms-version"),
    }
)

Headers = Callable[[Mapping[str, str]], dict[str, str]]
InParts = Callable[[], bool]


class Uploads:
    """Uploads of one workspace."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._free = BoundedSemaphore(UPLOADS)

    def send(self, given: Pass, path: str, size: int, opener: Opener, in_parts: InParts = lambda: False) -> None:
        """Puts one file there. Raises RequestRefused, and what the source raises.

        `in_parts` is how a large one goes to S3; it gives False where that is not to be had.
        """
        with self._free if size >= LARGE else nullcontext():
            self._send(given, path, size, opener, in_parts)

    def _send(self, given: Pass, path: str, size: int, opener: Opener, in_parts: InParts) -> None:
        kind = given.credential.kind
        if kind == AZURE:
            self._as_blocks(given, size, opener)
        elif kind == ADLS:
            self._as_appends(given, size, opener)
        elif kind not in (AWS, GCP):
            raise RequestRefused(f"artifact “{path}”: the workspace wants it stored in a way of {kind or 'no name'}")
        elif kind != AWS or size < LARGE or not in_parts():
            self._storage.send(given, "PUT", body(opener, size), size)

    def _as_blocks(self, given: Pass, size: int, opener: Opener) -> None:
        """Azure blobs: blocks, then the list of them."""

        def send(number: int, content: bytes) -> str:
            block = base64.b64encode(f"runsync-{number:06}".encode()).decode()
            self._storage.send(
                given,
                "PUT",
                content,
                query={"comp": "block", "blockid": block},
                headers=lambda told: {**_only(_BLOCK)(told), "x-ms-blob-type": "BlockBlob"},
            )
            return block

        with closing(opener()) as stream:
            blocks = send_parts(cut(stream.read, size, part_size(size)), send)
        listed = "".join(f"<Uncommitted>{block}</Uncommitted>" for block in blocks)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        self._storage.send(given, "PUT", document, query={"comp": "blocklist"}, headers=_only(_BLOCK_LIST))

    def _as_appends(self, given: Pass, size: int, opener: Opener) -> None:
        """ADLS Gen2: an empty file, bytes at their positions, then what makes them count. Nothing stays of a failure.

        The file is made once its first part is there, as an address may not let us delete it again.
        """
        part = part_size(size)
        with closing(opener()) as stream, self._storage.half_made():
            parts = cut(stream.read, size, part)
            first = list(islice(parts, 1))
            try:
                self._storage.send(given, "PUT", query={"resource": "file"}, headers=_only(_PATH_CREATE))
                self._append(given, chain(first, parts), size, part)
            except BaseException:
                told = given.credential
                self._storage.abandon(replace(told, headers=_only(_PATH_UPDATE)(told.headers)))
                raise

    def _append(self, given: Pass, parts: Iterator[bytes], size: int, part: int) -> None:
        def send(number: int, content: bytes) -> None:
            query = {"action": "append", "position": str((number - 1) * part)}
            self._storage.send(given, "PATCH", content, query=query, headers=_only(_PATH_UPDATE))

        send_parts(parts, send)
        if size:
            query = {"action": "flush", "position": str(size)}
            self._storage.send(given, "PATCH", query=query, headers=_only(_PATH_UPDATE))


def _only(names: frozenset[str]) -> Headers:
    """Azure refuses headers that an operation does not know."""
    return lambda told: {name: value for name, value in told.items() if name.lower() in names}
