"""Artifacts in plain `dbfs:/` folders, by the DBFS API: a megabyte a request, so slow for what is large."""

import base64
from collections.abc import Iterator
from contextlib import closing

from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile
from runsync.multipart import cut
from runsync.workspaces.http import Client, Opener

DBFS = "/api/2.0/dbfs"
BLOCK = 1 << 20
"""Bytes of one request, either way."""


class Dbfs:
    """Files below a folder `/…` of DBFS."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, root: str) -> Iterator[ArtifactFile]:
        """All files below; none where there is no such folder."""
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                entries = self._client.get(f"{DBFS}/list", path=folder).get("files", [])
            except RequestRefused as error:
                if error.code == "RESOURCE_DOES_NOT_EXIST" and folder == root:
                    return
                raise
            for entry in entries:
                path = str(entry["path"])
                if path.rpartition("/")[0] != folder:
                    raise RequestRefused(f"DBFS lists “{path}” in {folder}")
                if entry.get("is_dir"):
                    folders.append(path)
                else:
                    yield ArtifactFile(path.removeprefix(root + "/"), int(entry.get("file_size", 0)))

    def read(self, root: str, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        offset = 0
        while True:
            answer = self._client.get(f"{DBFS}/read", path=f"{root}/{path}", offset=offset, length=BLOCK)
            block = base64.b64decode(answer.get("data", ""))
            if not block:
                return
            self._client.limits.received(len(block))
            offset += len(block)
            yield block
            if len(block) < BLOCK:
                return

    def write(self, root: str, path: str, size: int, opener: Opener) -> None:
        """Puts a file there."""
        made = self._client.post(f"{DBFS}/create", {"path": f"{root}/{path}", "overwrite": True})
        with closing(opener()) as stream:
            for block in cut(stream.read, size, BLOCK):
                # Once only: a block whose answer is lost may be there, and would be twice.
                body = {"handle": made["handle"], "data": base64.b64encode(block).decode()}
                self._client.post(f"{DBFS}/add-block", body, retry=False)
        self._client.post(f"{DBFS}/close", {"handle": made["handle"]})
