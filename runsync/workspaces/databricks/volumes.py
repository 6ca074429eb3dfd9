"""Artifacts in Unity Catalog volumes, by the Files API."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile
from runsync.multipart import body
from runsync.workspaces.http import Client, Opener
from runsync.workspaces.http.fields import every, pages
from runsync.workspaces.rest.folders import walk

FILES = "/api/2.0/fs/files"
FOLDERS = "/api/2.0/fs/directories"
PARTS = 5
"""Of the path of a volume between slashes: `/Volumes/CATALOG/SCHEMA/VOLUME`."""


class Volumes:
    """Files below a folder `/Volumes/CATALOG/SCHEMA/VOLUME/…`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: set[str] = set()

    def list(self, root: str) -> Iterator[ArtifactFile]:
        """All files below; none where there is no such folder in a volume that we may see. Raises RequestRefused."""
        return walk("the Files API", lambda folder: self._entries(folder, folder == root), root, "is_directory")

    def read(self, root: str, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        return self._client.download(FILES + quote(f"{root}/{path}"), None, f"artifact “{path}”")

    def write(self, root: str, path: str, size: int, opener: Opener) -> None:
        """Puts a file there; the folders above it are made."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        place = FILES + quote(f"{root}/{path}")
        self._client.send("PUT", place, parameters={"overwrite": "true"}, content=body(opener, size), headers=headers)

    def _entries(self, folder: str, may_lack: bool) -> Iterator[dict[str, Any]]:
        def ask(token: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"page_token": token} if token else {}
            return self._client.get(FOLDERS + quote(folder), **asked)

        try:
            yield from every(pages(ask, "contents"))
        except RequestRefused as error:
            if error.status != 404 or not may_lack:
                raise
            self._need(folder)

    def _need(self, folder: str) -> None:
        """Raises RequestRefused where the volume of a folder is not to be seen: the folder is not told from it."""
        volume = "/".join(folder.split("/")[:PARTS])
        if volume in self._seen:
            return
        try:
            self._client.send("HEAD", FOLDERS + quote(volume))
        except RequestRefused as error:
            raise RequestRefused(
                f"the volume {volume} is not there, or may not be seen (HTTP {error.status}): artifacts in it take USE "
                "CATALOG, USE SCHEMA and READ VOLUME (WRITE VOLUME for an import) in Unity Catalog",
                error.status,
                error.code,
            ) from None
        self._seen.add(volume)
