"""Kept-alive connections to a server, with its credentials."""

import os
import socket
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from runsync.secrecy import keep_url
from runsync.version import VERSION
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http.answer import Response
from runsync.workspaces.http.body import CHUNK


class _QuickAck:
    """Re-arms TCP_QUICKACK before each response.

    MLflow's default server (uvicorn with several workers) sends head and body of a response apart, without
    TCP_NODELAY: the kernel's delayed ACK would cost 40 ms a request.
    """

    sock: socket.socket | None

    def getresponse(self) -> Any:
        if self.sock is not None and hasattr(socket, "TCP_QUICKACK"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().getresponse()  # type: ignore[misc]


class _HTTPConnection(_QuickAck, urllib3.connection.HTTPConnection):
    response_class = Response


class _HTTPSConnection(_QuickAck, urllib3.connection.HTTPSConnection):
    response_class = Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, blocksize=CHUNK)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def connect(session: requests.Session, connections: int) -> None:
    """Has a session keep so many connections with a host, and take no answer without an end."""
    adapter = _Adapter(pool_connections=2, pool_maxsize=connections, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)


def session_for(url: str, credentials: Credentials, connections: int) -> requests.Session:
    """To one server, with so many connections kept."""
    session = requests.Session()
    connect(session, connections)
    # The environment is read once: requests would look for proxies and a .netrc at every request.
    session.proxies = requests.utils.get_environ_proxies(url)
    for proxy in session.proxies.values():
        keep_url(proxy)
    session.trust_env = False
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.verify = not credentials.insecure_tls and (credentials.server_cert_path or bundle)
    session.cert = credentials.client_cert_path or None
    if credentials.token:
        session.headers["Authorization"] = f"Bearer {credentials.token}"
    elif credentials.username:
        session.auth = HTTPBasicAuth(credentials.username.encode(), credentials.password.encode())
    session.headers["User-Agent"] = f"runsync/{VERSION}"
    session.headers["Accept-Encoding"] = "gzip"
    return session
