"""The tests' own tools: the proxy makes the faults it is told to, the judge sees what was tampered with."""

import copy
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from conftest import Pair
from support import proxy as faults
from support.oracle import Reader, RunState, Workspace, assert_same, compare
from support.proxy import FaultProxy, Rule
from support.rich import big_content, rich_workspace
from support.secrets import MARK
from support.seed import Seeder, points
from support.servers import MlflowServer


class _Echo(BaseHTTPRequestHandler):
    """Answers with path and body, chunked when asked for `/chunked`."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self.path.encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        self._answer(body)

    def do_PUT(self) -> None:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        self._answer(b"".join(parts))

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def bodies() -> list[bytes]:
    return []


@pytest.fixture
def echo(bodies: list[bytes]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Echo", (_Echo,), {"bodies": bodies}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_proxy_forwards_large_bodies_both_ways_over_one_connection(echo: str) -> None:
    content = big_content(5_000_001)
    with FaultProxy(echo, prefix="/deep/er") as proxy, requests.Session() as session:
        assert session.post(f"{proxy.url}/x", data=content).content == content
        assert session.put(f"{proxy.url}/chunked", data=iter([content[:70_000], b"end"])).content[-3:] == b"end"
        assert session.get(f"{proxy.url}/p/100%25%20?q=%C3%BC").text == "/p/100%25%20?q=%C3%BC"
        assert requests.get(proxy.url.replace("/deep/er", "/other/x"), timeout=300).status_code == 404
        assert [r.status for r in proxy.requests] == [200, 200, 200, 404]
        assert proxy.count(r"/p/.*q=", "GET") == 1


def test_a_rule_meets_the_nth_request_so_many_times(echo: str) -> None:
    rule = Rule(faults.respond(429, retry_after=0.5), "/x", "GET", after=1, count=2)
    with FaultProxy(echo, rule) as proxy, requests.Session() as session:
        answers = [session.get(f"{proxy.url}/x") for _ in range(5)]
        assert session.post(f"{proxy.url}/x", data=b"1").ok
    assert [a.status_code for a in answers] == [200, 429, 429, 200, 200]
    assert answers[1].headers["Retry-After"] == "0.5"


def test_chances_are_the_same_for_the_same_seed(echo: str) -> None:
    def statuses(seed: int) -> list[int]:
        rule = Rule(faults.respond(503), probability=0.5, count=None)
        with FaultProxy(echo, rule, seed=seed) as proxy, requests.Session() as session:
            return [session.get(f"{proxy.url}/x").status_code for _ in range(30)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 503}


@pytest.mark.parametrize(
    ("action", "arrives"),
    [(faults.drop(), False), (faults.drop_response(), True), (faults.truncate(3), True)],
)
def test_a_lost_connection_is_lost_before_or_after_the_server_acts(
    echo: str, bodies: list[bytes], action: faults.Action, arrives: bool
) -> None:
    with FaultProxy(echo, Rule(action)) as proxy:
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            requests.post(f"{proxy.url}/x", data=b"content", timeout=300)
        assert bodies == ([b"content"] if arrives else [])
        assert proxy.requests[0].forwarded == arrives
        assert requests.post(f"{proxy.url}/x", data=b"again", timeout=300).text == "again"


def test_the_proxy_delays_and_kills(echo: str) -> None:
    killed: list[int] = []
    rules = Rule(faults.delay(0.3), "/slow"), Rule(faults.kill(lambda: killed.append(1)), "/kill")
    with FaultProxy(echo, *rules) as proxy:
        started = time.monotonic()
        assert requests.get(f"{proxy.url}/slow", timeout=300).ok
        assert time.monotonic() - started >= 0.3
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{proxy.url}/kill", timeout=300)
    assert killed == [1]


def test_the_proxy_asks_for_credentials(echo: str) -> None:
    with FaultProxy(echo, token=f"secret{MARK}") as proxy:
        assert requests.get(f"{proxy.url}/x", timeout=300).status_code == 401
        assert requests.get(f"{proxy.url}/x", headers={"Authorization": f"Bearer secret{MARK}"}, timeout=300).ok
    with FaultProxy(echo, basic=("u", MARK)) as proxy:
        assert requests.get(f"{proxy.url}/x", auth=("u", MARK), timeout=300).ok
        assert requests.get(f"{proxy.url}/x", auth=("u", "q"), timeout=300).status_code == 401


def test_the_environment_is_clean() -> None:
    assert not [name for name in os.environ if name.startswith(("MLFLOW_", "RUNSYNC_"))]


def test_a_server_keeps_its_runs_through_a_power_cut(start_server: Callable[..., MlflowServer]) -> None:
    server = start_server("3", static_prefix="/team").wait()
    with Seeder(server.url) as seeder:
        experiment_id = seeder.create_experiment("kept")
        points(seeder, seeder.create_run(experiment_id), "loss", 2500)
    server.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=300)
    server.restart()
    (run,) = Reader(server.url).read(["kept"]).runs.values()
    assert run["points"]["loss"].total() == 2500


@pytest.mark.parametrize("pair", ["2-to-3"], indirect=True)
def test_the_judge_reads_all_of_a_rich_workspace(pair: Pair, prefix: str) -> None:
    with pytest.raises(AssertionError, match="nothing was compared"):
        assert_same(pair.source.url, pair.target.url, [prefix + "*"])
    with Seeder(pair.source.url) as seeder:
        facts = rich_workspace(seeder, prefix)
    read = Reader(pair.source.url).read([facts.pattern])
    assert set(read.experiments) == set(facts.experiments)
    assert set(read.runs) == set(facts.runs.values())
    deleted = {run_id for run_id, run in read.runs.items() if run["info"]["lifecycle_stage"] == "deleted"}
    assert deleted == {facts.runs[label] for label in facts.deleted_runs}
    assert sum(keys.total() for run in read.runs.values() for keys in run["points"].values()) == facts.points
    contents = [content for run in read.runs.values() for content in run["artifacts"].values()]
    assert (len(contents), sum(map(len, contents))) == (facts.artifacts, facts.artifact_bytes)
    assert compare(read, _copied(read)) == []
    with pytest.raises(AssertionError, match="is missing"):
        assert_same(pair.source.url, pair.target.url, [facts.pattern])


def test_the_judge_sees_every_kind_of_tampering(mlflow3_a: MlflowServer, prefix: str) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        facts = rich_workspace(seeder, prefix)
    source = Reader(mlflow3_a.url).read([facts.pattern])
    for label, part, expected in TAMPERED:
        target = _copied(source)
        run = target.runs["copy-" + facts.runs[label]]
        with _telling(f"{label} {part}"):
            _tamper(run, part)
            found = compare(source, target)
            assert len(found) == 1, found
            assert expected in found[0]
    target = _copied(source)
    del target.runs["copy-" + facts.runs["child"]]
    assert any("0 copies" in line for line in compare(source, target))
    target = _copied(source)
    target.runs["twice"] = target.runs["copy-" + facts.runs["failed"]]
    assert any("2 copies" in line for line in compare(source, target))
    target = _copied(source)
    target.runs["more"] = copy.deepcopy(target.runs["copy-" + facts.runs["failed"]]) | {"origin": ""}
    assert any("no copy of any run" in line for line in compare(source, target))
    target = _copied(source)
    target.experiments[prefix + "deleted"]["lifecycle_stage"] = "active"
    target.experiments[prefix + "main"]["tags"].pop("empty")
    assert len(compare(source, target)) == 2


TAMPERED = [
    ("killed", "status", "status is 'FINISHED', not 'KILLED'"),
    ("running", "end_time", "end_time is 1, not None"),
    ("deleted", "lifecycle_stage", "lifecycle_stage is 'active', not 'deleted'"),
    ("params", "param", "param 'empty' is missing"),
    ("finished", "tag", "tag 'mlflow.runName' is"),
    ("child", "parent", "tag 'mlflow.parentRunId' is"),
    ("metrics", "point", "metric 'odd' lacks 1"),
    ("inputs", "input", "dataset input 'bare"),
    ("artifacts", "artifact", "artifact '100%.txt' is"),
    ("model", "MLmodel", "artifact 'model/MLmodel' is"),
    ("model", "history", "tag 'mlflow.log-model.history' is"),
]


def _tamper(run: RunState, part: str) -> None:
    if part in ("status", "end_time", "lifecycle_stage"):
        run["info"][part] = {"status": "FINISHED", "end_time": 1, "lifecycle_stage": "active"}[part]
    elif part == "param":
        del run["params"]["empty"]
    elif part == "tag":
        run["tags"]["mlflow.runName"] += "?"
    elif part == "parent":
        run["tags"]["mlflow.parentRunId"] = run["origin"]
    elif part == "point":
        del run["points"]["odd"][next(iter(run["points"]["odd"]))]
    elif part == "input":
        key = next(key for key in run["inputs"] if key.startswith("bare"))
        run["inputs"][key] = run["inputs"][key].replace("eval", "train")
    elif part == "artifact":
        run["artifacts"]["100%.txt"] += b"?"
    elif part == "MLmodel":
        run["artifacts"]["model/MLmodel"] = run["artifacts"]["model/MLmodel"].replace(b"copy-", b"")
    elif part == "history":
        run["tags"]["mlflow.log-model.history"] = run["tags"]["mlflow.log-model.history"].replace("copy-", "")


def _copied(source: Workspace) -> Workspace:
    """What a faithful copy would read like, with other run ids."""
    experiments = copy.deepcopy(source.experiments)
    runs = {}
    for run_id, run in source.runs.items():
        new = copy.deepcopy(run) | {"origin": run_id}
        for tag in ("mlflow.parentRunId", "mlflow.rootRunId"):
            if tag in new["tags"]:
                new["tags"][tag] = "copy-" + new["tags"][tag]
        model = "mlflow.log-model.history"
        if model in new["tags"]:
            new["tags"][model] = new["tags"][model].replace(run_id, "copy-" + run_id)
            text = new["artifacts"]["model/MLmodel"]
            new["artifacts"]["model/MLmodel"] = text.replace(run_id.encode(), f"copy-{run_id}".encode())
        runs["copy-" + run_id] = new
    return Workspace(experiments, runs)


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Adds what was tampered with to a failure."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
