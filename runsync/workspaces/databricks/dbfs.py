"""Artifacts in plain `dbfs:/` folders, by the DBFS API: a megabyte a request, so slow for what is large."""

import base64
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from runsync.errors import ABSENT, ChangedMeanwhile, RequestRefused, WorkspaceUnreachable
from runsync.model.run import ArtifactFile
from runsync.multipart import cut
from runsync.workspaces.http import Client, Opener, post_once
from runsync.workspaces.http.fields import OddAnswer, listed, number, text
from runsync.workspaces.rest.folders import walk

DBFS = "/api/2.0/dbfs"
BLOCK = 1 << 20
"""Bytes of one request, either way."""


class Dbfs:
    """Files below a folder `/…` of DBFS."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, root: str) -> Iterator[ArtifactFile]:
        """All files below; none where there is no such folder."""

        def entries(folder: str) -> list[dict[str, Any]]:
            try:
                return listed(self._client.get(f"{DBFS}/list", path=folder), "files")
            except RequestRefused as error:
                if error.code == ABSENT and folder == root:
                    return []
                raise

        return walk("DBFS", entries, root)

    def read(self, root: str, path: str, size: int) -> Iterator[bytes]:
        """The bytes of a file of that size. Raises ChangedMeanwhile.

        Each block is a request of its own, so the file is looked at before the first and after the last.
        """
        begun = self._version(f"{root}/{path}") if size > BLOCK else {}
        yield from self._blocks(root, path)
        if begun and self._version(f"{root}/{path}") != begun:
            raise ChangedMeanwhile(
                f"artifact “{path}” changed while it was read: run it again to get the current version"
            )

    def _version(self, place: str) -> dict[str, Any]:
        told = self._client.get(f"{DBFS}/get-status", path=place)
        return {name: told.get(name) for name in ("file_size", "modification_time")}

    def _blocks(self, root: str, path: str) -> Iterator[bytes]:
        offset = 0
        while True:
            answer = self._client.get(f"{DBFS}/read", path=f"{root}/{path}", offset=offset, length=BLOCK)
            block = _decoded(text(answer, "data", ""))
            if not block:
                return
            self._client.limits.received(len(block))
            offset += len(block)
            yield block
            if len(block) < BLOCK:
                return

    def write(self, root: str, path: str, size: int, opener: Opener) -> None:
        """Puts a file there; what cannot be finished is taken away."""
        with self._client.half_made():
            self._write(f"{root}/{path}", size, opener)

    def _write(self, place: str, size: int, opener: Opener) -> None:
        handle = number(self._client.post(f"{DBFS}/create", {"path": place, "overwrite": True}), "handle", -1)
        try:
            with closing(opener()) as stream:
                for block in cut(stream.read, size, BLOCK):
                    # Once only: a block whose answer is lost may be there, and would be twice.
                    body = {"handle": handle, "data": base64.b64encode(block).decode()}
                    self._client.post(f"{DBFS}/add-block", body, retry=False)
            post_once(self._client, f"{DBFS}/close", {"handle": handle}, lambda error: self._whole(place, size))
        except WorkspaceUnreachable:
            raise
        except BaseException:
            self._client.clean_up(f"{DBFS}/close", {"handle": handle})
            self._client.clean_up(f"{DBFS}/delete", {"path": place})
            raise

    def _whole(self, place: str, size: int) -> dict[str, object] | None:
        """What is told of a file, if it is there with that size."""
        try:
            told = self._client.get(f"{DBFS}/get-status", path=place)
        except RequestRefused:
            return None
        return told if number(told, "file_size", -1) == size else None


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise OddAnswer("data", "is not base64") from None
