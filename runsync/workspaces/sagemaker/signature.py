"""Requests signed as Amazon wants them (Signature Version 4), by botocore and with its chain of credentials."""

import email.utils
import hashlib
import tempfile
import time
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from runsync.errors import AccessDenied, WrongUsage
from runsync.secrecy import keep, strike
from runsync.workspaces.http import CHUNK, Readable
from runsync.workspaces.sagemaker.address import ROLE, Arn
from runsync.workspaces.sagemaker.refusal import Refusal

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

IN_MEMORY = 8 << 20
"""Bytes of a streamed body above which it waits on disk until its hash is known."""
SIGNED = ("host", "content-type")
"""Besides all that begin with x-. What a proxy on the way may change, Connection above all, stays unsigned."""
MADE = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
REMEDY = "name a profile with AWS_PROFILE (or s3_profile in runsync.toml), set AWS_ACCESS_KEY_ID, or aws sso login"


class Signature(AuthBase):
    """Signs each request anew, with credentials that are fresh. Safe for many threads."""

    kind = "AWS signature"

    def __init__(self, arn: Arn, profile: str = "", role: str = "") -> None:
        self._arn = arn
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
        SigV4Auth(self._frozen(), self._arn.service, self._arn.region).add_auth(to_sign)
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

    def renew(self, response: requests.Response) -> bool:
        """Whether there are other credentials by now than those that had expired.

        Raises AccessDenied for what Amazon refuses before MLflow hears of it, with what to do about it.
        """
        refusal = Refusal.of(response)
        if refusal is None:
            return False
        if refusal.is_expired and self._has_others_than(response.request):
            return True
        skew = _seconds_ahead(response)
        raise AccessDenied(f"{self._arn}: {refusal.advice(self._arn, skew)}", response.status_code, refusal.code)

    def _has_others_than(self, refused: requests.PreparedRequest) -> bool:
        """Others may have logged in again: files of credentials are read once more."""
        with self._lock:
            self._source = None
        now = self._frozen()
        used = refused.headers.get("Authorization", "")
        return f"Credential={now.access_key}/" not in used or now.token != refused.headers.get("X-Amz-Security-Token")

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
                f"{self._arn}: the role {self._role} of {ROLE} cannot be assumed ({code}): check that its trust policy "
                "names you, and that you may call sts:AssumeRole"
            ) from None
        except BotoCoreError as error:
            why = strike(" ".join(str(error).split()))[:200]
            raise AccessDenied(f"{self._arn}: no AWS credentials can be had ({why}): {REMEDY}") from None

    def _load(self) -> "Credentials":
        import boto3
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.exceptions import ProfileNotFound

        try:
            session = boto3.session.Session(profile_name=self._profile or None)
            found: Any = session.get_credentials()
        except ProfileNotFound as error:
            raise WrongUsage(f"{self._arn}: {error}") from None
        if found is None:
            raise AccessDenied(f"{self._arn}: there are no AWS credentials: {REMEDY}")
        if not self._role:
            return found  # type: ignore[no-any-return]

        def client(service: str, **options: Any) -> Any:
            return session.client(service, region_name=self._arn.region, **options)  # type: ignore[call-overload]

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


def _seconds_ahead(response: requests.Response) -> float:
    """How much this machine's clock is ahead of the server's, as far as an answer tells."""
    try:
        return time.time() - email.utils.parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0
