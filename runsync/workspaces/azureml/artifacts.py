"""Artifacts of Azure ML: its run history lists them and signs addresses of the blobs that hold them.

As its client in azureml-mlflow 1.62 does (`/history/v1.0/…/artifacts`): sizes are asked of the blobs, one by one.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import quote, urlsplit

from runsync.download import as_listed
from runsync.errors import RequestRefused
from runsync.model.paths import escaped, unfit_for_folders
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.workspaces.clouds.credential import AZURE, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.clouds.uploads import Uploads
from runsync.workspaces.http import Client, Opener
from runsync.workspaces.http.fields import endless, listed, part, text
from runsync.workspaces.rest.artifacts import Locate, Root

MOST_LINKS = 10_000
"""Pages of the list of one run's artifacts."""


class AzureArtifacts:
    """See `rest.artifacts.Artifacts`. `client` speaks to the root of the workspace's host."""

    def __init__(self, client: Client, scope: str) -> None:
        self.notes: list[str] = []
        self._client = client
        self._scope = scope
        self._storage = Storage(client)
        self._uploads = Uploads(self._storage)

    @property
    def requests(self) -> int:
        """Sent to the run history and to the blobs so far."""
        return self._client.requests + self._storage.requests

    def close(self) -> None:
        """Drops the connections."""
        self._client.close()
        self._storage.close()

    def has_folders(self, run: Run) -> bool:
        """See `Artifacts`: ADLS has them."""
        return True

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """See `Artifacts`: nothing is known."""
        return set()

    def first(self, root: str, run: Run | None) -> ArtifactFile | None:
        """See `Artifacts`. The root of an experiment cannot be looked at."""
        path = next(iter(self._paths(run)), None) if run is not None else None
        return None if run is None or path is None else self._file(run, path)

    def list(self, run: Run | Root, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """See `Artifacts`."""
        files = (self._file(run, path) for path in self._paths(run))
        return tuple(sorted(files, key=lambda file: file.path))

    def _file(self, run: Run | Root, path: str) -> ArtifactFile:
        """A path that leads out of its folder is told with its fault, and not asked for."""
        reason = unfit_for_folders(path)
        return ArtifactFile(escaped(path), 0, fault=reason) if reason else ArtifactFile(path, self._size(run, path))

    def read(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        """See `Artifacts`."""
        yield from as_listed(self._storage.download(self._readable(run, file.path)), file.path, file.size)

    def locate(self, run: Run | Root, file: ArtifactFile) -> StoredObject | None:
        """See `Artifacts`."""
        return None

    def expect(self, run: Run, paths: Sequence[str]) -> None:
        """Each file is asked for by itself."""

    def write(self, run: Run | Root, path: str, size: int, opener: Opener, locate: Locate | None = None) -> None:
        """See `Artifacts`."""
        if reason := unfit_for_folders(path):
            raise RequestRefused(f"“{path}” is refused as an artifact path: {reason}")

        def ask() -> Credential:
            answer = self._client.post(f"{self._place(run)}/batch/metadata", {"paths": [{"path": path}]})
            if refused := part(part(answer, "errors"), path):
                error = part(refused, "error")
                raise RequestRefused(f"artifact “{path}”: {error.get('code', '')} {error.get('message', '')}"[:300])
            return _signed(part(answer, "artifactContentInformation").get(path), path)

        self._uploads.send(Pass(ask(), ask), path, size, opener)

    def _paths(self, run: Run | Root) -> Iterator[str]:
        link, seen = self._place(run), dict[str, None]()
        while link:
            parts = urlsplit(link)
            if parts.netloc and parts.netloc != urlsplit(self._client.url).netloc:
                raise RequestRefused(f"the list of artifacts goes on at another host, {parts.netloc}")
            if link in seen or len(seen) >= MOST_LINKS:
                raise endless("artifacts")
            seen[link] = None
            answer = self._client.get(parts.path + (f"?{parts.query}" if parts.query else ""))
            yield from (text(entry, "path", "") for entry in listed(answer, "value"))
            link = text(answer, "nextLink", "")

    def _size(self, run: Run | Root, path: str) -> int:
        response = self._storage.send(self._readable(run, path), "HEAD", headers=_plain)
        told = response.headers.get("Content-Length", "")
        if not told.isdecimal() or len(told) > 19:
            raise RequestRefused(f"artifact “{path}”: its storage does not tell its size")
        return int(told)

    def _readable(self, run: Run | Root, path: str) -> Pass:
        def ask() -> Credential:
            return _signed(self._client.get(f"{self._place(run)}/contentinfo", path=path), path)

        return Pass(ask(), ask)

    def _place(self, run: Run | Root) -> str:
        if isinstance(run, Root):
            raise RequestRefused("Azure ML has no logged models")
        experiment, run_id = quote(run.experiment_id, safe=""), quote(run.run_id, safe="")
        return f"/history/v1.0{self._scope}/experimentids/{experiment}/runs/{run_id}/artifacts"


def _signed(told: object, path: str) -> Credential:
    address = told.get("contentUri") if isinstance(told, dict) else None
    if not address:
        raise RequestRefused(f"artifact “{path}”: the run history tells no address of it")
    return Credential(AZURE, str(address))


def _plain(told: object) -> dict[str, str]:
    """Whole and as it is stored: a length of what was squeezed would be another one."""
    return {"Accept-Encoding": "identity"}
