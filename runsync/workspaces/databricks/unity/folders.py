"""Where the files of model versions lie in Unity Catalog: in folders that are open for a while, to read or to write.

What opens one is asked for once and again when it has expired. All of it is secret.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any, Literal, Protocol

from runsync.download import as_listed
from runsync.errors import RequestRefused
from runsync.limits import Limits
from runsync.model.paths import unfit_for_folders
from runsync.model.run import ArtifactFile
from runsync.patience import Patience
from runsync.s3 import S3Options
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.clouds.uploads import Uploads
from runsync.workspaces.databricks.unity.azure_folder import AzureFolder
from runsync.workspaces.databricks.unity.google_folder import GoogleFolder
from runsync.workspaces.databricks.unity.s3_folder import S3Folder
from runsync.workspaces.databricks.unity.served_folder import FilesFolder, SignedFolder
from runsync.workspaces.databricks.volumes import Volumes
from runsync.workspaces.http import OPTIONAL, Client, Opener
from runsync.workspaces.http.fields import part, text
from runsync.workspaces.rest.server import API

Way = Literal["read", "write"]
OPERATIONS: Mapping[Way, str] = {
    "read": "MODEL_VERSION_OPERATION_READ",
    "write": "MODEL_VERSION_OPERATION_READ_WRITE",
}
VERSIONS = f"{API}/unity-catalog/model-versions"
BY_FILES_API = f"{API}/unity-catalog/registered-models:is-databricks-sdk-models-artifact-repository-enabled"
SAYS_SO = "is_databricks_sdk_models_artifact_repository_enabled"
DEFAULT_STORAGE = "DEFAULT_STORAGE"
MOST_OPEN = 200


class Files(Protocol):
    """The files below one folder. Each method raises RequestRefused."""

    def list(self) -> Iterator[ArtifactFile]:
        """All of them."""

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """The bytes of one."""

    def write(self, path: str, size: int, opener: Opener) -> None:
        """Puts one there, replacing it."""


class Folder:
    """The folder of one version."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def list(self) -> tuple[ArtifactFile, ...]:
        """All files, sorted by path. Raises RequestRefused."""
        return tuple(sorted(self._files.list(), key=lambda file: file.path))

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one, as many as listed. Raises RequestRefused."""
        yield from as_listed(self._files.read(file.path, file.size), file.path, file.size)

    def write(self, path: str, size: int, opener: Opener) -> None:
        """Puts one there. Raises RequestRefused."""
        if reason := unfit_for_folders(path):
            raise RequestRefused(f"“{path}” is refused as an artifact path: {reason}")
        self._files.write(path, size, opener)


class Folders:
    """Those of all versions that one workspace opens for us."""

    def __init__(
        self, client: Client, s3: S3Options, connections: int, limits: Limits, patience: Patience | None
    ) -> None:
        self._client = client
        self._s3 = s3
        self._connect = (connections, limits, patience)
        self._storage = Storage(client)
        self._uploads = Uploads(self._storage)
        self._volumes = Volumes(client)
        self._open: OrderedDict[tuple[str, int, Way], Folder] = OrderedDict()
        self._by_files_api: bool | None = None
        self._of_s3: list[S3Folder] = []
        self._lock = Lock()

    @property
    def requests(self) -> int:
        """Sent to the clouds so far."""
        return self._storage.requests + sum(folder.requests for folder in self._of_s3)

    def close(self) -> None:
        """Drops the connections."""
        self._storage.close()

    def of(self, model: str, version: int, way: Way) -> Folder:
        """The folder of a version. Raises RequestRefused."""
        key = (model, version, way)
        with self._lock:
            found = self._open.get(key)
        if found is None:
            found = Folder(self._files(model, version, way))
            with self._lock:
                self._open[key] = found
                while len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)
        return found

    def _files(self, model: str, version: int, way: Way) -> Files:
        place = f"/Models/{'/'.join(model.split('.'))}/{version}"
        if self._is_by_files_api():
            return FilesFolder(self._client, self._volumes, place)

        def ask() -> Mapping[str, Any]:
            body = {"name": model, "version": str(version), "operation": OPERATIONS[way]}
            return part(self._client.post(f"{VERSIONS}/generate-temporary-credentials", body), "credentials")

        given = ask()
        if given.get("storage_mode") == DEFAULT_STORAGE:
            return SignedFolder(self._client, self._storage, place)
        return self._on_cloud(self._location(model, version), given, ask)

    def _location(self, model: str, version: int) -> str:
        answer = self._client.get(f"{VERSIONS}/get-download-uri", name=model, version=str(version))
        return text(answer, "artifact_uri")

    def _on_cloud(self, root: str, given: Mapping[str, Any], ask: Callable[[], Mapping[str, Any]]) -> Files:
        if "azure_user_delegation_sas" in given:
            return AzureFolder(self._storage, self._uploads, root, given, ask)
        if "gcp_oauth_token" in given:
            return GoogleFolder(self._storage, root, given, ask)
        if "aws_temp_credentials" in given or "r2_temp_credentials" in given:
            folder = S3Folder(self._s3, self._connect, root, given, ask)
            with self._lock:
                self._of_s3.append(folder)
            return folder
        known = ", ".join(sorted(name for name in given if name.endswith(("credentials", "token", "sas")))) or "none"
        raise RequestRefused(f"Unity Catalog opens its storage in a way that is not known here ({known})")

    def _is_by_files_api(self) -> bool:
        """Whether the workspace wants files of versions to go through its Files API, as MLflow's client asks."""
        with self._lock:
            if self._by_files_api is None:
                try:
                    self._by_files_api = self._client.get(BY_FILES_API, care=OPTIONAL).get(SAYS_SO) is True
                except RequestRefused:
                    self._by_files_api = False
            return self._by_files_api
