"""Servers, S3 and databases that do not answer: what is told while a command waits, and when it gives up."""

import logging
import os
import pty
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support import proxy as faults
from support.command_line import command
from support.forks import clean_environment
from support.proxy import FaultProxy, Rule
from support.s3 import Bucket
from support.servers import MlflowServer, free_port

from runsync import threads
from runsync.errors import Interrupted, WorkspaceUnreachable
from runsync.patience import Patience
from runsync.s3 import S3, S3Options
from runsync.s3_errors import Refused
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import OPTIONAL, Client, client
from runsync.workspaces.sql.address import parse
from runsync.workspaces.sql.faults import Unanswered
from runsync.workspaces.sql.reach import reach

WATCHED = Patience(is_watched=True)
ASKED = Patience(seconds=300, first_delay=0.05, longest_delay=0.1, is_asked=True)
KEYS = {"AWS_ACCESS_KEY_ID": "of nobody", "AWS_SECRET_ACCESS_KEY": "of nobody at all"}


@pytest.fixture
def shut() -> str:
    """An address at which nobody answers."""
    return f"http://127.0.0.1:{free_port()}"


def test_the_first_failure_is_told_and_what_is_waited_for(runsync: Runner, shut: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = runsync("export", shut, "b", "--wait", "1s", "--log-file", log)
    waiting, error = done.stderr.splitlines()
    assert done.returncode == 13
    assert waiting == f"runsync: waiting for {shut} (connection refused), up to 1 s more"
    assert error.startswith(f"runsync: {shut} does not answer (connection refused)")
    assert f"waiting for {shut} (connection refused)" in log.read_text()


def test_who_takes_the_call_and_says_nothing_is_told_too(runsync: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_ANSWER", 0.2)
    monkeypatch.setattr(client, "SIGN_OF_LIFE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        waiting, error = runsync("export", url, "b", "--wait", "1s").stderr.splitlines()
    assert waiting.startswith(f"runsync: waiting for {url} (timed out)")
    assert error.startswith(f"runsync: {url} does not answer (timed out)")


@pytest.mark.parametrize(
    ("patience", "first"),
    [
        (Patience(seconds=0.1, is_asked=True), (0.3, 0.3)),
        (Patience(seconds=8, is_asked=True), (8, 8)),
        (Patience(seconds=300, is_asked=True), (10, 15)),
        (Patience(seconds=0.1), (10, 15)),
    ],
)
def test_who_never_answers_is_not_waited_for_much_longer_than_was_asked(
    monkeypatch: pytest.MonkeyPatch, patience: Patience, first: tuple[float, float]
) -> None:
    """How long for is what the connection is told: nothing has to be waited for here."""
    told: list[tuple[float, float]] = []

    def request(*arguments: Any, timeout: tuple[float, float], **options: Any) -> None:
        told.append(timeout)
        raise Interrupted("that is enough")

    monkeypatch.setattr(client, "LEAST_ANSWER", 0.3)
    asking = Client("http://127.0.0.1:1", Credentials(), patience=patience)
    monkeypatch.setattr(asking._session, "request", request)
    with pytest.raises(Interrupted):
        asking.get("/json")
    assert told == [pytest.approx(first, rel=0.1)]


def test_a_server_that_never_answers_is_tried_once_where_the_time_is_over_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LEAST_ANSWER", 0.3)
    monkeypatch.setattr(client, "SIGN_OF_LIFE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        asking = Client(url, Credentials(), patience=Patience(seconds=0.1, is_asked=True))
        with pytest.raises(WorkspaceUnreachable, match=r"does not answer \(timed out\)"):
            asking.get("/json", care=OPTIONAL)
    assert asking.requests == 1
    asking.close()


def test_quiet_says_only_how_it_ended(runsync: Runner, shut: str) -> None:
    done = runsync("export", shut, "b", "--wait", "1s", "--quiet")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "{url}", "{url}"),
        ("doctor", "{url}"),
        ("runs", "list", "{url}"),
        ("experiments", "list", "{url}"),
        ("runs", "tag", "{url}", "a=b", "--run", "c"),
        ("artifacts", "list", "{url}", "a"),
    ],
)
def test_every_command_takes_how_long_to_wait(runsync: Runner, shut: str, arguments: tuple[str, ...]) -> None:
    done = runsync(*(each.format(url=shut) for each in arguments), "--wait", "0s")
    assert done.returncode == 13
    assert "waiting" not in done.stderr


def test_a_time_that_cannot_be_read_is_refused(runsync: Runner, shut: str) -> None:
    done = runsync("export", shut, "b", "--wait", "soon")
    assert done.returncode == 2
    assert "soon" in done.stderr


@pytest.mark.long
def test_a_wrong_port_is_told_at_once_at_a_terminal(shut: str, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("export", shut, "b"),
        env=clean_environment(),
        cwd=tmp_path,
        stdin=follower,
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    told = b""
    try:
        while piece := os.read(leader, 4096):
            told += piece
    except OSError:  # nobody holds the other end any more
        pass
    os.close(leader)
    assert process.wait() == 13
    assert b"waiting" not in told
    assert told.decode().strip().endswith("check the address and that the server runs; --wait 5m waits for it")


@pytest.mark.parametrize("url", ["http://no-such-host.invalid:5000", ""])
def test_an_address_where_nobody_answered_yet_is_tried_once_where_somebody_watches(shut: str, url: str) -> None:
    client = Client(url or shut, Credentials(), patience=WATCHED)
    with pytest.raises(WorkspaceUnreachable, match="--wait 5m waits for it"):
        client.get("/json")
    assert client.requests == 1
    client.close()


def test_a_server_that_answered_before_is_waited_for_where_somebody_watches(mlflow3_a: MlflowServer) -> None:
    with FaultProxy(mlflow3_a.url) as proxy:
        client = Client(proxy.url, Credentials(), patience=WATCHED)
        client.send("GET", "/health")
        proxy.add(Rule(faults.drop(), "", count=2))
        client.send("GET", "/health")
        assert client.requests == 4
        client.close()


class _Bucket(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("keys")
def test_an_s3_where_nobody_answered_yet_is_tried_once_where_somebody_watches(shut: str) -> None:
    s3 = S3(S3Options(endpoint=shut), patience=WATCHED)
    with pytest.raises(Refused, match="--wait 5m waits for it") as caught:
        s3.size("bucket", "key")
    assert (s3.requests, caught.value.exit_code) == (1, 13)


@pytest.mark.usefixtures("keys")
def test_an_s3_is_waited_for_as_long_as_was_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    port = free_port()
    late = ThreadingHTTPServer(("127.0.0.1", port), _Bucket, bind_and_activate=False)
    s3 = S3(S3Options(endpoint=f"http://127.0.0.1:{port}"), patience=ASKED)
    found: list[int | None] = []
    asking = threading.Thread(target=lambda: found.append(s3.size("bucket", "key")))
    asking.start()
    while s3.requests < 3:
        threads.pause(0.02)
    late.server_bind()
    late.server_activate()
    serving = threading.Thread(target=late.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    asking.join()
    late.shutdown()
    late.server_close()
    serving.join()
    assert found == [7]
    assert [record.getMessage() for record in caplog.records if record.name == "runsync.waiting"] == [
        f"waiting for S3 at http://127.0.0.1:{port} (EndpointConnectionError)"
    ]


def test_a_bundle_on_an_s3_that_does_not_answer_is_told(runsync: Runner, shut: str) -> None:
    env = {**KEYS, "AWS_MAX_ATTEMPTS": "2"}
    done = runsync("snapshots", "s3://bucket/b", "--s3-endpoint", shut, env=env)
    waiting, error = done.stderr.splitlines()
    assert done.returncode == 13
    assert waiting == f"runsync: waiting for S3 at {shut} (EndpointConnectionError)"
    assert "check the endpoint" in error


@pytest.mark.parametrize("verb", ["export", "check"])
def test_a_bundle_on_an_s3_that_refuses_us_is_told(runsync: Runner, bucket: Bucket, tmp_path: Path, verb: str) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    meta = "experiment_id: '0'\nname: Default\nlifecycle_stage: active\n"
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text(meta)
    source = [tmp_path / "mlruns"] if verb == "export" else []
    with FaultProxy(bucket.endpoint, Rule(faults.respond(403), "b(/|%2F)", count=None), keep_host=True) as proxy:
        done = runsync(verb, *source, f"{bucket.url}/b", env={**bucket.environment, "AWS_ENDPOINT_URL": proxy.url})
    assert done.returncode == 13
    (error,) = done.stderr.splitlines()
    assert "S3 refused access (HTTP 403)" in error
    assert error.endswith("check the credentials (--s3-profile) and what they may do in the bucket")


def test_a_database_that_does_not_answer_is_waited_for_as_long_as_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("psycopg")
    address = parse(f"postgresql://nobody@127.0.0.1:{free_port()}/mlflow")
    with caplog.at_level(logging.WARNING), pytest.raises(Unanswered, match="--wait 5m waits for it"):
        reach(address, Patience(seconds=0.3, first_delay=0.05, is_asked=True))
    (told,) = [record.getMessage() for record in caplog.records if record.name == "runsync.waiting"]
    assert told.startswith(f"waiting for {address.printable}")


@pytest.fixture
def silent(mlflow3_a: MlflowServer) -> Iterator[FaultProxy]:
    """A server that takes requests and does not answer."""
    with FaultProxy(mlflow3_a.url, Rule(faults.delay(600), "experiments", count=None)) as proxy:
        yield proxy


def test_a_request_that_waits_for_an_answer_ends_when_its_transfer_is_stopped(silent: FaultProxy) -> None:
    client = Client(silent.url, Credentials(), patience=WATCHED)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            client.get("/api/2.0/mlflow/experiments/search")
        except BaseException as error:
            failures.append(error)

    def fail() -> None:
        while not silent.count("experiments"):
            threads.pause(0.02)
        raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"), threads.pool(2) as pool:  # noqa: PT012
        pool.submit(ask)
        pool.submit(fail).result()
    client.close()
    assert [type(failure) for failure in failures] == [Interrupted]


def test_what_was_asked_for_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSYNC_PATIENCE", "5")
    given = Patience.from_environment()
    assert given.waiting(300, is_watched=True).seconds == 300
    assert not given.waiting(None, is_watched=True).is_watched
    monkeypatch.delenv("RUNSYNC_PATIENCE")
    assert Patience.from_environment().waiting(None, is_watched=True).is_watched
    assert not Patience.from_environment().waiting(300, is_watched=True).is_watched
