"""Artifacts whose root is an `s3://` address: listed, read, written and copied straight on S3."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from runsync.errors import BucketNotFound, ChangedMeanwhile, RequestRefused, WrongUsage
from runsync.limits import Limits
from runsync.model.paths import escaped, unsafe
from runsync.model.run import ArtifactFile
from runsync.model.stored_object import StoredObject
from runsync.multipart import PART, cut, part_size
from runsync.patience import Patience
from runsync.s3 import CHANGED, S3, S3Options
from runsync.s3_errors import Missing, Refused
from runsync.workspaces.address import Address, StoreAddress
from runsync.workspaces.http import Readable

REMEDY = (
    "give this machine AWS credentials that may get at it (AWS_PROFILE, AWS_ACCESS_KEY_ID, …) and, where it is not "
    "Amazon's, MLFLOW_S3_ENDPOINT_URL; or s3_profile and s3_endpoint in runsync.toml"
)

_NO_WAY_IN = {
    *("AccessDenied", "AllAccessDisabled", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    *("ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"),
    *("NoSuchBucket", "PermanentRedirect", "301", "400", "403"),
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "MetadataRetrievalError"),
    *("TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"),
    *("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"),
}
"""S3's codes and boto3's exceptions for what the server, with credentials of its own, may well be able to do."""
_EXTRA = {"ServerSideEncryption": "sse", "SSEKMSKeyId": "kms_key", "StorageClass": "storage_class"}


def ignores_tls(environ: Mapping[str, str] = os.environ) -> bool:
    """`MLFLOW_S3_IGNORE_TLS`: certificates of the artifacts' S3 are not looked at."""
    return environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1")


class NoAccess(RequestRefused):
    """S3 cannot be reached from this machine, or does not let us in."""


def options_for(address: Address | StoreAddress, environ: Mapping[str, str] = os.environ) -> S3Options:
    """How to reach the S3 of a workspace: what `runsync.toml` says of it, then the variables of MLflow's clients.

    `MLFLOW_S3_ENDPOINT_URL`, and encryption and storage class of `MLFLOW_S3_UPLOAD_EXTRA_ARGS`; all else is boto3's.
    Raises WrongUsage.
    """
    try:
        extra = json.loads(environ.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS") or "{}")
        kept = {_EXTRA[name]: str(value) for name, value in extra.items() if name in _EXTRA}
    except (ValueError, AttributeError):
        raise WrongUsage("MLFLOW_S3_UPLOAD_EXTRA_ARGS is no JSON object") from None
    endpoint = address.s3_endpoint or environ.get("MLFLOW_S3_ENDPOINT_URL", "")
    sse, kms_key, storage_class = (kept.get(name, "") for name in _EXTRA.values())
    return S3Options(endpoint, address.s3_profile, sse, kms_key, storage_class)


class S3Artifacts:
    """Files below artifact roots; `root` is a run's artifact URI.

    Every method raises RequestRefused, and of that kind NoAccess.
    """

    def __init__(self, s3: S3Options, connections: int, limits: Limits, patience: Patience | None = None) -> None:
        self._s3 = S3(s3, connections, limits, ignores_tls(), patience)

    @property
    def requests(self) -> int:
        """Sent so far."""
        return self._s3.requests

    def list(self, root: str) -> Iterator[ArtifactFile]:
        """All files, however many. Of an object whose key leads out of the root the fault is told."""
        bucket, prefix = _place(root, "")
        with _told():
            for found in self._s3.list(bucket, prefix):
                path = found.key.removeprefix(prefix)
                if found.size == 0 and (not path or path.endswith("/")):
                    continue  # what consoles make to show a folder
                yield ArtifactFile(escaped(path), found.size, fault=unsafe(path) or "")

    def is_used(self, root: str) -> bool:
        """Whether there is any object below it."""
        with _told():
            return next(iter(self._s3.list(*_place(root, ""))), None) is not None

    def require_bucket(self, root: str) -> None:
        """Raises BucketNotFound; costs a request."""
        bucket = bucket_of(root)
        if not self._s3.has_bucket(bucket):
            raise BucketNotFound(
                f"there is no bucket “{bucket}” at {self._s3.endpoint}, where artifacts are to go: make it first, or "
                "check its name and the endpoint (MLFLOW_S3_ENDPOINT_URL, or s3_endpoint in runsync.toml)"
            )

    def read(self, root: str, path: str) -> Iterator[bytes]:
        """The bytes of one file, in chunks."""
        with _told():
            yield from self._s3.chunks(*_place(root, path))

    def locate(self, root: str, path: str) -> StoredObject:
        """What S3 tells of one file."""
        with _told():
            return self._s3.look(*_place(root, path))

    def write(self, root: str, path: str, size: int, opener: Callable[[], Readable]) -> None:
        """Puts one file there, a large one in parts."""
        bucket, key = _place(root, path)
        with _told(), closing(opener()) as stream:
            pieces = cut(stream.read, size, part_size(size))
            if size > PART:
                self._s3.upload_parts(bucket, key, pieces)
            else:
                self._s3.put(bucket, key, b"".join(pieces), size)

    def copy(self, root: str, path: str, source: StoredObject) -> bool:
        """Has S3 put one file there; False where it will not, and the bytes must be sent."""
        bucket, key = _place(root, path)
        if source.endpoint != self._s3.endpoint:
            return False
        try:
            self._s3.copy(source, bucket, key)
        except (Missing, Refused):
            return False
        return True


def bucket_of(root: str) -> str:
    """The bucket that an artifact root is in."""
    return urlsplit(root).netloc


def _place(root: str, path: str) -> tuple[str, str]:
    """Bucket and key, as MLflow's clients make them: names stand in keys as they are."""
    if path and (reason := unsafe(path)):
        raise RequestRefused(f"“{escaped(path)}” is refused as an artifact path: {reason}")
    parts = urlsplit(root)
    folder = parts.path.removeprefix("/").rstrip("/")
    return parts.netloc, f"{folder}/{path}" if folder else path


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Missing as error:
        raise RequestRefused(str(error)) from None
    except Refused as error:
        if error.code == CHANGED:
            raise ChangedMeanwhile(str(error)) from None
        raise (NoAccess if error.code in _NO_WAY_IN else RequestRefused)(str(error)) from None
