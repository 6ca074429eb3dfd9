"""Artifact bytes of runs and logged models in a Databricks workspace, by where their root lies.

Databricks' own (`dbfs:/databricks/mlflow-…`) go to the cloud's storage at signed addresses; Unity Catalog volumes,
plain DBFS and S3 have ways of their own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from runsync.download import as_listed
from runsync.errors import RequestRefused
from runsync.model.paths import unfit_for_folders
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.clouds.uploads import Uploads
from runsync.workspaces.databricks.credentials import MODEL, RUN, Credentials, Owner
from runsync.workspaces.databricks.dbfs import Dbfs
from runsync.workspaces.databricks.multipart import Multipart
from runsync.workspaces.databricks.volumes import Volumes
from runsync.workspaces.http import Client, Opener
from runsync.workspaces.http.fields import every, pages
from runsync.workspaces.rest.artifacts import Locate, Root
from runsync.workspaces.rest.folders import walk
from runsync.workspaces.rest.server import API
from runsync.workspaces.s3_artifacts import S3Artifacts

MANAGED = "/databricks/mlflow-"
VOLUMES = "/Volumes/"


class DatabricksArtifacts:
    """See `rest.artifacts.Artifacts`."""

    def __init__(self, client: Client, s3: S3Artifacts) -> None:
        self.notes: list[str] = []
        self._client = client
        self._s3 = s3
        self.storage = Storage(client)
        self._credentials = Credentials(client)
        self._uploads = Uploads(self.storage)
        self._multipart = Multipart(client, self.storage)
        self._volumes = Volumes(client)
        self._dbfs = Dbfs(client)

    @property
    def requests(self) -> int:
        """Sent to the clouds so far."""
        return self.storage.requests + self._s3.requests

    def close(self) -> None:
        """Drops the connections."""
        self.storage.close()

    def has_folders(self, run: Run) -> bool:
        """See `Artifacts`: of what Databricks manages it is not known, as ADLS has folders."""
        return not run.artifact_uri.startswith("s3://")

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """See `Artifacts`: nothing is known."""
        return set()

    def first(self, root: str, run: Run | None) -> ArtifactFile | None:
        """See `Artifacts`. The root of an experiment cannot be looked at."""
        return next(iter(self.list(run)), None) if run is not None else None

    def list(self, run: Run | Root, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """See `Artifacts`. What was listed will be read, most likely."""
        root, folder = run.artifact_uri, _folder(run.artifact_uri)
        if folder.startswith(MANAGED):
            found = list(self._listed(run))
        elif folder.startswith(VOLUMES):
            found = list(self._volumes.list(folder))
        elif folder:
            found = list(self._dbfs.list(folder))
        elif root.startswith("s3://"):
            found = list(self._s3.list(root))
        else:
            raise _unknown(root)
        found.sort(key=lambda file: file.path)
        if folder.startswith(MANAGED):
            self._credentials.expect(_owner(run), "read", [file.path for file in found if not file.fault])
        return tuple(found)

    def read(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        """See `Artifacts`."""
        yield from as_listed(self._read(run, file.path, file.size), file.path, file.size)

    def locate(self, run: Run | Root, file: ArtifactFile) -> StoredObject | None:
        """See `Artifacts`: where Databricks' own files lie, it does not tell."""
        if not run.artifact_uri.startswith("s3://"):
            return None
        try:
            return self._s3.locate(run.artifact_uri, file.path)
        except RequestRefused:
            return None  # who reads it then will hear why

    def expect(self, run: Run, paths: Sequence[str]) -> None:
        """Their credentials will be asked for together."""
        if _folder(run.artifact_uri).startswith(MANAGED):
            self._credentials.expect(_owner(run), "write", paths)

    def write(self, run: Run | Root, path: str, size: int, opener: Opener, locate: Locate | None = None) -> None:
        """See `Artifacts`."""
        root, folder = run.artifact_uri, _folder(run.artifact_uri)
        if folder and (reason := unfit_for_folders(path)):
            raise RequestRefused(f"“{path}” is refused as an artifact path: {reason}")
        if folder.startswith(MANAGED):
            in_parts = partial(self._multipart.send, _owner(run)[1], path, size, opener)
            self._uploads.send(self._credentials.of(_owner(run), "write", path), path, size, opener, in_parts)
        elif folder.startswith(VOLUMES):
            self._volumes.write(folder, path, size, opener)
        elif folder:
            self._dbfs.write(folder, path, size, opener)
        elif root.startswith("s3://"):
            source = locate() if locate is not None else None
            if source is None or not self._s3.copy(root, path, source):
                self._s3.write(root, path, size, opener)
        else:
            raise _unknown(root)

    def _read(self, run: Run | Root, path: str, size: int) -> Iterator[bytes]:
        root, folder = run.artifact_uri, _folder(run.artifact_uri)
        if folder.startswith(MANAGED):
            return self.storage.download(self._credentials.of(_owner(run), "read", path))
        if folder.startswith(VOLUMES):
            return self._volumes.read(folder, path)
        if folder:
            return self._dbfs.read(folder, path, size)
        if root.startswith("s3://"):
            return self._s3.read(root, path)
        raise _unknown(root)

    def _listed(self, run: Run | Root) -> Iterator[ArtifactFile]:
        kind, id = _owner(run)
        place, below = f"{API}/artifacts/list", "path"
        named = {"run_id": id}
        if kind == MODEL:
            place, below, named = f"{API}/logged-models/{id}/artifacts/directories", "artifact_directory_path", {}

        def entries(folder: str) -> Iterator[dict[str, Any]]:
            def ask(token: str) -> dict[str, Any]:
                every_one = {**named, below: folder, "page_token": token}
                asked: dict[str, Any] = {name: value for name, value in every_one.items() if value}
                return self._client.get(place, **asked)

            return every(pages(ask, "files"))

        return walk("the workspace", entries)


def _owner(run: Run | Root) -> Owner:
    return (MODEL, run.model_id) if isinstance(run, Root) else (RUN, run.run_id)


def _folder(root: str) -> str:
    """The path of a root in DBFS or a volume; "" for one that lies elsewhere. `dbfs://profile@databricks/…` is one."""
    scheme, sign, rest = root.partition(":")
    if scheme != "dbfs" or not sign:
        return ""
    if rest.startswith("//"):
        rest = "/" + rest[2:].partition("/")[2]
    return rest.rstrip("/")


def _unknown(root: str) -> RequestRefused:
    scheme = root.partition(":")[0]
    return RequestRefused(
        f"artifacts lie in {scheme}: storage of your own, where this version reads only S3 and what Databricks manages"
    )
