"""What all storage behind signed addresses wants: none of our credentials, and an address that may be asked."""

from urllib.parse import urlsplit

import requests

from runsync.errors import RequestRefused
from runsync.secrecy import keep_signature
from runsync.version import VERSION
from runsync.workspaces.address import ip_of, is_loopback
from runsync.workspaces.http import authorities, connect
from runsync.workspaces.s3_artifacts import ignores_tls


def bare_session(connections: int) -> requests.Session:
    """Without our credentials and headers: a signed address says all, and goes to another host."""
    session = requests.Session()
    connect(session, connections)
    session.trust_env = False  # no .netrc
    session.auth = _keep_signature
    session.verify = False if ignores_tls() else authorities() or True
    session.headers["User-Agent"] = f"runsync/{VERSION}"
    return session


def _keep_signature(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Storage that refuses an address may quote it."""
    keep_signature(request.url or "")
    return request


def check(url: str, server: str) -> None:
    """Raises RequestRefused for an address that the server at `server` has no reason to send anyone to.

    That is one without TLS where the server itself has it, one of this machine where the server is elsewhere, and one
    of a network's own services, such as 169.254.169.254, which gives out the credentials of a cloud's machine.
    """
    try:
        asked, own = urlsplit(url), urlsplit(server)
        host, scheme = asked.hostname or "", asked.scheme
    except ValueError:
        host, scheme = "", ""
    why = ""
    if scheme not in ("http", "https") or not host:
        why = "it is not an http:// or https:// address"
    elif scheme == "http" and own.scheme == "https":
        why = "it has no TLS, although the server has"
    elif _is_of_the_network(host) or (is_loopback(host) and not is_loopback(own.hostname or "")):
        why = "it is a service of this machine or its network"
    if why:
        raise RequestRefused(f"refused to ask {host or 'an unknown host'} for an artifact: {why}")


def _is_of_the_network(host: str) -> bool:
    number = ip_of(host)
    return number is not None and number.is_link_local
