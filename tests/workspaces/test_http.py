"""The HTTP client: what it tries again, how long it waits, when it gives up, and what it then says."""

import email.utils
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support import proxy as faults
from support.proxy import FaultProxy, Rule
from support.secrets import MARK
from support.servers import free_port

from runsync import threads
from runsync.errors import AccessDenied, ChangedMeanwhile, Interrupted, RequestRefused, WorkspaceUnreachable, WrongUsage
from runsync.limits import Limits
from runsync.s3 import S3, S3Options
from runsync.workspaces.clouds.credential import Credential, Pass
from runsync.workspaces.clouds.signed import check
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.rates import Rates
from runsync.workspaces.http import Client, Patience

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several chunks
SHORT = Patience(seconds=60, tries=3, first_delay=0.01, longest_delay=0.05)


class _Server(BaseHTTPRequestHandler):
    """`/json` and `/health` answer with a document, `/file` (it has ranges and a tag) and `/whole` with `content`."""

    protocol_version = "HTTP/1.1"
    content = CONTENT
    posted: list[bytes]
    answers: dict[str, tuple[int, dict[str, str], bytes]]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.answers:
            self._answer(*self.answers[path])
        elif path in ("/file", "/whole"):
            self._send_file(path == "/file")
        else:
            self._answer(200, {}, b'{"ok": true}')

    def _send_file(self, knows_ranges: bool) -> None:
        content, tag = self.content, f'"{hash(self.content)}"'
        start = self.headers.get("Range", "")
        if not knows_ranges:
            self._answer(200, {}, content)
        elif start and self.headers.get("If-Range") == tag:
            begin = int(start.removeprefix("bytes=").rstrip("-"))
            part = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self._answer(206, {"ETag": tag, "Content-Range": part}, content[begin:])
        else:
            self._answer(200, {"ETag": tag}, content)

    def do_POST(self) -> None:
        self.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, {}, b'{"ok": true}')

    def do_PUT(self) -> None:
        self.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, {}, b"")

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Any]:
    """A server with `url`, `posted` bodies, and `answers` that a test may set by path."""
    handler = type("Handler", (_Server,), {"posted": [], "answers": {}})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    handler.url = f"http://127.0.0.1:{listening.server_address[1]}"  # type: ignore[attr-defined]
    yield handler
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def proxy(server: Any) -> Iterator[FaultProxy]:
    with FaultProxy(server.url) as made:
        yield made


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(url: str, patience: Patience = SHORT, credentials: Credentials | None = None) -> Client:
        made.append(Client(url, credentials or Credentials(), patience=patience))
        return made[-1]

    yield make
    for client in made:
        client.close()


Connect = Callable[..., Client]


def test_a_pause_that_the_server_asks_for_is_kept(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.respond(429, retry_after=1.2), "/json"))
    begun = time.monotonic()
    assert connect(proxy.url).get("/json") == {"ok": True}
    assert time.monotonic() - begun >= 1.2
    assert proxy.count("/json") == 2


def test_a_pause_given_as_a_date_is_kept(server: Any, proxy: FaultProxy, connect: Connect) -> None:
    date = email.utils.formatdate(time.time() + 3, usegmt=True)
    proxy.add(Rule(faults.Action("busy", 503, {"Retry-After": date}), "/json"))
    begun = time.monotonic()
    assert connect(proxy.url, Patience(seconds=300)).get("/json") == {"ok": True}
    assert time.monotonic() - begun >= 1.5


def test_while_the_server_asks_for_a_pause_no_other_request_is_sent(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.respond(503, retry_after=1), "/json"))
    client = connect(proxy.url)
    first = threading.Thread(target=client.get, args=("/json",))
    first.start()
    while not proxy.count("/json"):
        time.sleep(0.01)
    time.sleep(0.1)
    begun = time.monotonic()
    client.get("/other")
    first.join()
    assert time.monotonic() - begun >= 0.6


@pytest.mark.parametrize("retry_after", ["soon", "-5", "", "Thu, 99 Foo 2026"])
def test_a_retry_after_that_makes_no_sense_is_passed_over(
    proxy: FaultProxy, connect: Connect, retry_after: str
) -> None:
    proxy.add(Rule(faults.Action("busy", 429, {"Retry-After": retry_after}), "/json"))
    begun = time.monotonic()
    assert connect(proxy.url).get("/json") == {"ok": True}
    assert time.monotonic() - begun < 300


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_of_the_server_is_tried_again(proxy: FaultProxy, connect: Connect, status: int) -> None:
    proxy.add(Rule(faults.respond(status), "/json", count=2))
    assert connect(proxy.url).get("/json") == {"ok": True}
    assert [r.status for r in proxy.requests] == [status, status, 200]


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 422, 501])
def test_what_the_server_refuses_for_good_is_not_tried_again(proxy: FaultProxy, connect: Connect, status: int) -> None:
    body = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": "No such\nthing"}).encode()
    proxy.add(Rule(faults.respond(status, body=body), "/json", count=None))
    with pytest.raises(RequestRefused) as caught:
        connect(proxy.url).get("/json")
    assert proxy.count("/json") == 1
    assert (caught.value.status, caught.value.code) == (status, "INVALID_PARAMETER_VALUE")
    assert str(caught.value).startswith(f"{proxy.url} answered {status} to /json: No such")


def test_an_error_is_one_line_whatever_the_server_says(proxy: FaultProxy, connect: Connect) -> None:
    body = json.dumps({"error_code": "X", "message": "Traceback:\n  File x\n\r\tError" + "é" * 5000}).encode()
    proxy.add(Rule(faults.respond(400, body=body), "/json"))
    with pytest.raises(RequestRefused) as caught:
        connect(proxy.url).get("/json")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"null", b"\xff", b'{"message": null}'])
def test_an_error_without_a_readable_message_still_tells_its_status(
    proxy: FaultProxy, connect: Connect, body: bytes
) -> None:
    proxy.add(Rule(faults.respond(404, body=body), "/json"))
    with pytest.raises(RequestRefused, match=r"answered 404 to /json: "):
        connect(proxy.url).get("/json")


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_are_not_tried_again(proxy: FaultProxy, connect: Connect, status: int) -> None:
    proxy.add(Rule(faults.respond(status), "/json", count=None))
    with pytest.raises(AccessDenied):
        connect(proxy.url).get("/json")
    assert proxy.count("/json") == 1


def test_an_error_500_that_stays_is_given_up_after_some_tries(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.respond(500, body=b'{"error_code": "INTERNAL_ERROR", "message": "no"}'), "/json", count=None))
    with pytest.raises(RequestRefused, match="answered 500 to /json: no"):
        connect(proxy.url).get("/json")
    assert proxy.count("/json") == SHORT.tries


def test_a_server_that_stays_overloaded_is_given_up_when_patience_ends(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.respond(503), "/json", count=None))
    begun = time.monotonic()
    with pytest.raises(RequestRefused, match="answered 503"):
        connect(proxy.url, Patience(seconds=3, first_delay=0.05, longest_delay=0.1)).get("/json")
    assert time.monotonic() - begun > 1
    assert proxy.count("/json") > SHORT.tries


@pytest.mark.parametrize("action", [faults.drop(), faults.drop_response(), faults.truncate(4), faults.truncate(0)])
def test_a_connection_lost_before_or_after_the_server_acted_is_tried_again(
    proxy: FaultProxy, connect: Connect, action: faults.Action
) -> None:
    proxy.add(Rule(action, "/json", count=2))
    assert connect(proxy.url).get("/json") == {"ok": True}
    assert proxy.count("/json") == 3


@pytest.mark.parametrize("action", [faults.drop(), faults.drop_response(), faults.truncate(4), faults.respond(503)])
def test_what_must_not_be_sent_twice_is_sent_once(
    server: Any, proxy: FaultProxy, connect: Connect, action: faults.Action
) -> None:
    proxy.add(Rule(action, "/json"))
    with pytest.raises((RequestRefused, WorkspaceUnreachable)):
        connect(proxy.url).post("/json", {"a": 1}, retry=False)
    assert proxy.count("/json") == 1
    assert len(server.posted) <= 1


def test_a_body_is_sent_whole_again_after_a_lost_connection(server: Any, proxy: FaultProxy, connect: Connect) -> None:
    import io

    proxy.add(Rule(faults.drop_response(), "/upload", count=2))
    opened = []

    def opener() -> io.BytesIO:
        opened.append(io.BytesIO(CONTENT))
        return opened[-1]

    connect(proxy.url).send("PUT", "/upload", content=opener, headers={"Content-Length": str(len(CONTENT))})
    assert server.posted == [CONTENT] * 3
    assert all(stream.closed for stream in opened)


def test_a_connection_that_always_breaks_fails_one_item_while_the_server_is_well(
    proxy: FaultProxy, connect: Connect
) -> None:
    proxy.add(Rule(faults.drop_response(), "/json", count=None))
    with pytest.raises(RequestRefused, match=r"^/json: the server broke the connection each time"):
        connect(proxy.url).get("/json")
    assert proxy.count("/json") == SHORT.tries


def test_a_server_that_is_gone_is_given_up_when_patience_ends(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(WorkspaceUnreachable) as caught:
        connect(url, Patience(seconds=1)).get("/json")
    assert str(caught.value) == (
        f"{url} does not answer (connection refused); check the address and that the server runs"
    )


def test_a_server_that_comes_back_in_time_is_not_given_up(connect: Connect) -> None:
    """A restart takes longer than a few tries."""
    handler = type("Late", (_Server,), {"posted": [], "answers": {}})
    port = free_port()
    late = ThreadingHTTPServer(("127.0.0.1", port), handler, bind_and_activate=False)
    over = threading.Event()

    def start() -> None:
        over.wait(2)
        late.server_bind()
        late.server_activate()
        late.serve_forever(poll_interval=0.02)

    thread = threading.Thread(target=start)
    thread.start()
    try:
        patience = Patience(seconds=300, tries=3, first_delay=0.05, longest_delay=0.3)
        assert connect(f"http://127.0.0.1:{port}", patience).get("/json") == {"ok": True}
    finally:
        over.set()
        while not late.socket.getsockname()[1]:
            time.sleep(0.01)
        time.sleep(0.1)
        late.shutdown()
        late.server_close()
        thread.join()


def test_an_unknown_host_is_called_so(connect: Connect) -> None:
    with pytest.raises(
        WorkspaceUnreachable, match=r"^http://no-such-host\.invalid:5000 does not answer \(no such host\)"
    ):
        connect("http://no-such-host.invalid:5000", Patience(seconds=0.2)).get("/json")


def test_https_to_a_server_without_tls_is_told(server: Any, connect: Connect) -> None:
    with pytest.raises(WorkspaceUnreachable) as caught:
        connect(server.url.replace("http:", "https:")).get("/json")
    assert "certificate was not accepted" not in str(caught.value)


@pytest.mark.parametrize(
    "location",
    ["https://login.example/start?token=secret", "https://me:secret@login.example/start", "/login?next=secret"],
)
def test_a_redirect_to_a_login_page_is_told_without_its_secrets(server: Any, connect: Connect, location: str) -> None:
    server.answers["/json"] = (302, {"Location": location}, b"")
    with pytest.raises(RequestRefused, match="redirects to ") as caught:
        connect(server.url).get("/json")
    assert "secret" not in str(caught.value)
    assert "login" in str(caught.value)


@pytest.mark.parametrize("content", [b"<html>Welcome</html>", b"", b"[1]", b'{"a": ', b"OK"])
def test_an_answer_that_is_not_mlflows_is_told(server: Any, connect: Connect, content: bytes) -> None:
    server.answers["/json"] = (200, {}, content)
    with pytest.raises(WorkspaceUnreachable, match=r"/json answered with something that is not MLflow's API"):
        connect(server.url).get("/json")


def test_a_bare_nan_in_an_answer_is_read(server: Any, connect: Connect) -> None:
    server.answers["/json"] = (200, {}, b'{"value": NaN}')
    assert str(connect(server.url).get("/json")["value"]) == "nan"


@pytest.mark.parametrize("path", ["/file", "/whole"])
def test_a_download_that_breaks_is_taken_up_where_it_broke(proxy: FaultProxy, connect: Connect, path: str) -> None:
    proxy.add(
        Rule(faults.truncate(100), path),
        Rule(faults.drop(), path),
        Rule(faults.truncate(1_500_000), path),
        Rule(faults.respond(503), path),
    )
    assert b"".join(connect(proxy.url).download(path)) == CONTENT
    asked = [r.headers.get("Range") for r in proxy.seen(path)]
    assert asked[0] is None
    assert asked[-1] == ("bytes=1500100-" if path == "/file" else None), "nothing vouches for /whole: it begins again"


@pytest.mark.parametrize("path", ["/file", "/whole"])
def test_a_file_that_is_written_again_while_it_is_downloaded_is_never_mixed(
    server: Any, proxy: FaultProxy, connect: Connect, path: str
) -> None:
    proxy.add(Rule(faults.truncate(1_500_000), path))
    client = connect(proxy.url)
    chunks = client.download(path)
    next(chunks)
    server.content = CONTENT[::-1]
    with pytest.raises(ChangedMeanwhile, match=f"^{path} changed while it was read"):
        list(chunks)
    assert b"".join(client.download(path)) == CONTENT[::-1]


@pytest.mark.parametrize("path", ["/file", "/whole"])
def test_a_file_at_a_signed_address_is_never_mixed_either(
    server: Any, proxy: FaultProxy, connect: Connect, path: str
) -> None:
    proxy.add(Rule(faults.truncate(1_500_000), path, count=3))
    storage = Storage(connect(proxy.url))
    signed = Credential("AWS_PRESIGNED_URL", proxy.url + path)
    chunks = storage.download(Pass(signed, lambda: signed))
    next(chunks)
    server.content = CONTENT[::-1]
    with pytest.raises(ChangedMeanwhile):
        list(chunks)
    server.content = CONTENT
    assert b"".join(storage.download(Pass(signed, lambda: signed))) == CONTENT
    assert (path == "/whole") == ("Range" not in proxy.requests[-1].headers)
    storage.close()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("file:///etc/passwd", "https://mlflow.example"),
        ("ftp://store.example/file", "https://mlflow.example"),
        ("//store.example/file", "https://mlflow.example"),
        ("http://[", "https://mlflow.example"),
        ("http://store.example/file", "https://mlflow.example"),
        ("https://127.0.0.1:8080/admin", "https://mlflow.example"),
        ("https://localhost/admin", "https://mlflow.example"),
        ("http://169.254.169.254/latest/meta-data", "http://mlflow.example"),
        ("http://[fe80::1]/", "http://mlflow.example"),
        ("http://[::ffff:169.254.169.254]/", "http://mlflow.example"),
        ("http://2852039166/", "http://mlflow.example"),
        ("http://0xa9.0xfe.43518/", "http://mlflow.example"),
        ("http://127.1/admin", "http://mlflow.example"),
        ("http://0.0.0.0/admin", "http://mlflow.example"),
        ("http://[::]/admin", "http://mlflow.example"),
    ],
)
def test_a_server_cannot_send_anyone_where_its_storage_cannot_be(url: str, server: str) -> None:
    with pytest.raises(RequestRefused, match=r"refused to ask .* for an artifact"):
        check(url, server)


def test_where_storage_may_be_is_asked() -> None:
    check("https://bucket.s3.amazonaws.com/file?X-Amz-Signature=1", "https://mlflow.example")
    check("http://10.0.0.7:9000/bucket/file", "http://mlflow.example")
    check("http://127.0.0.1:9000/bucket/file", "http://localhost:5000")


def test_a_download_that_always_breaks_is_given_up_and_says_so(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.truncate(0), "/file", count=None))
    with pytest.raises(RequestRefused, match=r"^/file: the connection breaks after 0 bytes"):
        b"".join(connect(proxy.url).download("/file"))


def test_a_download_goes_on_as_long_as_something_arrives(proxy: FaultProxy, connect: Connect) -> None:
    """A huge file over a line that breaks every so often: what counts is that it gets on."""
    proxy.add(Rule(faults.truncate(300_000), "/file", count=8))
    assert b"".join(connect(proxy.url).download("/file")) == CONTENT


def test_a_closed_client_stops_what_waits_and_sends_nothing_more(proxy: FaultProxy, connect: Connect) -> None:
    proxy.add(Rule(faults.respond(429, retry_after=60), "/json"))
    client = connect(proxy.url, Patience(seconds=300))
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            client.get("/json")
        except Interrupted as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not proxy.count("/json"):
        time.sleep(0.01)
    client.close()
    thread.join(timeout=300)
    assert len(ended) == 1
    with pytest.raises(Interrupted):
        client.get("/json")
    assert proxy.count("/json") == 1


def stops(act: Callable[[], object], is_asleep: Callable[[], bool]) -> bool:
    """Whether what a thread of a pool does ends with Interrupted, once an error stops the pool while it sleeps."""
    ended: list[BaseException | None] = []
    with suppress(ZeroDivisionError), threads.pool(2) as outer:

        def nested() -> None:
            with threads.pool(1) as inner:
                inner.submit(act).result()

        future = outer.submit(nested)
        while not is_asleep():
            time.sleep(0.01)
        outer.submit(lambda: 1 / 0).result()
    ended.append(future.exception(timeout=0))
    return isinstance(ended[0], Interrupted)


def test_an_error_that_stops_a_transfer_wakes_requests_that_were_told_to_come_back_later(
    proxy: FaultProxy, connect: Connect
) -> None:
    proxy.add(Rule(faults.respond(429, retry_after=200), "/json", count=None))
    client = connect(proxy.url, Patience(seconds=300))
    assert stops(lambda: client.get("/json"), lambda: proxy.count("/json") > 0)


def test_it_wakes_what_waits_for_its_turn_at_an_object_store(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARK)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 200)
    proxy.add(Rule(faults.respond(503), "/bucket", count=None))
    s3 = S3(S3Options(proxy.url))
    assert stops(lambda: s3.read("bucket", "key"), lambda: proxy.count("/bucket") > 0)


def test_it_wakes_what_keeps_to_a_pace_or_to_a_limit() -> None:
    rates, limits, begun = Rates(), Limits(requests=0.005), threading.Event()
    rates.refused("POST", "/api/2.0/mlflow/runs/search", 200)

    def by_pace() -> None:
        begun.set()
        rates.take("POST", "/api/2.0/mlflow/runs/search", stop := threads.Stop())
        threads.pause(0) if stop.is_set() else None

    def by_limit() -> None:
        begun.set()
        limits.request()
        limits.request()

    for act in (by_pace, by_limit):
        begun.clear()
        assert stops(act, begun.is_set)


def test_basic_and_bearer_credentials_are_sent(server: Any, connect: Connect) -> None:
    with FaultProxy(server.url, basic=("zoë", f"pä:ss{MARK}")) as basic:
        # Credentials go out as UTF-8.
        with pytest.raises(AccessDenied):
            connect(basic.url).get("/json")
        connect(basic.url, credentials=Credentials("zoë", f"pä:ss{MARK}")).get("/json")
    with FaultProxy(server.url, token=MARK) as bearer:
        connect(bearer.url, credentials=Credentials("u", token=MARK)).get("/json")


def test_the_header_of_a_workspace_is_sent_with_every_request(proxy: FaultProxy, connect: Connect) -> None:
    client = connect(proxy.url)
    client.set_header("X-MLFLOW-WORKSPACE", "team")
    client.get("/json")
    client.post("/json", {})
    assert [r.headers.get("X-MLFLOW-WORKSPACE") for r in proxy.requests] == ["team", "team"]


def test_many_threads_share_a_client_and_every_request_is_counted(server: Any, connect: Connect) -> None:
    client = connect(server.url)
    threads = [threading.Thread(target=lambda: [client.get("/json") for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.requests == 160


def test_patience_comes_from_the_environment() -> None:
    assert Patience.from_environment({}).seconds == 60
    assert Patience.from_environment({"RUNSYNC_PATIENCE": "2.5"}).seconds == 2.5
    for wrong in ("soon", "-1", "nan", "inf"):
        with pytest.raises(WrongUsage, match="RUNSYNC_PATIENCE is a number of seconds"):
            Patience.from_environment({"RUNSYNC_PATIENCE": wrong})


def test_delays_grow_are_random_and_have_an_end() -> None:
    patience = Patience(first_delay=1, longest_delay=8)
    for failures, most in ((1, 1), (2, 2), (3, 4), (4, 8), (50, 8), (5000, 8)):
        delays = {patience.delay(failures) for _ in range(20)}
        assert len(delays) > 1
        assert all(most / 2 <= delay <= most for delay in delays)
