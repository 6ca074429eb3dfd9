"""A folder in Azure's ADLS Gen2 that a shared access signature opens (learn.microsoft.com/rest/api/storageservices,
“Path”)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from runsync.errors import RequestRefused
from runsync.model.run import ArtifactFile
from runsync.secrecy import keep_given
from runsync.workspaces.address import is_loopback
from runsync.workspaces.clouds.credential import ADLS, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.clouds.uploads import Uploads
from runsync.workspaces.http import Opener, json_of
from runsync.workspaces.http.fields import endless, listed, number, part, text

SCHEMES = ("abfss", "abfs")
VERSION = {"x-ms-version": "2021-12-02"}
MOST_PAGES = 10_000


class AzureFolder:
    """See `folders.Files`. `root` is `abfss://CONTAINER@HOST/PATH`."""

    def __init__(
        self,
        storage: Storage,
        uploads: Uploads,
        root: str,
        given: Mapping[str, Any],
        ask: Callable[[], Mapping[str, Any]],
    ) -> None:
        parts = urlsplit(root)
        container, _, host = parts.netloc.rpartition("@")
        if parts.scheme not in SCHEMES or not container:
            raise RequestRefused("Unity Catalog tells a place in Azure that is none")
        scheme = "http" if is_loopback(host.partition(":")[0]) else "https"
        self._container = f"{scheme}://{host}/{quote(container)}"
        self._path = parts.path.strip("/")
        self._storage = storage
        self._uploads = uploads
        self._sas = _signature(given)
        self._ask = ask

    def list(self) -> Iterator[ArtifactFile]:
        """See `Files`."""
        query = {"resource": "filesystem", "recursive": "true", "directory": self._path}
        for _ in range(MOST_PAGES):
            try:
                answer = self._storage.send(self._pass(self._container), "GET", query=query)
            except RequestRefused as error:
                if error.status == 404:  # nothing was written yet
                    return
                raise
            for found in listed(json_of(answer), "paths"):
                if str(found.get("isDirectory", "")).lower() != "true":
                    path = text(found, "name").removeprefix(f"{self._path}/")
                    yield ArtifactFile(path, number(found, "contentLength"))
            token = answer.headers.get("x-ms-continuation", "")
            if not token:
                return
            query["continuation"] = token
        raise endless("paths")

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """See `Files`."""
        return self._storage.download(self._pass(self._address(path)))

    def write(self, path: str, size: int, opener: Opener) -> None:
        """See `Files`."""
        self._uploads.send(self._pass(self._address(path)), path, size, opener)

    def _address(self, path: str) -> str:
        return f"{self._container}/{quote(self._path)}/{quote(path)}"

    def _pass(self, address: str) -> Pass:
        def renewed() -> Credential:
            self._sas = _signature(self._ask())
            return credential()

        def credential() -> Credential:
            return Credential(ADLS, f"{address}?{self._sas}", VERSION)

        return Pass(credential(), renewed)


def _signature(given: Mapping[str, Any]) -> str:
    sas = text(part(given, "azure_user_delegation_sas"), "sas_token").removeprefix("?")
    for name, value in parse_qsl(sas):
        if name == "sig":
            keep_given(value)
    return sas
