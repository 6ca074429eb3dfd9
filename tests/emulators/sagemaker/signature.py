"""Signature Version 4, checked from what came over the wire (AWS: “Create a signed AWS API request”)."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from emulators.server import Request

SHAPE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
SKEW = 5 * 60
"""How far a request's time may be from now, in seconds."""


@dataclass(frozen=True)
class Keys:
    """What a request is signed with. `token` is that of temporary credentials, or empty."""

    access_key: str
    secret_key: str
    token: str
    region: str
    service: str


class Unsigned(Exception):
    """A request whose signature is not right, and why."""


def verify(request: Request, keys: Keys, must_be_signed: frozenset[str], now: float) -> None:
    """Raises Unsigned."""
    match = SHAPE.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise Unsigned("Missing Authentication Token")
    if (match["key"], match["region"], match["service"]) != (keys.access_key, keys.region, keys.service):
        raise Unsigned(f"Credential should be scoped to {keys.region}/{keys.service} and to a known key")
    signed = match["signed"].split(";")
    missing = sorted((must_be_signed | {"host", "x-amz-date", "x-amz-content-sha256"}) - set(signed))
    if missing or signed != sorted(signed):
        raise Unsigned(f"These headers must be signed, all in order: {missing or signed}")
    if "connection" in signed:
        raise Unsigned("The header Connection does not arrive as it was signed")
    if keys.token and (
        request.headers.get("x-amz-security-token") != keys.token or "x-amz-security-token" not in signed
    ):
        raise Unsigned("The security token included in the request is invalid")
    _check_time(request.headers["x-amz-date"], match["date"], now)
    digest = hashlib.sha256(request.body).hexdigest()
    if request.headers["x-amz-content-sha256"] != digest:
        raise Unsigned("The provided x-amz-content-sha256 does not match what was computed")
    if match["signature"] != _signature(request, keys, signed, match["date"], digest):
        raise Unsigned("The request signature we calculated does not match the signature you provided.")


def _check_time(stamp: str, date: str, now: float) -> None:
    try:
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Unsigned("x-amz-date is no time") from None
    if abs(at - now) > SKEW or not stamp.startswith(date):
        raise Unsigned(f"Signature expired: {stamp} is too far from now")


def _signature(request: Request, keys: Keys, signed: list[str], date: str, digest: str) -> str:
    path, _, query = request.target.partition("?")
    headers = "".join(f"{name}:{' '.join(_header(request.headers, name).split())}\n" for name in signed)
    # Every service but S3 encodes the path, encoded as it is, once more.
    canonical = [request.method, quote(path, safe="/~"), _query(query), headers, ";".join(signed), digest]
    scope = f"{date}/{keys.region}/{keys.service}/aws4_request"
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashed])
    key = f"AWS4{keys.secret_key}".encode()
    for each in (date, keys.region, keys.service, "aws4_request"):
        key = hmac.digest(key, each.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _header(headers: Mapping[str, str], name: str) -> str:
    if name not in headers:
        raise Unsigned(f"The header {name} was signed and did not arrive")
    return headers[name]


def _query(text: str) -> str:
    """The query in its canonical form. Raises Unsigned for a blank that is written `+`: its meaning is not sure."""
    if "+" in text:
        raise Unsigned("A + in the query must be written %20 or %2B")
    pairs = [each.partition("=") for each in text.split("&") if each]
    encoded = sorted((quote(unquote(name), safe="~"), quote(unquote(value), safe="~")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
