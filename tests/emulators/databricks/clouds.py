"""Three clouds' storage behind signed URLs: S3, GCS, Azure blobs and ADLS Gen2.

A URL is good for one method, one object and some minutes. It carries its own authorization: sending another one, or
leaving out a header that came with it, is refused as the real services do.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

from support.secrets import new_secret

from emulators.databricks import unity_storage
from emulators.databricks.errors import CloudRefusal
from emulators.databricks.signing import SIGNERS, TYPES
from emulators.server import Reply, Request

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

BLOCK_HEADERS = frozenset(
    [
        "x-ms-blob-type",
        "x-ms-date",
        "x-ms-version",
        "content-md5",
        "x-ms-content-crc64",
        "x-ms-encryption-scope",
        "x-ms-lease-id",
        "x-ms-client-request-id",
        "x-ms-encryption-key",
        "x-ms-encryption-key-sha256",
        "x-ms-encryption-algorithm",
    ]
)
BLOCK_LIST_HEADERS = frozenset(
    [
        "x-ms-date",
        "x-ms-version",
        "content-md5",
        "x-ms-content-crc64",
        "x-ms-blob-cache-control",
        "x-ms-blob-content-type",
        "x-ms-blob-content-encoding",
        "x-ms-blob-content-language",
        "x-ms-blob-content-md5",
        "x-ms-encryption-scope",
        "x-ms-tags",
        "x-ms-lease-id",
        "x-ms-client-request-id",
        "x-ms-blob-content-disposition",
        "x-ms-access-tier",
    ]
)
ADLS_HEADERS = frozenset(
    [
        "x-ms-date",
        "x-ms-version",
        "x-ms-client-request-id",
        "x-ms-lease-id",
        "x-ms-content-type",
        "x-ms-content-encoding",
        "x-ms-content-language",
        "x-ms-content-disposition",
        "x-ms-cache-control",
        "x-ms-properties",
        "x-ms-permissions",
        "x-ms-umask",
        "x-ms-owner",
        "x-ms-group",
        "x-ms-acl",
        "x-ms-encryption-key",
        "x-ms-encryption-key-sha256",
        "x-ms-encryption-algorithm",
        "x-ms-encryption-context",
        "x-ms-content-md5",
        "x-ms-proposed-lease-id",
        "x-ms-expiry-option",
        "x-ms-expiry-time",
    ]
)
BLOCK_BYTES = 4000 << 20
BLOCKS = 50_000


@dataclass(frozen=True)
class Grant:
    """What one signed URL permits. `expires` in seconds since the epoch; `part` of `upload` for S3's parts."""

    method: str
    key: str
    raw_path: str
    query: Mapping[str, str]
    expires: float
    headers: Mapping[str, str]
    upload: str = ""
    part: int = 0


@dataclass
class Upload:
    """An S3 multipart upload that is under way: content and ETag of each part."""

    key: str
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


class Storage:
    """All objects by key, and the URLs that were signed for them."""

    def __init__(self, workspace: "Databricks") -> None:
        self._workspace = workspace
        self._grants: dict[str, Grant] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, Upload] = {}
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._appended: dict[str, dict[int, bytes]] = {}

    def signatures(self) -> set[str]:
        """The signatures of all URLs that were given out."""
        return set(self._grants)

    def expire(self) -> None:
        """Makes every URL that was given out an expired one."""
        now = self._workspace.clock.now()
        for signature, grant in self._grants.items():
            self._grants[signature] = Grant(**(grant.__dict__ | {"expires": min(grant.expires, now)}))

    def signed(self, method: str, key: str, upload: str = "", part: int = 0) -> dict[str, Any]:
        """A new URL for an object, as a credential tells it: `signed_uri`, `headers`, `type`."""
        workspace, signature = self._workspace, new_secret("the signature of an address", digits=64)
        lifetime = workspace.limits.url_lifetime
        expires = workspace.clock.now() + lifetime
        writes = method == "PUT" and not upload
        query, headers = SIGNERS[workspace.cloud](signature, expires, lifetime, writes)
        if upload:
            query |= {"uploadId": upload} | ({"partNumber": str(part)} if part else {})
        raw_path = "/" + quote(f"container-{workspace.workspace_id}{key}", safe="/~")
        granted = {name.lower(): value for name, value in headers.items()}
        self._grants[signature] = Grant(method, key, raw_path, query, expires, granted, upload, part)
        return {
            "signed_uri": f"{workspace.cloud_url}{raw_path}?{urlencode(query)}",
            "headers": [{"name": name, "value": value} for name, value in headers.items()],
            "type": TYPES[workspace.cloud],
        }

    def answer(self, request: Request) -> Reply:
        """What the cloud answers. Raises CloudRefusal."""
        if reply := unity_storage.answer(self._workspace, request):
            return reply
        path, _, text = request.target.partition("?")
        pairs = parse_qsl(text, keep_blank_values=True)
        query = dict(pairs)
        if len(query) < len(pairs):
            raise CloudRefusal(400, "InvalidQueryParameterValue", "A parameter is given twice", violation=True)
        if "authorization" in request.headers:
            message = "Only one auth mechanism allowed; the URL is signed, and Authorization was sent too"
            raise CloudRefusal(400, "InvalidArgument", message, violation=True)
        grant = self._grant(query)
        extra = self._check(request, path, query, grant)
        if request.chunked:
            message = "A header you provided implies functionality that is not implemented: Transfer-Encoding"
            raise CloudRefusal(501, "NotImplemented", message, violation=True)
        if request.method in {"GET", "HEAD"}:
            return self._read(request, grant, extra)
        return self._write(request, grant, extra)

    def _grant(self, query: Mapping[str, str]) -> Grant:
        for name in ("X-Amz-Signature", "X-Goog-Signature", "sig"):
            if name in query and query[name] in self._grants:
                return self._grants[query[name]]
        raise CloudRefusal(403, "SignatureDoesNotMatch", "The signature of the URL is not right", violation=True)

    def _check(self, request: Request, path: str, query: Mapping[str, str], grant: Grant) -> dict[str, str]:
        """The parameters that the client added to the URL. Raises CloudRefusal."""
        azure = self._workspace.cloud in {"azure", "adls"}
        further = {"PATCH", "DELETE"} if self._workspace.cloud == "adls" else {"PATCH"}
        method = "PUT" if azure and grant.method == "PUT" and request.method in further else request.method
        changed = {name: value for name, value in grant.query.items() if query.get(name) != value}
        extra = {name: value for name, value in query.items() if name not in grant.query}
        if path != grant.raw_path or changed or method != grant.method or (extra and not azure):
            what = "The request is not the one that was signed"
            raise CloudRefusal(403, "SignatureDoesNotMatch", what, violation=True)
        if self._workspace.clock.now() >= grant.expires:
            raise CloudRefusal(403, "AuthenticationFailed" if azure else "AccessDenied", "Request has expired")
        self._check_headers(request, grant)
        return extra

    def _check_headers(self, request: Request, grant: Grant) -> None:
        blocks = self._workspace.cloud in {"azure", "adls"}
        for name, value in grant.headers.items():
            if request.headers.get(name) != value and not (blocks and name == "x-ms-blob-type"):
                message = f"The header {name} came with the URL and was not sent"
                raise CloudRefusal(403, "AccessDenied", message, violation=True)
        for name in request.headers:
            if name.startswith(("x-amz-", "x-goog-")) and name not in grant.headers:
                raise CloudRefusal(403, "AccessDenied", f"The header {name} was not signed", violation=True)

    def _read(self, request: Request, grant: Grant, extra: Mapping[str, str]) -> Reply:
        if extra:
            raise CloudRefusal(400, "InvalidQueryParameterValue", f"Unknown: {sorted(extra)}", violation=True)
        content = self.objects.get(grant.key)
        if content is None:
            raise CloudRefusal(404, "NoSuchKey", "The specified key does not exist.")
        headers = {"ETag": _etag(content), "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if match is None:
            return Reply(200, content, headers)
        begin, end = int(match[1]), min(int(match[2] or len(content) - 1), len(content) - 1)
        if begin > end:
            raise CloudRefusal(416, "InvalidRange", "The requested range cannot be satisfied")
        headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
        return Reply(206, content[begin : end + 1], headers)

    def _write(self, request: Request, grant: Grant, extra: Mapping[str, str]) -> Reply:
        if grant.upload:
            return self._part(request, grant)
        if self._workspace.cloud == "azure":
            return self._blob(request, grant.key, extra)
        if self._workspace.cloud == "adls":
            return self.adls(request, grant.key, extra)
        self._check_md5(request)
        self.objects[grant.key] = request.body
        return Reply(200, b"", {"ETag": _etag(request.body)})

    def _part(self, request: Request, grant: Grant) -> Reply:
        upload = self.uploads.get(grant.upload)
        if upload is None:
            raise CloudRefusal(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        if request.method == "DELETE":
            del self.uploads[grant.upload]
            return Reply(204)
        self._check_md5(request)
        tag = _etag(request.body)
        upload.parts[grant.part] = (request.body, tag)
        return Reply(200, b"", {"ETag": tag})

    def _check_md5(self, request: Request) -> None:
        digest = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        if request.headers.get("content-md5", digest) != digest:
            raise CloudRefusal(400, "BadDigest", "The Content-MD5 you specified did not match")

    def complete(self, upload_id: str, tags: list[tuple[int, str]]) -> None:
        """Puts an S3 object together of its parts. Raises CloudRefusal."""
        upload = self.uploads[upload_id]
        numbers = [number for number, _ in tags]
        if numbers != sorted(set(numbers)) or not numbers:
            raise CloudRefusal(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, tag in tags:
            if number not in upload.parts or upload.parts[number][1].strip('"') != tag.strip('"'):
                raise CloudRefusal(400, "InvalidPart", f"Part {number} could not be found, or its ETag differs.")
        smallest = self._workspace.limits.part_minimum
        if any(len(upload.parts[number][0]) < smallest for number in numbers[:-1]):
            raise CloudRefusal(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum")
        self.objects[upload.key] = b"".join(upload.parts[number][0] for number in numbers)
        del self.uploads[upload_id]

    def _blob(self, request: Request, key: str, extra: Mapping[str, str]) -> Reply:
        operation = extra.get("comp", "")
        if request.method != "PUT" or set(extra) - {"comp", "blockid"}:
            raise CloudRefusal(400, "InvalidQueryParameterValue", f"Unknown: {sorted(extra)}", violation=True)
        if operation == "block":
            _only(request, BLOCK_HEADERS)
            return self._block(request, key, extra.get("blockid", ""))
        if operation == "blocklist":
            _only(request, BLOCK_LIST_HEADERS)
            return self._block_list(request, key)
        if operation:
            raise CloudRefusal(400, "InvalidQueryParameterValue", f"comp={operation}", violation=True)
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise CloudRefusal(400, "MissingRequiredHeader", "x-ms-blob-type", violation=True)
        self.objects[key] = request.body
        return Reply(201, b"", {"ETag": _etag(request.body)})

    def _block(self, request: Request, key: str, block: str) -> Reply:
        blocks = self._blocks.setdefault(key, {})
        try:
            decoded = base64.b64decode(block, validate=True)
        except binascii.Error:
            decoded = b""
        if not 0 < len(decoded) <= 64 or any(len(each) != len(block) for each in blocks):
            message = "The block id is not base64, too long, or not as long as the others"
            raise CloudRefusal(400, "InvalidBlobOrBlock", message, violation=True)
        if not request.body or len(request.body) > BLOCK_BYTES or len(blocks) >= 2 * BLOCKS:
            raise CloudRefusal(400, "InvalidHeaderValue", "The block is empty or too big", violation=True)
        blocks[block] = request.body
        return Reply(201)

    def _block_list(self, request: Request, key: str) -> Reply:
        try:
            tree = ElementTree.fromstring(request.body)
        except ElementTree.ParseError:
            raise CloudRefusal(400, "InvalidXmlDocument", "Not XML", violation=True) from None
        blocks = self._blocks.pop(key, {})
        named = [(each.text or "").strip() for each in tree]
        if tree.tag != "BlockList" or any(each not in blocks for each in named) or len(named) > BLOCKS:
            raise CloudRefusal(400, "InvalidBlockList", "The specified block list is invalid.")
        self.objects[key] = b"".join(blocks[each] for each in named)
        return Reply(201, b"", {"ETag": _etag(self.objects[key])})

    def adls(self, request: Request, key: str, extra: Mapping[str, str]) -> Reply:
        """Writes to ADLS Gen2: a new file, bytes at a position, what makes them count. Raises CloudRefusal."""
        _only(request, ADLS_HEADERS)
        if request.method == "PUT":
            if dict(extra) != {"resource": "file"} or request.body:
                raise CloudRefusal(400, "InvalidQueryParameterValue", f"{dict(extra)}", violation=True)
            self.objects[key] = b""
            self._appended[key] = {}
            return Reply(201)
        if key not in self.objects:
            raise CloudRefusal(404, "PathNotFound", "The specified path does not exist.")
        if request.method == "DELETE":
            del self.objects[key]
            return Reply(200)
        if not extra.get("position", "").isdigit() or set(extra) - {"action", "position", "flush"}:
            raise CloudRefusal(400, "InvalidQueryParameterValue", f"{dict(extra)}", violation=True)
        return self._patch(request, key, extra["action"], int(extra["position"]), extra.get("flush") == "true")

    def _patch(self, request: Request, key: str, action: str, position: int, flush: bool) -> Reply:
        if action == "append":
            if not request.body or position < len(self.objects[key]):
                raise CloudRefusal(400, "InvalidQueryParameterValue", f"append at {position}", violation=True)
            self._appended[key][position] = request.body
            if flush:
                self._flush(key, position + len(request.body))
            return Reply(202)
        if action != "flush" or request.body:
            raise CloudRefusal(400, "InvalidQueryParameterValue", f"action={action}", violation=True)
        self._flush(key, position)
        return Reply(200)

    def _flush(self, key: str, end: int) -> None:
        parts, at = [self.objects[key]], len(self.objects[key])
        for position, part in sorted(self._appended[key].items()):
            if position != at:
                break
            parts.append(part)
            at += len(part)
        if at != end:
            message = f"The uploaded data is not contiguous, or ends at {at} and not at {end}"
            raise CloudRefusal(400, "InvalidFlushPosition", message)
        self.objects[key] = b"".join(parts)
        self._appended[key] = {}


def _only(request: Request, allowed: frozenset[str]) -> None:
    for name in request.headers:
        if name.startswith("x-ms-") and name not in allowed and not name.startswith("x-ms-meta-"):
            raise CloudRefusal(400, "UnsupportedHeader", f"{name} is not for this operation", violation=True)
    if "x-ms-version" not in request.headers:
        raise CloudRefusal(400, "MissingRequiredHeader", "x-ms-version", violation=True)


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
