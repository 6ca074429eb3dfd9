"""A folder on S3, or Cloudflare's R2, that temporary credentials open."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from runsync.download import begun
from runsync.limits import Limits
from runsync.model.run import ArtifactFile
from runsync.patience import Patience
from runsync.s3 import Keys, S3Options
from runsync.workspaces.http import Opener
from runsync.workspaces.http.fields import part, text
from runsync.workspaces.s3_artifacts import NoAccess, S3Artifacts

T = TypeVar("T")
SSE = {"AWS_SSE_S3": "AES256", "AWS_SSE_KMS": "aws:kms"}


class S3Folder:
    """See `folders.Files`."""

    def __init__(
        self,
        options: S3Options,
        connect: tuple[int, Limits, Patience | None],
        root: str,
        given: Mapping[str, Any],
        ask: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._options = options
        self._connect = connect
        self._root = root
        self._ask = ask
        self._lock = Lock()
        self._requests = 0
        self._s3 = self._opened(given)

    @property
    def requests(self) -> int:
        """Sent so far."""
        return self._requests + self._s3.requests

    def list(self) -> Iterator[ArtifactFile]:
        """See `Files`."""
        return iter(self._do(lambda s3: list(s3.list(self._root))))

    def read(self, path: str, size: int) -> Iterator[bytes]:
        """See `Files`."""
        return self._do(lambda s3: begun(s3.read(self._root, path)))

    def write(self, path: str, size: int, opener: Opener) -> None:
        """See `Files`."""
        self._do(lambda s3: s3.write(self._root, path, size, opener))

    def _do(self, act: Callable[[S3Artifacts], T]) -> T:
        """Once more with fresh credentials where these are refused: they may have expired."""
        used = self._s3
        try:
            return act(used)
        except NoAccess:
            with self._lock:
                if self._s3 is used:
                    self._requests += used.requests
                    self._s3 = self._opened(self._ask())
            return act(self._s3)

    def _opened(self, given: Mapping[str, Any]) -> S3Artifacts:
        told = part(given, "aws_temp_credentials") or part(given, "r2_temp_credentials")
        keys = Keys(text(told, "access_key_id"), text(told, "secret_access_key"), text(told, "session_token", ""))
        sse = part(part(given, "encryption_details"), "sse_encryption_details")
        how = replace(
            self._options,
            keys=keys,
            sse=SSE.get(str(sse.get("algorithm")), ""),
            kms_key=text(sse, "aws_kms_key_arn", ""),
        )
        if self._root.startswith("r2://"):
            bucket, _, host = urlsplit(self._root).netloc.rpartition("@")
            how = replace(how, endpoint=f"https://{host}")
            self._root = f"s3://{bucket}{urlsplit(self._root).path}"
        return S3Artifacts(how, *self._connect)
