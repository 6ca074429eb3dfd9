"""A folder in Google's Cloud Storage that an OAuth token opens (cloud.google.com/storage/docs/json_api)."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile
from runsync.multipart import body
from runsync.secrecy import keep_given
from runsync.workspaces.clouds.credential import GCP, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Opener, json_of
from runsync.workspaces.http.fields import every, number, pages, part, text

HOST = "STORAGE_EMULATOR_HOST"
"""Where the API is instead, as Google's client has it."""
GOOGLE = "https://storage.googleapis.com"


class GoogleFolder:
    """See `folders.Files`. `root` is `gs://BUCKET/PATH`."""

    def __init__(
        self, storage: Storage, root: str, given: Mapping[str, Any], ask: Callable[[], Mapping[str, Any]]
    ) -> None:
        parts = urlsplit(root)
        if parts.scheme != "gs":
            raise RequestRefused("Unity Catalog tells a place in Google's cloud that is none")
        host = os.environ.get(HOST) or GOOGLE
        self._api = f"{host if '://' in host else f'http://{host}'}"
        self._bucket = quote(parts.netloc, safe="")
        self._path = parts.path.strip("/")
        self._storage = storage
        self._headers = _headers(given)
        self._ask = ask

    def list(self) -> Iterator[ArtifactFile]:
        """See `Files`."""
        prefix = f"{self._path}/"

        def ask(token: str) -> dict[str, Any]:
            query = {"prefix": prefix} | ({"pageToken": token} if token else {})
            answer = json_of(self._storage.send(self._pass(f"/storage/v1/b/{self._bucket}/o"), "GET", query=query))
            return {**answer, "next_page_token": answer.get("nextPageToken", "")}

        for found in every(pages(ask, "items")):
            path = text(found, "name").removeprefix(prefix)
            if path and not path.endswith("/"):
                yield ArtifactFile(path, number(found, "size"))

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """See `Files`."""
        place = f"/storage/v1/b/{self._bucket}/o/{quote(f'{self._path}/{path}', safe='')}?alt=media"
        return self._storage.download(self._pass(place))

    def write(self, path: str, size: int, opener: Opener) -> None:
        """See `Files`."""
        name = quote(f"{self._path}/{path}", safe="")
        given = self._pass(f"/upload/storage/v1/b/{self._bucket}/o?uploadType=media&name={name}")
        self._storage.send(given, "POST", body(opener, size), size)

    def _pass(self, place: str) -> Pass:
        def renewed() -> Credential:
            self._headers = _headers(self._ask())
            return credential()

        def credential() -> Credential:
            return Credential(GCP, f"{self._api}{place}", self._headers)

        return Pass(credential(), renewed)


def _headers(given: Mapping[str, Any]) -> dict[str, str]:
    token = text(part(given, "gcp_oauth_token"), "oauth_token")
    keep_given(token)
    return {"Authorization": f"Bearer {token}"}
