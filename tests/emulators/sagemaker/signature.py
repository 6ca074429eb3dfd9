"""Signature Version 4 as its description has it, without botocore: what a request should have been signed with."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class Claim:
    """What the header Authorization says."""

    key: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str

    @classmethod
    def read(cls, header: str) -> "Claim | None":
        """None when it is no such header."""
        found = _AUTHORIZATION.fullmatch(header)
        if not found:
            return None
        key, day, region, service, signed, signature = found.groups()
        return cls(key, day, region, service, tuple(signed.split(";")), signature)

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def canonical(method: str, target: str, headers: Mapping[str, str], signed: tuple[str, ...], digest: str) -> str:
    """The canonical request. Paths are encoded twice, as everywhere but in S3."""
    path, _, query = target.partition("?")
    lines = [f"{name}:{' '.join(headers[name].split())}\n" for name in signed]
    return "\n".join([method, quote(path, safe="/~"), _query(query), "".join(lines), ";".join(signed), digest])


def to_sign(date: str, claim: Claim, request: str) -> str:
    """The string that is signed."""
    return "\n".join([ALGORITHM, date, claim.scope, hashlib.sha256(request.encode()).hexdigest()])


def signature(secret: str, claim: Claim, text: str) -> str:
    """Of that string."""
    key = f"AWS4{secret}".encode()
    for part in (claim.day, claim.region, claim.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def moment(date: str) -> datetime:
    """Of an x-amz-date. Raises ValueError."""
    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _query(query: str) -> str:
    """Sorted, each name and value encoded anew: `+` means itself."""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(sorted(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text), safe="-_.~")
