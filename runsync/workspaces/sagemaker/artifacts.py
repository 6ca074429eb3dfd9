"""Uploads at addresses that the server signs, where `SAGEMAKER_PRESIGNED_URL_UPLOAD_ENABLED` asks for them.

For who has no right to write to the bucket: as with Amazon's plugin all else, listing and reading, goes straight to S3,
and an upload that fails does not fall back on it. MLflow 3.17 has the endpoint too.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from runsync.errors import RequestRefused
from runsync.model.paths import unsafe
from runsync.model.run import ArtifactFile, Run
from runsync.model.stored_object import StoredObject
from runsync.multipart import body
from runsync.workspaces.clouds.credential import AWS, Credential, Pass
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.http import Client, Opener
from runsync.workspaces.http.fields import part, text
from runsync.workspaces.rest.artifacts import Artifacts, Locate, Root
from runsync.workspaces.rest.server import API

OPT_IN = "SAGEMAKER_PRESIGNED_URL_UPLOAD_ENABLED"
LASTS = 900
"""Seconds, as Amazon's plugin asks for."""
MOST = 5 << 30
"""Bytes that S3 takes in one request."""


def uploads_are_signed(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the server is to be asked for addresses."""
    return environ.get(OPT_IN, "").lower() == "true"


class SignedUploads:
    """See `rest.artifacts.Artifacts`; all but uploads is done by the `store`."""

    def __init__(self, client: Client, store: Artifacts) -> None:
        self.notes = store.notes
        self._client = client
        self._store = store
        self._storage = Storage(client)

    @property
    def requests(self) -> int:
        """Sent straight to S3 so far."""
        return self._store.requests + self._storage.requests

    def close(self) -> None:
        """Drops the connections."""
        self._store.close()
        self._storage.close()

    def has_folders(self, run: Run) -> bool:
        """See `Artifacts`."""
        return self._store.has_folders(run)

    def changed(self, run: Run, paths: Iterable[str]) -> set[str]:
        """See `Artifacts`."""
        return self._store.changed(run, paths)

    def first(self, root: str, run: Run | None) -> ArtifactFile | None:
        """See `Artifacts`."""
        return self._store.first(root, run)

    def list(self, run: Run | Root, within: Collection[str] | None = None) -> tuple[ArtifactFile, ...]:
        """See `Artifacts`."""
        return self._store.list(run, within)

    def read(self, run: Run | Root, file: ArtifactFile) -> Iterator[bytes]:
        """See `Artifacts`."""
        return self._store.read(run, file)

    def locate(self, run: Run | Root, file: ArtifactFile) -> StoredObject | None:
        """See `Artifacts`."""
        return self._store.locate(run, file)

    def expect(self, run: Run, paths: Sequence[str]) -> None:
        """See `Artifacts`."""
        self._store.expect(run, paths)

    def write(self, run: Run | Root, path: str, size: int, opener: Opener, locate: Locate | None = None) -> None:
        """See `Artifacts`."""
        if isinstance(run, Root) or not run.artifact_uri.startswith("s3://"):
            self._store.write(run, path, size, opener, locate)
            return
        if reason := unsafe(path):
            raise RequestRefused(f"“{path}” is refused as an artifact path: {reason}")
        if size > MOST:
            raise RequestRefused(
                f"artifact “{path}” has {size} bytes: at a signed address S3 takes 5 GiB; unset {OPT_IN}"
            )

        def ask() -> Credential:
            asked = {"run_id": run.run_id, "path": path, "expiration": LASTS}
            told = self._client.post(f"{API}/artifacts/presigned-upload-url", asked)
            headers = {str(name): str(value) for name, value in part(told, "headers").items()}
            return Credential(AWS, text(told, "presigned_url"), headers)

        self._storage.send(Pass(ask(), ask), "PUT", body(opener, size), size)
