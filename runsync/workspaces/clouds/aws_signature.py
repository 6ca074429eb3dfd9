"""Requests signed as Amazon wants them (Signature Version 4), by botocore and with its chain of credentials."""

import hashlib
import tempfile
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from runsync.errors import AccessDenied, WrongUsage
from runsync.secrecy import keep, strike
from runsync.workspaces.http import CHUNK, Readable

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

IN_MEMORY = 8 << 20
"""Bytes of a streamed body above which it waits on disk until its hash is known."""
SIGNED = ("host", "content-type")
"""Besides all that begin with x-. What a proxy on the way may change, Connection above all, stays unsigned."""
MADE = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
REMEDY = "name a profile with AWS_PROFILE (or s3_profile in runsync.toml), set AWS_ACCESS_KEY_ID, or aws sso login"


class AwsSignature(AuthBase):
    """Signs each request anew, with credentials that are fresh. Safe for many threads."""

    kind = "AWS signature"

    def __init__(self, who: str, service: str, region: str = "", profile: str = "", role: str = "") -> None:
        """For requests to a service in a region ("": that of boto3's chain). `who` is what errors name."""
        self._who = who
        self._service = service
        self._region = region
        self._profile = profile
        self._role = role
        self._source: Credentials | None = None
        self._lock = Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See `requests.auth.AuthBase`. Raises AccessDenied where there are no credentials, or none to be had."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request.url = _with_plain_spaces(request.url or "")
        headers = {name: value for name, value in request.headers.items() if _is_signed(name)}
        to_sign = AWSRequest(request.method, request.url, headers | {"X-Amz-Content-SHA256": _hash_of_body(request)})
        SigV4Auth(self._frozen(), self._service, self._region).add_auth(to_sign)
        for name in MADE:
            request.headers.pop(name, None)
            if name in to_sign.headers:
                request.headers[name] = to_sign.headers[name]
        return request

    @property
    def told(self) -> str:
        """See `http.Identity`: which key that was found, and where, by the end of its id."""
        key, found = self._frozen().access_key or "", self._source
        role = f", for the role {self._role}" if self._role else ""
        return f"AWS signature with the key …{key[-4:]} ({found.method if found else 'none'}{role})"

    def _frozen(self) -> "ReadOnlyCredentials":
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self._lock:
                if self._source is None:
                    self._source = self._load()
                source = self._source
            frozen = source.get_frozen_credentials()
            keep(frozen.secret_key or "")
            keep(frozen.token or "")
            return frozen
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise AccessDenied(
                f"{self._who}: the role {self._role} cannot be assumed ({code}): check that its trust policy "
                "names you, and that you may call sts:AssumeRole"
            ) from None
        except BotoCoreError as error:
            why = strike(" ".join(str(error).split()))[:200]
            raise AccessDenied(f"{self._who}: no AWS credentials can be had ({why}): {REMEDY}") from None

    def _load(self) -> "Credentials":
        import boto3
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.exceptions import ProfileNotFound

        try:
            session = boto3.session.Session(profile_name=self._profile or None)
            found: Any = session.get_credentials()
        except ProfileNotFound as error:
            raise WrongUsage(f"{self._who}: {error}") from None
        self._region = self._region or session.region_name or ""
        if not self._region:
            raise WrongUsage(f"{self._who}: requests are signed for a region: name it with AWS_DEFAULT_REGION")
        if found is None:
            raise AccessDenied(f"{self._who}: there are no AWS credentials: {REMEDY}")
        if not self._role:
            return found  # type: ignore[no-any-return]

        def client(service: str, **options: Any) -> Any:
            return session.client(service, region_name=self._region, **options)  # type: ignore[call-overload]

        fetcher = AssumeRoleCredentialFetcher(client, found, self._role, {"RoleSessionName": "runsync"})
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _is_signed(name: str) -> bool:
    return name.lower() in SIGNED or name.lower().startswith("x-")


def _with_plain_spaces(url: str) -> str:
    """With %20 in the query: a plus sign is a plus sign to Amazon."""
    path, mark, query = url.partition("?")
    return path + mark + query.replace("+", "%20")


def _hash_of_body(request: requests.PreparedRequest) -> str:
    """SHA-256. A stream is read to its end for it, and kept until it is sent."""
    body: Any = request.body
    if body is None or isinstance(body, (bytes, str)):
        return hashlib.sha256(body.encode() if isinstance(body, str) else body or b"").hexdigest()
    request.body, digest = _kept(request, body)  # type: ignore[assignment]
    return digest


def _kept(request: requests.PreparedRequest, stream: Readable) -> tuple[bytes | IO[bytes], str]:
    """What a stream holds, and its hash: in memory, or on disk until the request is answered."""
    running = hashlib.sha256()
    pieces: list[bytes] = []
    file: IO[bytes] | None = None
    while piece := stream.read(CHUNK):
        running.update(piece)
        pieces.append(piece)
        if file is None and sum(map(len, pieces)) > IN_MEMORY:
            file = _closed_once_answered(request)
        if file is not None:
            file.writelines(pieces)
            pieces.clear()
    if file is None:
        return b"".join(pieces), running.hexdigest()
    file.seek(0)
    return file, running.hexdigest()


def _closed_once_answered(request: requests.PreparedRequest) -> IO[bytes]:
    """A new file on disk."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    request.hooks["response"].append(lambda response, **_: file.close())
    return file
