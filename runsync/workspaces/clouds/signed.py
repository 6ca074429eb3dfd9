"""What all storage behind signed addresses wants: none of our credentials, and patience with long downloads."""

import os
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from runsync.errors import Interrupted, RequestRefused
from runsync.secrecy import keep_url
from runsync.version import VERSION
from runsync.workspaces.http import BROKEN, CHUNK, Client
from runsync.workspaces.s3_artifacts import ignores_tls


def bare_session() -> requests.Session:
    """Without our credentials and headers: a signed address says all, and goes to another host."""
    session = requests.Session()
    session.trust_env = False  # no .netrc
    session.auth = _keep_signature
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.verify = False if ignores_tls() else bundle
    session.headers["User-Agent"] = f"runsync/{VERSION}"
    return session


def _keep_signature(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Storage that refuses an address may quote it."""
    keep_url(request.url or "")
    return request


def chunks(
    client: Client, response: requests.Response, ask: Callable[[Mapping[str, str]], requests.Response | None]
) -> Iterator[bytes]:
    """The body of a response. A connection that breaks is taken up where it broke.

    `ask` gives the response to the same request with these headers, None where there is none to be had. It keeps to the
    limits and the patience of `client`. Raises RequestRefused, and Interrupted once that is closed.
    """
    received = failures = 0
    tag = response.headers.get("ETag", "")
    while True:
        try:
            # Not decoded: MLflow stores x.csv.gz with the header “Content-Encoding: gzip”.
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                if client.is_closed:
                    raise Interrupted("stopped")
                client.limits.received(len(chunk))
                received += len(chunk)
                failures = 0
                yield chunk
            return
        except BROKEN as error:
            failures += 1
            host = urlsplit(response.url).netloc  # as a whole the address is a secret
            problem = f"{host}: the connection breaks after {received} bytes ({type(error).__name__})"
        finally:
            response.close()
        if failures >= client.patience.tries:
            raise RequestRefused(problem)
        client.pause(client.patience.delay(failures))
        again = ask(_rest(received, tag))
        if again is None:
            raise RequestRefused(problem)
        if received and again.status_code != HTTPStatus.PARTIAL_CONTENT:
            again.close()
            raise RequestRefused(f"{problem}, and the rest is not to be had")
        response = again


def _rest(received: int, tag: str) -> dict[str, str]:
    """What asks for the bytes after so many, of the very same file."""
    return {"Range": f"bytes={received}-", **({"If-Match": tag} if tag else {})} if received else {}
