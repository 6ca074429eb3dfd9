"""Servers and connections that fail: what arrives is right all the same, or is named; and running it again finishes."""

import json
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Result, Runner, command
from support import proxy as faults
from support.damage import manifest_of
from support.memory import export_into, small_source
from support.oracle import Reader, assert_same
from support.proxy import FaultProxy, Rule
from support.rich import Facts, rich_workspace
from support.seed import Seeder, points
from support.servers import MlflowServer, clean_environment, free_port

from runsync.bundle.check import check

BRIEF = {"RUNSYNC_PATIENCE": "3"}
PATIENT = {"RUNSYNC_PATIENCE": "30"}


@pytest.fixture(scope="module")
def seeded(fleet: Any) -> tuple[MlflowServer, Facts]:
    """A rich workspace on the source server, for all tests of this file: none of them changes it."""
    server: MlflowServer = fleet.get("mlflow3_a")
    with Seeder(server.url) as seeder:
        return server, rich_workspace(seeder, f"faults-{time.time_ns()}-")


@pytest.fixture(scope="module")
def exported(seeded: tuple[MlflowServer, Facts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same workspace as a bundle."""
    server, facts = seeded
    bundle = tmp_path_factory.mktemp("exported") / "bundle"
    arguments = command("export", server.url, bundle, "--experiment", facts.pattern)
    subprocess.run(arguments, env=clean_environment(), check=True, capture_output=True, timeout=120)
    return bundle


def _one_line(done: Result, code: int) -> str:
    """The error of a command that failed as it should."""
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("runsync: ")
    return done.stderr


def _export(runsync: Runner, url: str, bundle: Path, facts: Facts, **env: str) -> tuple[int, dict[str, Any], str]:
    done = runsync("export", url, bundle, "--experiment", facts.pattern, "--json", env=BRIEF | env)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def _import(runsync: Runner, bundle: Path, url: str, prefix: str, **env: str) -> tuple[int, dict[str, Any], str]:
    done = runsync("import", bundle, url, "--prefix", prefix, "--json", env=BRIEF | env)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def _done(answer: tuple[int, dict[str, Any], str]) -> dict[str, Any]:
    """The report of a command that did all it was asked; fails with what did not arrive."""
    code, report, stderr = answer
    lacking = [f"{f['name']}: {f['error']}" for f in report.get("failed", [])]
    lacking += [f"{p['run_id']} {p['name']}: {p['reason']}" for p in report.get("problems", [])]
    assert (code, stderr) == (0, ""), "\n".join(lacking)
    return report


def _arrived(seeded: tuple[MlflowServer, Facts], target: MlflowServer, prefix: str) -> None:
    server, facts = seeded
    assert_same(server.url, target.url, [facts.pattern], rename=lambda name: prefix + name)


Seeded = tuple[MlflowServer, Facts]

# A server that stumbles.


def _storm() -> list[Rule]:
    """Every kind of fault, now and then: one request in ten meets one."""
    actions = [
        faults.respond(429, retry_after=0.05),
        faults.respond(429),
        faults.respond(500),
        faults.respond(503, retry_after=0.1),
        faults.drop(),
        faults.drop_response(),
        faults.truncate(40),
    ]
    return [Rule(action, probability=0.015, count=None) for action in actions]


def test_an_export_through_a_storm_of_faults_is_whole(
    seeded: Seeded, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    with FaultProxy(server.url, *_storm(), seed=1) as proxy:
        for _ in range(4):
            code, _, stderr = _export(runsync, proxy.url, tmp_path / "b", facts, **PATIENT)
            assert code in (0, 3), stderr
            if code == 0:
                break
        assert code == 0
        assert len([r for r in proxy.requests if r.fault]) >= 5
    assert check(tmp_path / "b").faults == []
    _done(_import(runsync, tmp_path / "b", mlflow3_b.url, prefix))
    _arrived(seeded, mlflow3_b, prefix)


def test_an_import_through_a_storm_of_faults_is_whole_and_duplicates_nothing(
    seeded: Seeded, exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    with FaultProxy(mlflow3_b.url, *_storm(), seed=2) as proxy:
        for _ in range(4):
            code, _, stderr = _import(runsync, exported, proxy.url, prefix, **PATIENT)
            assert code in (0, 3), stderr
            if code == 0:
                break
        assert code == 0
        assert len([r for r in proxy.requests if r.fault]) >= 5
    _arrived(seeded, mlflow3_b, prefix)


def test_an_answer_to_runs_create_that_is_lost_makes_no_second_run(
    seeded: Seeded, exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    rules = [
        Rule(faults.drop_response(), "runs/create", "POST", probability=0.6, count=None),
        Rule(faults.drop_response(), "experiments/create", "POST", count=2),
    ]
    with FaultProxy(mlflow3_b.url, *rules, seed=3) as proxy:
        code, report, stderr = _import(runsync, exported, proxy.url, prefix, **PATIENT)
        assert len([r for r in proxy.seen("runs/create") if r.fault]) > 5
        assert proxy.count("runs/create") == len(seeded[1].runs)
    assert (code, report["runs"]["created"]) == (0, len(seeded[1].runs)), stderr
    _arrived(seeded, mlflow3_b, prefix)


def test_a_runs_create_that_never_reached_the_server_is_sent_again(
    seeded: Seeded, exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    rules = [
        Rule(faults.drop(), "runs/create", "POST", probability=0.3, count=None),
        Rule(faults.respond(503), "runs/create", "POST", probability=0.2, count=None),
        Rule(faults.respond(429, retry_after=0.05), "runs/create", "POST", probability=0.1, count=None),
    ]
    with FaultProxy(mlflow3_b.url, *rules, seed=4) as proxy:
        for _ in range(3):
            code, _, stderr = _import(runsync, exported, proxy.url, prefix, **PATIENT)
            if code == 0:
                break
    assert code == 0, stderr
    _arrived(seeded, mlflow3_b, prefix)


def test_an_artifact_download_that_breaks_is_never_stored_short(
    seeded: Seeded, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    with FaultProxy(server.url, seed=5) as proxy:
        for keep in (0, 3, 70_000, 1_100_000, 2_900_000):
            proxy.add(Rule(faults.truncate(keep), "mlflow-artifacts/artifacts/.*megabytes", "GET"))
        proxy.add(Rule(faults.truncate(2), "mlflow-artifacts/artifacts/", "GET", count=4))
        code, report, stderr = _export(runsync, proxy.url, tmp_path / "b", facts, **PATIENT)
    assert (code, report["artifacts"], report["artifact_bytes"]) == (0, facts.artifacts, facts.artifact_bytes), stderr
    assert check(tmp_path / "b").faults == []
    _done(_import(runsync, tmp_path / "b", mlflow3_b.url, prefix))
    _arrived(seeded, mlflow3_b, prefix)


def test_an_answer_cut_within_its_json_is_asked_for_again(seeded: Seeded, runsync: Runner, tmp_path: Path) -> None:
    server, facts = seeded
    rules = [Rule(faults.truncate(200), path, count=2) for path in ("runs/search", "get-history", "artifacts/list")]
    with FaultProxy(server.url, *rules) as proxy:
        code, report, stderr = _export(runsync, proxy.url, tmp_path / "b", facts)
        assert [rule.fired for rule in proxy.rules] == [2, 2, 2]
    assert (code, report["metric_points"], report["runs"]["created"]) == (0, facts.points, len(facts.runs)), stderr


def test_an_export_takes_at_least_the_pause_that_the_server_asks_for(
    seeded: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    rule = Rule(faults.respond(429, retry_after=3), "runs/search", "POST")
    with FaultProxy(server.url, rule) as proxy:
        begun = time.monotonic()
        code, _, stderr = _export(runsync, proxy.url, tmp_path / "b", facts, **PATIENT)
        assert time.monotonic() - begun >= 3
    assert (code, rule.fired) == (0, 1), stderr


def test_runs_that_share_a_dataset_all_get_it_though_the_server_trips_over_itself(
    mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    """MLflow answers 400 when two requests at once bring a dataset that it does not know yet."""
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "inputs")
        for _ in range(12):
            run_id = seeder.create_run(experiment_id)
            seeder.log_dataset(run_id, "iris", "abc", tags={"mlflow.data.context": "training"})
            seeder.finish(run_id)
    assert runsync("export", mlflow3_a.url, tmp_path / "b", "--experiment", prefix + "*").returncode == 0
    # What it says then, word for word; here for certain, else only now and then.
    said = (
        "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest\n"
        "[SQL: INSERT INTO datasets (dataset_uuid, experiment_id, name, digest) VALUES (?, ?, ?, ?)]\n"
        "(Background on this error at: https://sqlalche.me/e/21/gkpj)"
    )
    body = json.dumps({"error_code": "BAD_REQUEST", "message": said}).encode()
    with FaultProxy(mlflow3_b.url, Rule(faults.respond(400, body=body), "log-inputs", count=2)) as proxy:
        _done(_import(runsync, tmp_path / "b", proxy.url, "copy of "))
    assert_same(mlflow3_a.url, mlflow3_b.url, [prefix + "*"], rename=lambda name: "copy of " + name)


# A server that dies.


def test_a_server_that_dies_amid_an_export_ends_it_with_13_and_the_next_export_goes_on(
    seeded: Seeded, mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    rule = Rule(faults.kill(mlflow3_a.kill), "mlflow-artifacts/artifacts/", "GET", after=4)
    try:
        with FaultProxy(server.url, rule) as proxy:
            code, report, stderr = _export(runsync, proxy.url, tmp_path / "b", facts)
            assert code in (3, 13), stderr
            assert not list((tmp_path / "b").glob("snapshots/*.json"))
            assert (report["stopped"], report["snapshot"]) != ("", "")
            assert proxy.url in stderr
            assert len(stderr.splitlines()) == 1
    finally:
        mlflow3_a.restart()
    report = _done(_export(runsync, server.url, tmp_path / "b", facts))
    assert report["runs"]["created"] + report["runs"]["unchanged"] == len(facts.runs)
    assert check(tmp_path / "b").faults == []
    assert manifest_of(tmp_path / "b")["counts"]["artifact_bytes"] == facts.artifact_bytes


@pytest.mark.parametrize("path", ["runs/create", "log-batch", "mlflow-artifacts/artifacts/", "runs/set-tag"])
def test_a_server_that_dies_amid_an_import_ends_it_with_13_and_the_next_import_finishes(
    seeded: Seeded, exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner, path: str
) -> None:
    rule = Rule(faults.kill_after(mlflow3_b.kill), path, after=5)
    try:
        with FaultProxy(mlflow3_b.url, rule) as proxy:
            code, report, stderr = _import(runsync, exported, proxy.url, prefix)
            assert code in (3, 13), stderr
            assert len(stderr.splitlines()) == (1 if code == 13 else 0)
            assert report["stopped"] or report["failed"]
    finally:
        mlflow3_b.restart()
    _done(_import(runsync, exported, mlflow3_b.url, prefix))
    _arrived(seeded, mlflow3_b, prefix)


def test_what_is_done_when_a_server_dies_is_told_to_people_too(
    exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    try:
        with FaultProxy(mlflow3_b.url, Rule(faults.kill_after(mlflow3_b.kill), "log-batch", after=3)) as proxy:
            done = runsync("import", exported, proxy.url, "--prefix", prefix, env=BRIEF)
    finally:
        mlflow3_b.restart()
    _one_line(done, 13)
    assert "Stopped before the end." in done.stdout
    assert "experiments" in done.stdout


def test_a_server_that_restarts_within_the_patience_is_waited_for(
    seeded: Seeded, exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    def restart() -> None:
        mlflow3_b.kill()
        threading.Thread(target=mlflow3_b.start).start()

    rule = Rule(faults.kill_after(restart), "log-batch", after=5)
    try:
        with FaultProxy(mlflow3_b.url, rule) as proxy:
            code, report, stderr = _import(runsync, exported, proxy.url, prefix, RUNSYNC_PATIENCE="90")
    finally:
        mlflow3_b.wait()
    assert (code, rule.fired) == (0, 1), stderr + str(report)
    _arrived(seeded, mlflow3_b, prefix)


# Something else at the address.


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
    assert _one_line(ask(verb, url), 13) == (
        f"runsync: {url} does not answer (connection refused); check the address and that the server runs\n"
    )


def test_an_unknown_host_is_told(ask: Ask) -> None:
    assert "http://no-such-host.invalid:5000 does not answer (no such host)" in _one_line(
        ask("export", "http://no-such-host.invalid:5000"), 13
    )


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_server_that_is_not_mlflow_is_told(ask: Ask, serve: Serve, verb: str) -> None:
    url = serve(_Quiet)
    assert f"{url} answers, but not as an MLflow server" in _one_line(ask(verb, url), 13)


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("content", [b"<!doctype html><title>Hi</title>", b"", b"[]", b"true"])
def test_a_page_that_answers_everything_is_told(ask: Ask, serve: Serve, verb: str, content: bytes) -> None:
    url = serve(_page(200, {"Content-Type": "text/html"}, content))
    assert "not MLflow's API" in _one_line(ask(verb, url), 13)


@pytest.mark.parametrize("content", [b"{}", b'{"experiments": 7}', b'{"experiments": [{}]}', b'{"runs": [null]}'])
def test_a_json_server_that_is_not_mlflow_is_told_without_a_traceback(
    ask: Ask, serve: Serve, content: bytes, runsync: Runner, tmp_path: Path
) -> None:
    url = serve(_page(200, {"Content-Type": "application/json"}, content))
    done = runsync("export", url, tmp_path / "b", env=BRIEF)
    assert "unexpected" not in done.stderr
    assert done.returncode in ((0, 13) if content == b"{}" else (13,))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_a_login_page_is_told(ask: Ask, serve: Serve, status: int) -> None:
    url = serve(_page(status, {"Location": "https://login.example/?next=secret"}, b""))
    error = _one_line(ask("export", url), 13)
    assert f"{url} redirects to https://login.example/" in error
    assert "secret" not in error


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_password_is_told_with_what_to_set(ask: Ask, serve: Serve, verb: str, status: int) -> None:
    url = serve(_page(status, {}, b"Go away"))
    error = _one_line(ask(verb, url, MLFLOW_TRACKING_USERNAME="ada", MLFLOW_TRACKING_PASSWORD="hunter2"), 13)
    assert f"{url} refuses us (HTTP {status})" in error
    assert "MLFLOW_TRACKING_USERNAME" in error
    assert "hunter2" not in error


def test_a_password_that_is_right_lets_us_in_and_a_wrong_one_does_not(
    seeded: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    with FaultProxy(server.url, basic=("ada", "hunter2")) as proxy:
        one = ("--experiment", facts.prefix + "empty")
        _one_line(runsync("export", proxy.url, tmp_path / "b", *one), 13)
        wrong = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "hunter3"}
        _one_line(runsync("export", proxy.url, tmp_path / "b", *one, env=wrong), 13)
        right = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "hunter2"}
        assert runsync("export", proxy.url, tmp_path / "b", *one, env=right).returncode == 0


def test_a_run_that_we_may_not_read_is_named_and_the_rest_goes_on(
    seeded: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    run_id = facts.runs["artifacts"]
    rule = Rule(faults.respond(403), f"artifacts/list.*run_id={run_id}", count=None)
    with FaultProxy(server.url, rule) as proxy:
        code, report, _ = _export(runsync, proxy.url, tmp_path / "b", facts)
    assert code == 3
    assert {problem["run_id"] for problem in report["problems"]} == {run_id}
    assert report["runs"]["created"] == len(facts.runs)


@pytest.mark.parametrize("option", ["--experiment", "--run"])
def test_an_experiment_or_run_that_is_not_there_is_told_by_name(
    mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path, option: str
) -> None:
    done = runsync("export", mlflow3_a.url, tmp_path / "b", option, "no-such-thing")
    assert "no-such-thing" in _one_line(done, 1)
    assert not list(tmp_path.glob("b/snapshots/*"))


def test_a_filter_that_the_server_does_not_understand_is_told(
    mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    done = runsync("export", mlflow3_a.url, tmp_path / "b", "--filter", "metrics.loss <<< 1")
    assert done.returncode in (1, 2, 13)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("b/snapshots/*"))


# Artifacts that cannot be had.


@pytest.fixture
def two_runs(mlflow3_a: MlflowServer, prefix: str) -> tuple[str, str, str]:
    """An experiment of two runs with two artifacts each: its name and the runs' ids."""
    with Seeder(mlflow3_a.url) as seeder:
        experiment_id = seeder.create_experiment(prefix + "files")
        ids = [seeder.create_run(experiment_id, name) for name in ("good", "bad")]
        for run_id in ids:
            points(seeder, run_id, "loss", 10)
            for path in ("a.txt", "sub/b.txt"):
                seeder.put_artifact(run_id, path, f"{path} of {run_id}\n".encode())
            seeder.finish(run_id)
    return prefix + "files", ids[0], ids[1]


def test_an_artifact_that_is_gone_at_the_source_is_named_and_the_next_export_tries_again(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    name, _, bad = two_runs
    rule = Rule(faults.respond(404), f"artifacts/{r'[0-9]+'}/{bad}/artifacts/sub/b.txt", "GET", count=None)
    export = ("export", "--experiment", name, "--json")
    with FaultProxy(mlflow3_a.url, rule) as proxy:
        done = runsync(*export, proxy.url, tmp_path / "b")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert [(p["run_id"], p["kind"], p["name"]) for p in report["problems"]] == [(bad, "artifact", "sub/b.txt")]
    assert (report["runs"]["created"], report["artifacts"], report["metric_points"]) == (2, 3, 20)
    assert check(tmp_path / "b").faults == []
    again = runsync(*export, mlflow3_a.url, tmp_path / "b")
    assert again.returncode == 0
    report = json.loads(again.stdout)
    assert (report["runs"]["updated"], report["runs"]["unchanged"]) == (1, 1)
    assert manifest_of(tmp_path / "b")["counts"]["artifacts"] == 4


def test_an_artifact_file_that_was_removed_behind_the_servers_back_does_not_stop_anything(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path
) -> None:
    name, _, bad = two_runs
    (folder,) = mlflow3_a.artifact_root.glob(f"*/{bad}/artifacts")
    shown = folder / "a.txt"
    content = shown.read_bytes()
    # Listed by the server, and not readable: a link to nowhere.
    shown.unlink()
    shown.symlink_to(folder / "nowhere")
    try:
        done = runsync("export", mlflow3_a.url, tmp_path / "b", "--experiment", name, "--json", env=BRIEF)
    finally:
        shown.unlink()
        shown.write_bytes(content)
    report = json.loads(done.stdout)
    assert done.returncode == 3, report
    assert {p["run_id"] for p in report["problems"]} == {bad}
    assert report["runs"]["created"] == 2


@pytest.mark.parametrize(
    "path", ["../../x", "/etc/x", "a/../../../x", "..", "C:\\x", "sub/../../x", "..\\..\\x", "a\x01b"]
)
def test_a_server_that_offers_a_path_outside_the_run_is_refused_and_nothing_is_written_outside(
    two_runs: tuple[str, str, str], mlflow3_a: MlflowServer, runsync: Runner, tmp_path: Path, path: str
) -> None:
    name, good, bad = two_runs
    listing = json.dumps({"files": [{"path": path, "is_dir": False, "file_size": 3}]}).encode()
    rules = [
        Rule(faults.respond(200, body=listing), f"artifacts/list.*run_id={bad}", count=None),
        Rule(faults.respond(200, body=b"bad"), f"{bad}/artifacts/", count=None),
        Rule(faults.respond(200, body=b"bad"), "mlflow-artifacts/artifacts/(?!.*" + good + ")", count=None),
    ]
    before = set(tmp_path.parent.rglob("*"))
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        done = runsync("export", proxy.url, tmp_path / "deep/er/b", "--experiment", name, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 3
    (problem,) = report["problems"]
    assert (problem["run_id"], problem["kind"]) == (bad, "artifact list")
    assert "is refused: " in problem["reason"]
    made = set(tmp_path.parent.rglob("*")) - before
    assert all(place.is_relative_to(tmp_path / "deep") for place in made)
    assert b"bad" not in {f.read_bytes() for f in (tmp_path / "deep").rglob("*") if f.is_file()}


# A disk that is full.


def test_a_disk_that_takes_no_more_ends_the_export_with_1_and_the_next_one_finishes(
    seeded: Seeded, runsync: Runner, tmp_path: Path
) -> None:
    server, facts = seeded
    bundle = tmp_path / "b"
    # Files may not get larger than a megabyte; Python ignores the signal, so writes fail as on a full disk.
    done = subprocess.run(
        command("export", server.url, bundle, "--experiment", facts.pattern),
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    error = _one_line(Result(done.returncode, done.stdout, done.stderr), 1)
    assert f"{bundle} cannot be written: File too large" in error
    assert "Stopped before the end." in done.stdout
    assert not list(bundle.glob("snapshots/*.json"))
    assert check(bundle).faults == []
    assert _export(runsync, server.url, bundle, facts)[0] == 0
    assert check(bundle).faults == []


@pytest.mark.parametrize("limit", [600, 3000])
def test_a_disk_that_is_full_at_once_ends_the_export_with_one_line(
    seeded: Seeded, runsync: Runner, tmp_path: Path, limit: int
) -> None:
    """A limit so low that the metrics parts or the run documents do not fit."""
    server, facts = seeded
    bundle = tmp_path / "b"
    done = subprocess.run(
        command("export", server.url, bundle, "--experiment", facts.pattern, "--no-artifacts"),
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _one_line(Result(done.returncode, done.stdout, done.stderr), 1)
    assert not list(bundle.glob("snapshots/*.json"))
    assert _export(runsync, server.url, bundle, facts)[0] == 0


def test_a_target_that_loses_what_it_was_sent_is_found_out(
    exported: Path, mlflow3_b: MlflowServer, prefix: str, runsync: Runner
) -> None:
    """A proxy that answers 200 to uploads and throws them away."""
    rule = Rule(faults.respond(200, body=b"{}"), "mlflow-artifacts/artifacts/.*megabytes", "PUT", count=None)
    with FaultProxy(mlflow3_b.url, rule) as proxy:
        code, report, _ = _import(runsync, exported, proxy.url, prefix)
    assert code == 3
    assert any("three megabytes.bin" in problem["name"] for problem in report["problems"])
    # It is not taken for whole: the next import brings what is missing.
    code, report, _ = _import(runsync, exported, mlflow3_b.url, prefix)
    assert code == 0
    paths = [p for run in Reader(mlflow3_b.url).read([prefix + "*"]).runs.values() for p in run["artifacts"]]
    assert "big/three megabytes.bin" in paths
