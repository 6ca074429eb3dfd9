"""What goes wrong between us and a server, in plain words."""

import requests
import urllib3

from runsync.model.redact import without_credentials

BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.HTTPError,
)
REFUSED = "connection refused"


def without_query(url: str) -> str:
    """An address as it may be shown."""
    return url.split("?")[0].split("@")[-1] or "another page"


def tls_trouble(error: Exception) -> str:
    """Why there is no TLS connection, and what to do."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "the TLS certificate was not accepted; name its authority with MLFLOW_TRACKING_SERVER_CERT_PATH "
            "or server_cert_path"
        )
    return "no TLS connection could be made; is it a server for http:// ?"


def proxy_for(url: str) -> str:
    """The proxy through which requests to an address go, as the environment has it, fit for printing; "" for none."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return without_credentials(proxy) if proxy else ""


def cause(error: BaseException | None) -> str:
    """The innermost plain cause of a chain of wrapped network errors."""
    text = str(error)
    for sign, plain in (
        ("NameResolutionError", "no such host"),
        ("Connection refused", REFUSED),
        ("Connection reset", "connection reset"),
        ("RemoteDisconnected", "it closed the connection without an answer"),
        ("IncompleteRead", "it closed the connection amid the answer"),
        ("timed out", "timed out"),
    ):
        if sign in text:
            return plain
    return type(error).__name__
