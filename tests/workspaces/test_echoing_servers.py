"""A server that repeats our credentials in its answers: they are nowhere in what is printed, logged, raised or kept."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from conftest import Runner
from support.secrets import MARK, SEARCH

RUN = "0" * 31 + "1"
PASSWORD = f'p/w+{MARK}"ü'
TOKEN = f"dapi{MARK}0123456789abcdef"
BRIEF = {"RUNSYNC_PATIENCE": "1"}
EXPERIMENT = {
    "experiment_id": "1",
    "name": "one",
    "lifecycle_stage": "active",
    "artifact_location": "mlflow-artifacts:/1",
}
RUN_INFO = {
    "run_id": RUN,
    "experiment_id": "1",
    "status": "FINISHED",
    "artifact_uri": "mlflow-artifacts:/1/x/artifacts",
}
METRICS = [{"key": "loss", "value": 1.0, "timestamp": 1, "step": 0}]


def _forms(header: str) -> str:
    """All that a server can make of what it was sent."""
    scheme, _, secret = header.partition(" ")
    told = [header, secret, quote(header), quote(secret, safe=""), json.dumps({scheme: secret})]
    told += [quote(quote(secret, safe=""), safe=""), base64.b64encode(header.encode()).decode(), secret[:20]]
    if scheme == "Basic":
        user, _, password = base64.b64decode(secret).decode().partition(":")
        told += [f"http://{user}:{quote(password, safe='')}@host", password, json.dumps(password), password[:-2]]
    return " | ".join(told)


class _Echo(BaseHTTPRequestHandler):
    """Has one experiment and one run; what `refused` begins is refused, with a word-for-word account of the request."""

    protocol_version = "HTTP/1.1"
    refused: ClassVar[tuple[str, ...]] = ()
    status: ClassVar[int] = 400

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        told = _forms(self.headers.get("Authorization", ""))
        if any(part in path for part in self.refused):
            self._send(self.status, {"error_code": "INTERNAL_ERROR", "message": f"bad request, headers: {told}"})
        elif path.endswith("experiments/search"):
            self._send(200, {"experiments": [EXPERIMENT]})
        elif path.endswith("runs/search"):
            self._send(200, {"runs": [{"info": RUN_INFO, "data": {"metrics": METRICS}}]})
        elif "get-history" in path:
            self._send(200, {"metrics": [{**METRICS[0], "run_id": RUN}]})
        elif path.endswith("/version"):
            self._send(200, f"3.1 {self.headers.get('Authorization')}"[:29].encode())
        else:
            self._send(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": told})

    def _send(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BY_TOKEN = {"MLFLOW_TRACKING_TOKEN": TOKEN}
BY_PASSWORD = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.mark.parametrize(
    ("login", "status", "refused", "code"),
    [
        (BY_TOKEN, 400, ("get-history", "artifacts"), 3),
        (BY_PASSWORD, 400, ("get-history", "artifacts"), 3),
        pytest.param(BY_PASSWORD, 500, ("runs/search",), 13, marks=pytest.mark.slow),
        (BY_TOKEN, 403, ("experiments/search",), 13),
    ],
)
def test_credentials_that_a_server_repeats_are_struck_out(
    echo: str,
    login: dict[str, str],
    status: int,
    refused: tuple[str, ...],
    code: int,
    runsync: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for secret in login.values():
        if MARK in secret:
            SEARCH.keep(secret, "a credential")
    monkeypatch.setattr(_Echo, "refused", refused)
    monkeypatch.setattr(_Echo, "status", status)
    files = ("--log-file", tmp_path / "log", "--metrics-file", tmp_path / "x.prom")
    done = runsync("--debug", "export", echo, tmp_path / "b", *files, env=login | BRIEF)
    assert done.returncode == code, done.stderr
    told = done.stdout + done.stderr
    assert MARK not in told
    assert ("***" in told) == (status != 403)  # of which nothing is repeated
    if code == 3:
        assert "***" in runsync("inspect", tmp_path / "b", "--json", env=login).stdout


def test_a_password_in_an_address_is_struck_out(
    echo: str, runsync: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SEARCH.keep(PASSWORD, "a credential")
    monkeypatch.setattr(_Echo, "refused", ("artifacts", "get-history"))
    address = echo.replace("//", f"//ada:{quote(PASSWORD, safe='')}@")
    done = runsync("export", address, tmp_path / "b", "--log-file", tmp_path / "log", env=BRIEF)
    assert done.returncode == 3
    assert "***" in done.stdout


@pytest.mark.parametrize(
    "uri", ["s3://private/secrets", f"s3://private/{RUN[:-1]}2/artifacts", "{tmp}/notes/artifacts"]
)
def test_a_server_cannot_have_us_read_what_it_cannot(
    echo: str, uri: str, runsync: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our credentials open buckets, and our rights folders, that are not its runs': it is asked itself for those."""
    (tmp_path / "notes/artifacts").mkdir(parents=True)
    (tmp_path / "notes/artifacts/private.txt").write_text("private")
    monkeypatch.setitem(RUN_INFO, "artifact_uri", uri.format(tmp=tmp_path))
    monkeypatch.setattr(_Echo, "refused", ("artifacts/list",))
    done = runsync("export", echo, tmp_path / "b", env=BRIEF)
    assert done.returncode == 3, done.stderr
    assert "answered 400 to /api/2.0/mlflow/artifacts/list" in done.stdout
    assert not [blob for blob in (tmp_path / "b/blobs").rglob("*") if blob.is_file()]
