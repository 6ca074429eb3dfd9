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
from runsync.workspaces import plugins
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http.answer import Response
from runsync.workspaces.http.body import CHUNK
from runsync.workspaces.plugins import Authenticate, PluginHeaders

AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of certificates of authorities, the first one that is set."""
GATEWAY = "execute-api"
"""The service that MLflow's clients sign for: Amazon API Gateway."""


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
    session.verify = not credentials.insecure_tls and (credentials.server_cert_path or authorities() or True)
    session.cert = credentials.client_cert_path or None
    session.headers["User-Agent"] = f"runsync/{VERSION}"
    session.headers.update(credentials.headers)
    session.headers["Accept-Encoding"] = "gzip"
    login = _login(url, credentials)
    if login is None and credentials.token:
        session.headers["Authorization"] = f"Bearer {credentials.token}"
    if credentials.has_plugins and (providers := plugins.header_providers()):
        own = [*credentials.headers, *(["Authorization"] if credentials.has_login else [])]
        login = PluginHeaders(providers, own, login)
    session.auth = login
    return session


def authorities() -> str:
    """The file of certificates that the environment names; "" for the usual ones."""
    return next((file for name in AUTHORITIES if (file := os.environ.get(name, ""))), "")


def _login(url: str, credentials: Credentials) -> "Authenticate | None":
    """What authenticates each request, where that is no token."""
    if credentials.aws_sigv4:
        from runsync.workspaces.clouds.aws_signature import AwsSignature

        return AwsSignature(url, GATEWAY, profile=credentials.aws_profile)
    if credentials.auth:
        return plugins.login(credentials.auth)
    if credentials.is_basic:
        return HTTPBasicAuth(credentials.username.encode(), credentials.password.encode())
    return None
