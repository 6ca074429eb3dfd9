"""Amazon S3 and what speaks like it: one client for bundles that lie there and for artifact roots that do.

boto3 is imported when the first request is made, with its whole chain of credentials (environment, profile, SSO, role
of the machine).
"""

import hashlib
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from runsync import threads
from runsync.download import download
from runsync.errors import ChangedMeanwhile, RequestRefused, WrongUsage
from runsync.limits import UNLIMITED, Limits
from runsync.log import LOG
from runsync.model import times
from runsync.model.stored_object import StoredObject
from runsync.patience import Patience
from runsync.s3_answer import Answer
from runsync.s3_errors import Missing, Refused, boto_errors
from runsync.s3_retries import Retries
from runsync.s3_session import session
from runsync.s3_uploads import Uploads
from runsync.secrecy import keep, keep_given, keep_url

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from botocore.credentials import Credentials

MULTIPART = 64 << 20
"""Bytes above which a file goes up in parts, side by side."""
PART = 16 << 20
LARGEST_COPY = 5 << 30
"""The most bytes that one CopyObject takes."""
COPY_PART = 512 << 20
REPEATED, EMPTY = 3, 100
"""Pages of a list in a row that may repeat earlier ones, or be empty."""
ENDLESS = "Endless"
TRIES = 5
"""Breaks of one download in which nothing came any more."""
FIRST_PAUSE = 0.2
REQUEST_TRIES = 8
"""Unless `AWS_MAX_ATTEMPTS` says otherwise."""
_AMAZON = re.compile(r"https://s3[.-](?:dualstack\.)?(?:[a-z0-9-]+\.)?amazonaws\.com")
_UNKNOWN = {"NotImplemented", "501"}
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True, slots=True)
class Keys:
    """Temporary credentials of AWS: all of it is secret."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)

    def __post_init__(self) -> None:
        keep_given(self.secret_access_key)
        keep_given(self.session_token)


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach S3, and how new objects are kept there; "" leaves it to boto3's chain and to the bucket. `keys` are
    taken in place of that chain's."""

    endpoint: str = ""
    profile: str = ""
    sse: str = ""
    kms_key: str = ""
    storage_class: str = ""
    keys: Keys | None = None

    def extra(self) -> dict[str, str]:
        """What every upload says of the object it makes."""
        sse = self.sse or ("aws:kms" if self.kms_key else "")
        told = {"ServerSideEncryption": sse, "SSEKMSKeyId": self.kms_key, "StorageClass": self.storage_class}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Object:
    """A listed object: bytes, and when it was written (epoch seconds)."""

    key: str
    size: int
    modified: float


def split(url: str) -> tuple[str, str]:
    """Bucket and key (or prefix, without slashes around it) of an `s3://` URL. Raises WrongUsage."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise WrongUsage(f"“{url}” is no S3 address: write s3://bucket/prefix")
    return bucket, key.strip("/")


class S3:
    """Requests to one endpoint, with one set of credentials; safe for many threads."""

    def __init__(
        self,
        options: S3Options | None = None,
        connections: int = 16,
        limits: Limits = UNLIMITED,
        ignore_tls: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.options = options or S3Options()
        self._patience = patience or Patience.from_environment()
        keep_url(self.options.endpoint)
        self.limits = limits
        self.requests = 0
        self.ahead: float | None = None
        """Seconds that the clock of S3 is ahead of this machine's, by the date of its last answer."""
        self._ignore_tls = ignore_tls
        self._connections = connections
        self._count = Lock()
        self._uploads = Uploads(lambda: self.client, self.options.extra(), limits)
        self._credentials: Credentials | None = None

    @cached_property
    def client(self) -> Any:
        """The boto3 client. Raises WrongUsage for a profile that is not there."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        tries = int(os.environ.get("AWS_MAX_ATTEMPTS") or REQUEST_TRIES)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": tries},
            max_pool_connections=self._connections,
            connect_timeout=10,
            read_timeout=120,
        )
        try:
            opened = session(self.options.profile)
            self._credentials = _credentials(self.options.keys) or opened.get_credentials()
            region = opened.region_name or "us-east-1"
            client = opened.client(
                "s3",
                endpoint_url=self.options.endpoint or None,
                region_name=region,
                config=config,
                verify=False if self._ignore_tls else None,
                **_given(self.options.keys),
            )
        except (BotoCoreError, ValueError) as error:
            raise WrongUsage(f"S3: {error}") from None
        client.meta.events.register("before-send.s3", self._before_send)
        self._retries = Retries(client, tries, self._patience)
        client.meta.events.register("after-call.s3", self._after_call)
        return client

    @property
    def endpoint(self) -> str:
        """Where requests go: two clients of one endpoint can copy between their buckets on the server.

        All regions of Amazon's are one endpoint.
        """
        return _AMAZON.sub("https://s3.amazonaws.com", str(self.client.meta.endpoint_url).rstrip("/"))

    def list(self, bucket: str, prefix: str) -> Iterator[Object]:
        """All objects whose key starts with `prefix`, however many there are."""
        with boto_errors(f"s3://{bucket}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            seen: set[int] = set()
            again = 0
            for page in pages:
                known = hash(tuple(entry["Key"] for entry in page.get("Contents", ())))
                again = again + 1 if known in seen else 0
                seen.add(known)
                if again >= (REPEATED if page.get("Contents") else EMPTY):
                    raise Refused(
                        f"s3://{bucket}/{prefix}: the list of objects does not end: its pages repeat", ENDLESS
                    )
                for entry in page.get("Contents", ()):
                    yield Object(entry["Key"], entry["Size"], entry["LastModified"].timestamp())

    def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket is there; also where we may not ask."""
        try:
            with boto_errors(f"s3://{bucket}"):
                self.client.head_bucket(Bucket=bucket)
        except Missing:
            return False
        except Refused as error:
            return error.code != "NoSuchBucket"
        return True

    def size(self, bucket: str, key: str) -> int | None:
        """Bytes of an object; None where there is none."""
        try:
            with boto_errors(f"s3://{bucket}/{key}"):
                return int(self.client.head_object(Bucket=bucket, Key=key)["ContentLength"])
        except Missing:
            return None

    def sha256(self, bucket: str, key: str) -> str | None:
        """The SHA-256 (hex) that S3 keeps of the whole object; None where it keeps none, or one of parts."""
        return self.look(bucket, key).sha256

    def look(self, bucket: str, key: str) -> StoredObject:
        """What S3 tells of an object without its bytes. Raises Missing, Refused."""
        with boto_errors(f"s3://{bucket}/{key}"):
            told = self.client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        value = told.get("ChecksumSHA256", "")
        # A checksum of checksums ends with the number of parts; old answers do not tell its type.
        is_whole = value and "-" not in value and told.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        sha256 = b64decode(value).hex() if is_whole else None
        return StoredObject(self.endpoint, bucket, key, told["ContentLength"], sha256, told.get("ETag", ""))

    def read(self, bucket: str, key: str) -> bytes:
        """All of an object. Raises Missing, Refused."""
        return b"".join(self.chunks(bucket, key))

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        """The bytes of an object; see `runsync.download`. Raises Missing, Refused (CHANGED: is another one by now)."""
        place = f"s3://{bucket}/{key}"

        def ask(further: Mapping[str, str]) -> Answer:
            asked = {_PARAMETERS[name]: value for name, value in further.items() if name in _PARAMETERS}
            try:
                with boto_errors(place):
                    return Answer(place, self.client.get_object(Bucket=bucket, Key=key, **asked))
            except Refused as error:
                if asked and error.code in _CHANGED:
                    raise ChangedMeanwhile(f"{place} changed while it was read: run it again") from None
                raise

        try:
            yield from download(ask, place, self)
        except RequestRefused as error:
            raise Refused(str(error), CHANGED if isinstance(error, ChangedMeanwhile) else "InvalidRange") from None

    def received(self, size: int) -> None:
        """See `download.Line`."""
        self.limits.received(size)

    def again(self, failures: int, problem: str) -> None:
        """See `download.Line`."""
        if failures >= TRIES:
            raise Refused(problem, "IncompleteBody")
        LOG.warning("S3: %s", problem)
        threads.pause(min(10.0, FIRST_PAUSE * 2**failures))

    def put(self, bucket: str, key: str, body: bytes | IO[bytes], size: int, sha256: str = "") -> None:
        """Writes an object in one request; S3 refuses it when its bytes have not that hash. Raises Refused."""
        self._put(bucket, key, body, size, sha256)

    def create(self, bucket: str, key: str, body: bytes | IO[bytes], size: int, sha256: str = "") -> bool:
        """Writes an object that is not there yet; False, and nothing written, where there is one.

        An S3 that knows no conditional writes is asked first whether the object is there, which two may do at once.
        """
        try:
            self._put(bucket, key, body, size, sha256, IfNoneMatch="*")
        except Refused as error:
            if error.code in _TAKEN:
                return False
            if error.code not in _UNKNOWN:
                raise
            if self.size(bucket, key) is not None:
                return False
            if not isinstance(body, bytes):
                body.seek(0)
            self._put(bucket, key, body, size, sha256)
        return True

    def replace(self, bucket: str, key: str, body: bytes, tag: str) -> bool:
        """Writes an object over the one with that ETag; False, and nothing written, where another, or none, is there.

        An S3 that knows no conditional writes is asked for the ETag first, and then another may come between.
        """
        try:
            self._put(bucket, key, body, len(body), "", **({"IfMatch": tag} if tag else {}))
        except Missing:
            return False
        except Refused as error:
            if error.code in _TAKEN:
                return False
            if error.code not in _UNKNOWN:
                raise
            try:
                if self.look(bucket, key).tag != tag:
                    return False
            except Missing:
                return False
            self._put(bucket, key, body, len(body), "")
        return True

    def upload(self, bucket: str, key: str, file: str) -> None:
        """Writes an object from a file on disk, in parts side by side when it is large. Raises Refused."""
        with boto_errors(f"s3://{bucket}/{key}"):
            self.client.upload_file(
                file,
                bucket,
                key,
                ExtraArgs=self.options.extra(),
                Callback=self.limits.sent,
                Config=_transfer(PART, MULTIPART),
            )

    def upload_parts(self, bucket: str, key: str, parts: Iterable[bytes]) -> None:
        """See `Uploads.write`."""
        self._uploads.write(bucket, key, parts)

    def abandon_uploads(self, bucket: str, prefix: str, age: float) -> None:
        """See `Uploads.abandon`."""
        self._uploads.abandon(bucket, prefix, age)

    def copy(self, from_: StoredObject, bucket: str, key: str) -> None:
        """Copies an object inside S3: its bytes do not pass through here. Raises Missing, Refused.

        S3 refuses when the object is no longer the one that was looked at.
        """
        source = {"Bucket": from_.bucket, "Key": from_.key}
        extra = self.options.extra() | ({"CopySourceIfMatch": from_.tag} if from_.tag else {})
        with boto_errors(f"s3://{from_.bucket}/{from_.key}"):
            if 0 < from_.size <= LARGEST_COPY:
                extra["ChecksumAlgorithm"] = "SHA256"  # so that the next copy finds one
                self.client.copy_object(CopySource=source, Bucket=bucket, Key=key, **extra)
            else:
                config = _transfer(COPY_PART, LARGEST_COPY)
                self.client.copy(source, bucket, key, ExtraArgs=extra, Config=config)

    def remove(self, bucket: str, key: str) -> None:
        """Deletes an object; harmless where there is none. Raises Refused."""
        with boto_errors(f"s3://{bucket}/{key}"):
            self.client.delete_object(Bucket=bucket, Key=key)

    def _put(self, bucket: str, key: str, body: bytes | IO[bytes], size: int, sha256: str, **conditions: str) -> None:
        if not sha256 and isinstance(body, bytes):
            sha256 = hashlib.sha256(body).hexdigest()
        checked = {}
        if sha256:
            checked = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": b64encode(bytes.fromhex(sha256)).decode()}
        with boto_errors(f"s3://{bucket}/{key}"):
            self.client.put_object(
                Bucket=bucket, Key=key, Body=body, ContentLength=size, **self.options.extra(), **checked, **conditions
            )
        self.limits.sent(size)

    def _before_send(self, **_: Any) -> None:
        threads.pause(0)
        if self._credentials is not None:
            used = self._credentials.get_frozen_credentials()  # renewed by now, where they expire
            keep(used.secret_key or "")
            keep(used.token or "")
        self.limits.request()
        with self._count:
            self.requests += 1

    def _after_call(self, http_response: Any, **_: Any) -> None:
        """It answers; and by its date its clock is compared with ours."""
        self._retries.has_answered = True
        try:
            told = parsedate_to_datetime(http_response.headers["Date"])
        except (KeyError, TypeError, ValueError):
            return
        self.ahead = told.timestamp() - times.utc_now().timestamp()


def _given(keys: Keys | None) -> dict[str, str]:
    if keys is None:
        return {}
    named = {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}
    return named | ({"aws_session_token": keys.session_token} if keys.session_token else {})


def _credentials(keys: Keys | None) -> "Credentials | None":
    from botocore.credentials import Credentials

    if keys is None:
        return None
    return Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)


def _transfer(part: int, threshold: int) -> "TransferConfig":
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=threshold, multipart_chunksize=part, max_concurrency=4)


_CHANGED = {"PreconditionFailed", "InvalidRange", "412", "416"}
CHANGED = "Changed"
"""The code of an object that was written again while it was read."""
_PARAMETERS = {"Range": "Range", "If-Match": "IfMatch"}
"""Headers, as get_object has them. S3 knows no If-Range."""
