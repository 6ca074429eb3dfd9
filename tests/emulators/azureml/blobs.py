"""Blobs behind signed addresses, whole and in blocks: one that has ended, or comes with our token, is refused."""

import base64
import hashlib
import itertools
import re
import time
from urllib.parse import parse_qs, quote, unquote

from support.secrets import MARK, SEARCH

from emulators.server import Reply, Request

PLACE = "/blobs/"


class Blobs:
    """`ended` is how many of the next addresses are given out too late."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ended = 0
        self.url = ""
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._numbers = itertools.count()

    def sign(self, name: str, rights: str) -> str:
        """An address for one blob: `r` to read, `cw` to write."""
        lasts, self.ended = (-1, self.ended - 1) if self.ended else (60, 0)
        end = f"{time.time() + lasts:.3f}"
        number = next(self._numbers)
        query = f"sv=2019-07-07&sp={rights}&n={number}&se={end}"
        signature = SEARCH.keep(self._signature(name, query), "the signature of an address")
        return f"{self.url}{PLACE}{quote(name)}?{query}&sig=SAS{signature}"

    def answer(self, request: Request) -> Reply:
        """A request to a blob."""
        path, _, query = request.target.partition("?")
        name, asked = unquote(path.removeprefix(PLACE)), {key: value[0] for key, value in parse_qs(query).items()}
        signed = re.match(r"(sv=.*&se=[\d.]+)&sig=SAS(\w+)", query)
        if "authorization" in request.headers:
            return _refused(400, "InvalidAuthenticationInfo")
        if not signed or signed[2] != self._signature(name, signed[1]) or float(asked["se"]) < time.time():
            return _refused(403, "AuthenticationFailed")
        if ("r" if request.method in ("GET", "HEAD") else "w") not in asked["sp"]:
            return _refused(403, "AuthorizationPermissionMismatch")
        if request.method == "PUT":
            return self._put(name, asked, request)
        return self._get(name, request.headers.get("range", ""))

    def _put(self, name: str, asked: dict[str, str], request: Request) -> Reply:
        blocks = self._blocks.setdefault(name, {})
        if asked.get("comp") == "block":
            blocks[asked["blockid"]] = request.body
        elif asked.get("comp") == "blocklist":
            ids = re.findall(r"<Uncommitted>([^<]+)</Uncommitted>", request.body.decode())
            if not set(ids) <= set(blocks):
                return _refused(400, "InvalidBlockList")
            self.files[name] = b"".join(blocks[block] for block in ids)
            del self._blocks[name]
        elif request.headers.get("x-ms-blob-type") == "BlockBlob":
            self.files[name] = request.body
        else:
            return _refused(400, "MissingRequiredHeader")
        return Reply(201)

    def _get(self, name: str, asked: str) -> Reply:
        content = self.files.get(name)
        if content is None:
            return _refused(404, "BlobNotFound")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        return Reply(206 if start else 200, content[start:], {"ETag": f'"{len(content)}"'})

    def _signature(self, name: str, query: str) -> str:
        return MARK + hashlib.sha256(f"{base64.b64encode(name.encode())!r}{query}".encode()).hexdigest()


def _refused(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), {"x-ms-error-code": code})
