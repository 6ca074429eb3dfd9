"""Posts that are not to be done twice."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support.servers import MlflowServer

from runsync.errors import Interrupted, RequestRefused, WorkspaceUnreachable
from runsync.model.experiment import Experiment
from runsync.model.identity import FROM, ORIGIN_EXPERIMENT
from runsync.workspaces.address import parse as parse_address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import NOT_DONE, Client, Patience, post_once
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.create import create_once
from runsync.workspaces.rest.experiments import RestExperiments
from runsync.workspaces.rest.opening import open_server
from runsync.workspaces.rest.server import API

SHORT = Patience(seconds=3, tries=3, first_delay=0.01, longest_delay=0.05)


class _Server(BaseHTTPRequestHandler):
    """Answers with `statuses`, one after the other, then with 200; 0 hangs up once the post is done."""

    statuses: list[int]
    done: list[str]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status in (0, 200):
            self.done.append(self.path)
        if status:
            self._answer(status)
        else:
            self.connection.close()

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


class _Listening(ThreadingHTTPServer):
    allow_reuse_port = True


def serve(port: int = 0, statuses: Sequence[int] = ()) -> tuple[Any, ThreadingHTTPServer]:
    handler = type("Handler", (_Server,), {"statuses": [*statuses], "done": []})
    listening = _Listening(("127.0.0.1", port), handler)
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return handler, listening


@pytest.fixture
def server() -> Iterator[Any]:
    handler, listening = serve()
    handler.url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield handler
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    made = Client(server.url, Credentials(), patience=SHORT)
    yield made
    made.close()


def test_what_was_done_though_nobody_heard_is_not_done_again(server: Any, client: Client) -> None:
    server.statuses += [0]
    told = post_once(client, "/start", {}, lambda error: {"is": "running"} if server.done else None)
    assert (told, server.done) == ({"is": "running"}, ["/start"])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_was_not_done_is_sent_again(server: Any, client: Client, status: int) -> None:
    server.statuses += [status]
    assert post_once(client, "/start", {}, lambda error: {} if server.done else None) == {}
    assert server.done == ["/start"]


def test_what_is_refused_for_good_is_not_sent_again(server: Any, client: Client) -> None:
    server.statuses += [400, 400]
    with pytest.raises(RequestRefused, match="400"):
        post_once(client, "/start", {}, lambda error: None)
    assert server.statuses == [400]


@pytest.mark.parametrize("status", [0, 500])
def test_where_only_a_refusal_is_safe_nothing_else_is_sent_again(server: Any, client: Client, status: int) -> None:
    server.statuses += [429, status, 200]
    with pytest.raises(RequestRefused):
        post_once(client, "/create", {}, lambda error: None, NOT_DONE)
    assert server.statuses == [200]


def test_who_waits_to_make_a_thing_again_stops_when_told(server: Any) -> None:
    client = Client(server.url, Credentials(), patience=Patience(seconds=900, first_delay=600, longest_delay=600))
    threading.Timer(0.2, client.close).start()

    def create() -> str:
        raise RequestRefused("no answer")

    begun = time.monotonic()
    with pytest.raises(Interrupted):
        create_once(client, create, lambda: None)
    assert time.monotonic() - begun < 600


def test_an_experiment_that_another_import_made_in_the_same_moment_stays_that_ones(
    mlflow3_a: MlflowServer, prefix: str
) -> None:
    workspace = open_server(parse_address(mlflow3_a.url, Credentials()), 1, SHORT)
    client, writer = workspace.client, RestExperiments(workspace)

    def copy_from(origin: str) -> Experiment:
        tags = {ORIGIN_EXPERIMENT: origin, FROM: f"http://{origin}", f"tag of {origin}": "x"}
        return Experiment("", f"{prefix}x", tags=tags)

    experiment_id = writer.create(copy_from("one"))
    assert writer.create(copy_from("two")) == experiment_id
    told = client.get(f"{API}/experiments/get", experiment_id=experiment_id)["experiment"]
    assert wire.experiment(told).tags == {**copy_from("one").tags, "tag of two": "x"}
    workspace.close()


@pytest.fixture
def held_port() -> Iterator[int]:
    """A port that refuses connections, and that no other process can take until `serve` listens on it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def test_a_server_that_does_not_come_back_in_time_is_given_up(held_port: int) -> None:
    client = Client(f"http://127.0.0.1:{held_port}", Credentials(), patience=SHORT)
    with pytest.raises(WorkspaceUnreachable):
        post_once(client, "/close", {}, lambda error: None)
    client.close()


@pytest.mark.parametrize("hung_up", [0, SHORT.tries - 1])
def test_a_server_that_comes_back_in_time_is_not_given_up(held_port: int, hung_up: int) -> None:
    """Also where it breaks connections as it starts: tries are counted from there on."""
    client = Client(f"http://127.0.0.1:{held_port}", Credentials(), patience=replace(SHORT, seconds=300))
    failures: list[RequestRefused] = []
    started: list[tuple[Any, ThreadingHTTPServer]] = []

    def look(error: RequestRefused) -> None:
        failures.append(error)
        if len(failures) == SHORT.tries + 2:
            started.append(serve(held_port, statuses=[0] * hung_up))

    assert post_once(client, "/close", {}, look) == {}
    ((handler, listening),) = started
    assert (len(failures), handler.done) == (SHORT.tries + 2 + hung_up, ["/close"] * (1 + hung_up))
    client.close()
    listening.shutdown()
    listening.server_close()
