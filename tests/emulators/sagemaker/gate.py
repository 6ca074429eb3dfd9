"""The gate: lets through what is signed as it must be, and answers all else as Amazon would."""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Self
from urllib.parse import urlsplit

import requests
from support.secrets import SEARCH

from emulators.sagemaker import signature
from emulators.sagemaker.signature import Claim
from emulators.server import Reply, Request, Server

WINDOW = timedelta(minutes=5)
HEADERS = {"x-mlflow-sm-tracking-server-arn": "sagemaker-mlflow", "x-sm-mlflow-app-arn": "sagemaker"}
MUST_BE_SIGNED = {"host", "x-amz-date"}
NOT_FORWARDED = {"authorization", "host", "connection", "content-length", "transfer-encoding", *HEADERS}


@dataclass(frozen=True)
class Key:
    """An access key. `token` goes with temporary ones; `until` is when they end; `may` are the paths it may ask for."""

    secret: str
    token: str = ""
    until: datetime | None = None
    may: str = ""


@dataclass
class Fault:
    """An answer to the next `count` requests whose path matches, in place of the server's."""

    path: str
    status: int
    count: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One request: what was answered, with Amazon's own word where it was refused."""

    request: Request
    status: int
    refusal: str = ""


class _Refused(Exception):
    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Gate:
    """`servers` are the addresses of MLflow servers by ARN, `keys` the secrets by access key.

    `clock` is the time here; `url` goes into SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT.
    """

    def __init__(self, servers: Mapping[str, str], keys: Mapping[str, Key]) -> None:
        self.servers = dict(servers)
        self.keys: dict[str, Key] = {}
        for name, key in keys.items():
            self.admit(name, key)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._server = Server(self._answer)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def admit(self, name: str, key: Key) -> None:
        """From now on `name` may sign with that key."""
        self.keys[name] = key
        SEARCH.keep(key.secret, "a secret access key")
        if key.token:
            SEARCH.keep(key.token, "a session token")

    def forget(self) -> None:
        """All that was seen and the faults."""
        self.seen.clear()
        self.faults.clear()

    def asked(self, path: str = "") -> list[Seen]:
        """What was seen of requests whose target matches."""
        return [seen for seen in self.seen if re.search(path, seen.request.target)]

    def _answer(self, request: Request) -> Reply:
        refusal = ""
        try:
            arn = self._check(request)
            reply = self._fault(request) or forward(self.servers[arn], request)
        except _Refused as error:
            refusal = error.code
            body = json.dumps({"message": str(error)}).encode()
            kind = {"Content-Type": "application/json", "x-amzn-ErrorType": f"{error.code}:http://internal.amazon.com/"}
            reply = Reply(error.status, body, kind)
        reply.headers["Date"] = format_datetime(self.clock(), usegmt=True)
        self.seen.append(Seen(request, reply.status, refusal))
        return reply

    def _fault(self, request: Request) -> Reply | None:
        with self._lock:
            for fault in self.faults:
                if fault.count and re.search(fault.path, request.target):
                    fault.count -= 1
                    return Reply(fault.status, b'{"message":"Service Unavailable"}', dict(fault.headers))
        return None

    def _check(self, request: Request) -> str:
        """The ARN that a request may speak to."""
        headers = request.headers
        claim = Claim.read(headers.get("authorization", ""))
        if claim is None:
            raise _Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
        key = self.keys.get(claim.key)
        if key is None or headers.get("x-amz-security-token", "") != key.token:
            raise _Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if key.until is not None and self.clock() >= key.until:
            raise _Refused("ExpiredTokenException", "The security token included in the request is expired")
        arn = self._arn(headers, claim)
        self._check_date(headers.get("x-amz-date", ""), claim)
        _check_signature(request, claim, key)
        if not re.search(key.may, request.target):
            action = "".join(part.title() for part in request.target.partition("?")[0].split("/")[-2:])
            who = "arn:aws:sts::123456789012:assumed-role/Role/me"
            raise _Refused(
                "AccessDeniedException",
                f"User: {who} is not authorized to perform: {claim.service}:{action} on resource: {arn}",
            )
        return arn

    def _arn(self, headers: Mapping[str, str], claim: Claim) -> str:
        told = [name for name in HEADERS if name in headers]
        if len(told) != 1 or told[0] not in claim.signed:
            raise _Refused("ValidationException", "exactly one signed header must name the ARN", 400)
        arn, service = headers[told[0]], HEADERS[told[0]]
        if claim.service != service:
            text = f"Credential should be scoped to correct service: '{service}'. "
            raise _Refused("InvalidSignatureException", text)
        if arn not in self.servers:
            raise _Refused("AccessDeniedException", f"{claim.key} is not authorized to perform this on resource: {arn}")
        if claim.region != arn.split(":")[3]:
            raise _Refused("InvalidSignatureException", "Credential should be scoped to a valid region. ")
        return arn

    def _check_date(self, date: str, claim: Claim) -> None:
        try:
            at = signature.moment(date)
        except ValueError:
            raise _Refused("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'", 400) from None
        now = self.clock()
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        if at < now - WINDOW:
            text = f"Signature expired: {date} is now earlier than {now - WINDOW:%Y%m%dT%H%M%SZ} ({stamp} - 5 min.)"
            raise _Refused("InvalidSignatureException", text)
        if at > now + WINDOW:
            end = f"{now + WINDOW:%Y%m%dT%H%M%SZ}"
            text = f"Signature not yet current: {date} is still later than {end} ({stamp} + 5 min.)"
            raise _Refused("InvalidSignatureException", text)
        if claim.day != date[:8]:
            raise _Refused("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD")


def _check_signature(request: Request, claim: Claim, key: Key) -> None:
    headers = request.headers
    missing = {name for name in headers if name.startswith("x-")} | MUST_BE_SIGNED
    missing -= set(claim.signed)
    if missing or not set(claim.signed) <= set(headers) or list(claim.signed) != sorted(claim.signed):
        raise _Refused("InvalidSignatureException", f"headers must be signed: {', '.join(sorted(missing))}")
    if "connection" in claim.signed:
        raise _Refused("InvalidSignatureException", "Connection is taken away before the signature is looked at")
    digest = hashlib.sha256(request.body).hexdigest()
    made = signature.canonical(request.method, request.target, headers, claim.signed, digest)
    text = signature.to_sign(headers["x-amz-date"], claim, made)
    right = signature.signature(key.secret, claim, text)
    if headers.get("x-amz-content-sha256") != digest or not hmac.compare_digest(right, claim.signature):
        raise _Refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.\n\n"
            f"The Canonical String for this request should have been\n'{made}'\n\n"
            f"The String-to-Sign should have been\n'{text}'\n",
        )


def forward(server: str, request: Request) -> Reply:
    """What the server behind the gate answers to a request, as it came but for what the gate is for."""
    assert urlsplit(server).hostname == "127.0.0.1"
    SEARCH.look(f"{request.method} {request.target}", request.target)
    SEARCH.look(f"what {request.method} {request.target} sends", request.body)
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in NOT_FORWARDED and not name.startswith("x-amz-")
    }
    with requests.Session() as session:
        session.trust_env = False
        # As it came: a prepared request keeps what requests would encode once more.
        prepared = requests.Request(request.method, server, headers=kept, data=request.body).prepare()
        prepared.url = server + request.target
        answer = session.send(prepared, stream=True, allow_redirects=False, timeout=300)
        body = answer.raw.read(decode_content=False)
    told = {name: value for name, value in answer.headers.items() if name.lower() in _TOLD}
    return Reply(answer.status_code, body, told)


_TOLD = {"content-type", "content-encoding", "content-range", "accept-ranges", "location", "retry-after"}
