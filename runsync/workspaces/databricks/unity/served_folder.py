"""Folders of versions, `/Models/CATALOG/SCHEMA/NAME/VERSION`, that the workspace serves itself: by its Files API, or at
addresses that it signs."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile
from runsync.multipart import body
from runsync.workspaces.clouds.credential import AWS, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.databricks.volumes import FOLDERS, Volumes
from runsync.workspaces.http import Client, Opener
from runsync.workspaces.http.fields import every, listed, pages, text
from runsync.workspaces.rest.folders import walk

SIGN = "/api/2.0/fs/create-{}-url"


class FilesFolder:
    """See `folders.Files`; its bytes go through the workspace."""

    def __init__(self, client: Client, volumes: Volumes, root: str) -> None:
        self._client = client
        self._volumes = volumes
        self._root = root

    def list(self) -> Iterator[ArtifactFile]:
        """See `Files`."""
        return listing(self._client, self._root)

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """See `Files`."""
        return self._volumes.read(self._root, path)

    def write(self, path: str, size: int, opener: Opener) -> None:
        """See `Files`."""
        self._volumes.write(self._root, path, size, opener)


class SignedFolder:
    """See `folders.Files`; its bytes go to the storage behind the workspace."""

    def __init__(self, client: Client, storage: Storage, root: str) -> None:
        self._client = client
        self._storage = storage
        self._root = root

    def list(self) -> Iterator[ArtifactFile]:
        """See `Files`."""
        return listing(self._client, self._root)

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """See `Files`."""
        return self._storage.download(self._pass("download", path))

    def write(self, path: str, size: int, opener: Opener) -> None:
        """See `Files`."""
        self._storage.send(self._pass("upload", path), "PUT", body(opener, size), size)

    def _pass(self, act: str, path: str) -> Pass:
        def ask() -> Credential:
            answer = self._client.post(SIGN.format(act), {"path": f"{self._root}/{path}"})
            headers = {text(each, "name"): text(each, "value", "") for each in listed(answer, "headers")}
            return Credential(AWS, text(answer, "url"), headers)

        return Pass(ask(), ask)


def listing(client: Client, root: str) -> Iterator[ArtifactFile]:
    """All files below; none where there is no such folder yet. Raises RequestRefused."""

    def entries(folder: str) -> Iterator[dict[str, Any]]:
        def ask(token: str) -> dict[str, Any]:
            asked: dict[str, Any] = {"page_token": token} if token else {}
            return client.get(FOLDERS + quote(folder), **asked)

        try:
            yield from every(pages(ask, "contents"))
        except RequestRefused as error:
            if error.status != 404 or folder != root:
                raise

    return walk("the workspace", entries, root, "is_directory")
