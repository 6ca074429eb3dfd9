"""Something else at the address, or somebody who does not let us in: told in one line, with the right exit code."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Runner
from support import proxy as faults
from support.command_line import Result
from support.memory import export_into
from support.proxy import FaultProxy, Rule
from support.secrets import MARK
from support.servers import MlflowServer, free_port

from runsync.testing.memory import small_source
from workspaces.failing import BRIEF, Seeded, export, one_line

PASSWORD = f"hunter2{MARK}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def _page(status: int, headers: dict[str, str], content: bytes) -> type[BaseHTTPRequestHandler]:
    """A server that has one answer to everything."""

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer

    return Page


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


Serve = Callable[[type[BaseHTTPRequestHandler]], str]
COMMANDS = ["export", "import", "verify"]


@pytest.fixture
def ask(runsync: Runner, tmp_path: Path) -> Callable[..., Result]:
    """A command against an address, with a small bundle on the other side."""

    def run(verb: str, url: str, **env: str) -> Result:
        bundle = tmp_path / "bundle"
        if not bundle.exists():
            export_into(bundle, small_source())
        sides = {"export": (url, tmp_path / "new"), "import": (bundle, url), "verify": (bundle, url)}
        done = runsync(verb, *sides[verb], env={"RUNSYNC_PATIENCE": "1"} | env)
        assert done.stdout == ""
        assert not (tmp_path / "new").exists(), "a bundle was made though nobody answered"
        return done

    return run


Ask = Callable[..., Result]


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_wrong_port_is_told_with_the_address(ask: Ask, verb: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert one_line(ask(verb, url), 13) == (
        f"runsync: {url} does not answer (connection refused); check the address and that the server runs\n"
    )


def test_an_unknown_host_is_told(ask: Ask) -> None:
    assert "http://no-such-host.invalid:5000 does not answer (no such host)" in one_line(
        ask("export", "http://no-such-host.invalid:5000"), 13
    )


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_server_that_is_not_mlflow_is_told(ask: Ask, serve: Serve, verb: str) -> None:
    url = serve(_Quiet)
    assert f"{url} answers, but not as an MLflow server" in one_line(ask(verb, url), 13)


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("content", [b"<!doctype html><title>Hi</title>", b"", b"[]", b"true"])
def test_a_page_that_answers_everything_is_told(ask: Ask, serve: Serve, verb: str, content: bytes) -> None:
    url = serve(_page(200, {"Content-Type": "text/html"}, content))
    assert "not MLflow's API" in one_line(ask(verb, url), 13)


@pytest.mark.parametrize("content", [b"{}", b'{"experiments": 7}', b'{"experiments": [{}]}', b'{"runs": [null]}'])
def test_a_json_server_that_is_not_mlflow_is_told_without_a_traceback(
    ask: Ask, serve: Serve, content: bytes, runsync: Runner, tmp_path: Path
) -> None:
    url = serve(_page(200, {"Content-Type": "application/json"}, content))
    done = runsync("export", url, tmp_path / "b", env=BRIEF)
    assert "--debug" not in done.stderr, "an error that nobody foresaw"
    assert done.returncode in ((0, 13) if content == b"{}" else (13,))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_a_login_page_is_told(ask: Ask, serve: Serve, status: int) -> None:
    url = serve(_page(status, {"Location": "https://login.example/?next=secret"}, b""))
    error = one_line(ask("export", url), 13)
    assert f"{url} redirects to https://login.example/" in error
    assert "secret" not in error


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_password_is_told_with_what_to_set(ask: Ask, serve: Serve, verb: str, status: int) -> None:
    url = serve(_page(status, {}, b"Go away"))
    error = one_line(ask(verb, url, MLFLOW_TRACKING_USERNAME="ada", MLFLOW_TRACKING_PASSWORD=PASSWORD), 13)
    assert f"{url} refused access (HTTP {status})" in error
    assert "MLFLOW_TRACKING_USERNAME" in error
    assert PASSWORD not in error


def test_a_password_that_is_right_lets_us_in_and_a_wrong_one_does_not(
    small: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = small
    with FaultProxy(server.url, basic=("ada", PASSWORD)) as proxy:
        one = ("--experiment", facts.prefix + "main")
        one_line(runsync("export", proxy.url, tmp_path / "b", *one), 13)
        wrong = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": f"wrong{MARK}"}
        one_line(runsync("export", proxy.url, tmp_path / "b", *one, env=wrong), 13)
        right = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        assert runsync("export", proxy.url, tmp_path / "b", *one, env=right).returncode == 0


def test_a_run_that_we_may_not_read_is_named_and_the_rest_goes_on(
    small: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = small
    run_id = facts.runs["model"]
    rule = Rule(faults.respond(403), f"artifacts/list.*run_id={run_id}", count=None)
    with FaultProxy(server.url, rule) as proxy:
        code, report, _ = export(runsync, proxy.url, tmp_path / "b", facts)
    assert code == 3
    assert {problem["run_id"] for problem in report["problems"]} == {run_id}
    assert report["runs"]["created"] == len(facts.runs)


@pytest.mark.parametrize("option", ["--experiment", "--run"])
def test_an_experiment_or_run_that_is_not_there_is_told_by_name(
    mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path, option: str
) -> None:
    done = runsync("export", mlflow3_a.url, tmp_path / "b", option, "no-such-thing")
    assert "no-such-thing" in one_line(done, 1)
    assert not list(tmp_path.glob("b/snapshots/*"))
