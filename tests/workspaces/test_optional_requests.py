"""Requests that a transfer can do without: however what stands before a server answers them, the transfer goes on."""

import re
import time

import pytest
from conftest import Runner
from support import proxy as faults
from support.proxy import Action, FaultProxy, Rule
from support.seed import Seeder, points
from support.servers import MlflowServer

import runsync
from runsync.errors import RequestRefused
from runsync.patience import Patience
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import OPTIONAL, Client, client

NEEDED = (
    r"/2\.0/mlflow/(experiments|runs)/|/metrics/get-history\?|/artifacts/list|mlflow-artifacts/artifacts"
    r"|/get-artifact|/artifacts/upload"
)
"""Requests that nothing stands in for."""
OPTIONAL_ONES = rf"^(?!.*({NEEDED}))"
LOGIN = {"Location": "https://login.example.org/start?state=1"}
PAGE = b"<!doctype html><html><title>Log in</title></html>"
HTML = {"Content-Type": "text/html"}


def redirect(status: int) -> Action:
    return Action(f"redirect {status}", status, LOGIN)


REFUSALS = {
    "301": redirect(301),
    "302": redirect(302),
    "303": redirect(303),
    "a login page": Action("a login page", 200, HTML, PAGE),
    **{str(status): faults.respond(status, body=PAGE) for status in (401, 403, 404, 405, 500, 501, 502)},
    "a connection that is cut": faults.drop(),
    "no answer in time": faults.delay(600),
}
ASKED = ("server-info", "/version", "get-history-bulk", "registered-models/search", "logged-models/search", "traces")


@pytest.fixture(scope="module")
def small(fleet: object) -> tuple[MlflowServer, str]:
    """A little workspace: two runs with histories and a file."""
    server: MlflowServer = fleet.get("mlflow3_a")  # type: ignore[attr-defined]
    name = f"optional-{time.time_ns()}"
    with Seeder(server.url) as seeder:
        experiment = seeder.create_experiment(name)
        for _ in range(2):
            run = seeder.create_run(experiment, start_time=1_700_000_000_000)
            points(seeder, run, "loss", 5)
            seeder.put_artifact(run, "notes.txt", b"notes")
            seeder.finish(run)
    return server, name


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience, and answers are waited for only for a moment."""
    monkeypatch.setenv("RUNSYNC_PATIENCE", "0.3")


@pytest.mark.parametrize(
    "refusal",
    [
        *("a login page", "403", "404"),
        *(
            pytest.param(refusal, marks=pytest.mark.slow)
            for refusal in (
                *("a connection that is cut", "no answer in time"),
                *("301", "302", "303", "401", "405", "500", "501", "502"),
            )
        ),
    ],
)
def test_an_export_does_without_every_optional_request(
    small: tuple[MlflowServer, str], tmp_path: object, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, name = small
    monkeypatch.setattr(client, "SHORT_TIMEOUT", 0.5)
    bundle = f"{tmp_path}/bundle"
    health = Rule(faults.respond(200), "/health", count=None if refusal == "no answer in time" else 0)
    with FaultProxy(server.url, health, Rule(REFUSALS[refusal], OPTIONAL_ONES, count=None)) as proxy:
        report = runsync.export(proxy.url, bundle, selection=runsync.Selection(experiments=(name,)))
        asked = {path for path in ASKED if proxy.count(path)}
        unmet = [r.path for r in proxy.requests if not r.fault and not re.search(NEEDED, f"{r.path}?{r.query}")]
    assert (report.stopped, report.failed, report.problems, report.runs.created) == ("", [], [], 2)
    assert all("the server does not tell" in left.why for left in report.left_behind)
    assert bool(report.left_behind) is (refusal not in {"404", "405", "501"})
    assert asked == set(ASKED)
    assert unmet == []
    kinds = [left.kind for left in report.left_behind]
    assert runsync.verify(bundle, server.url, verify_artifacts=True, accept=kinds).exit_code == 0


@pytest.mark.parametrize(
    "refusal", ["a login page", *(pytest.param(status, marks=pytest.mark.slow) for status in ("302", "502"))]
)
def test_an_import_and_a_doctor_do_without_them_too(
    small: tuple[MlflowServer, str], mlflow3_b: MlflowServer, prefix: str, runsync: Runner, refusal: str
) -> None:
    server, name = small
    env = {"RUNSYNC_PATIENCE": "0.3"}
    with FaultProxy(mlflow3_b.url, Rule(REFUSALS[refusal], OPTIONAL_ONES, count=None)) as proxy:
        done = runsync("sync", server.url, proxy.url, "--experiment", name, "--prefix", prefix, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        told = runsync("doctor", proxy.url, env=env)
    assert told.returncode == 0
    assert "that does not tell its version" in told.stdout
    assert runsync("verify", server.url, mlflow3_b.url, "--experiment", name, "--prefix", prefix).returncode == 0


@pytest.mark.parametrize("refusal", ["302", "403"])
def test_what_may_stay_behind_is_told_where_the_server_does_not_tell_it(
    small: tuple[MlflowServer, str], tmp_path: object, refusal: str
) -> None:
    server, name = small
    with FaultProxy(server.url, Rule(REFUSALS[refusal], "registered-models", count=None)) as proxy:
        report = runsync.export(proxy.url, f"{tmp_path}/b", selection=runsync.Selection(experiments=(name,)))
    why = f"the server does not tell whether there are any (HTTP {refusal})"
    assert {(left.kind, left.count, left.why) for left in report.left_behind} == {
        ("registered-models", None, why),
        ("prompts", None, why),
    }
    assert report.exit_code == 3


def test_what_is_not_known_to_be_there_is_not_told_as_left_behind(
    small: tuple[MlflowServer, str], tmp_path: object, runsync: Runner
) -> None:
    server, name = small
    with FaultProxy(server.url, Rule(REFUSALS["302"], "logged-models|traces", count=None)) as proxy:
        done = runsync("export", proxy.url, f"{tmp_path}/b", "--experiment", name)
    ending = done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"Done: snapshot \S+\. Whether there are logged models, traces is not known\. "
        r"To accept that, add --accept logged-models,traces\.",
        ending,
    )
    assert "\n  traces: the server does not tell whether there are any (HTTP 302)\n" in done.stdout


def test_a_list_of_kinds_that_makes_no_sense_does_not_end_an_export(
    small: tuple[MlflowServer, str], tmp_path: object
) -> None:
    server, name = small
    odd = faults.respond(200, body=b'{"registered_models": {}}')
    with FaultProxy(server.url, Rule(odd, "registered-models", count=None)) as proxy:
        report = runsync.export(proxy.url, f"{tmp_path}/b", selection=runsync.Selection(experiments=(name,)))
    assert (report.stopped, report.exit_code) == ("", 3)
    assert {left.kind for left in report.left_behind} == {"registered-models", "prompts"}


@pytest.mark.parametrize(("server", "asked"), [("mlflow2_a", 1), ("mlflow3_a", 3)])
def test_where_logged_models_are_not_told_runs_are_asked_one_by_one_only_if_they_may_have_any(
    request: pytest.FixtureRequest, tmp_path: object, prefix: str, server: str, asked: int
) -> None:
    """By one request more: MLflow 2 has no such models."""
    url = request.getfixturevalue(server).url
    with Seeder(url) as seeder:
        experiment = seeder.create_experiment(prefix + "models")
        for _ in range(2):
            seeder.finish(seeder.create_run(experiment))
    with FaultProxy(url, Rule(REFUSALS["403"], "logged-models", count=None)) as proxy:
        report = runsync.export(
            proxy.url, f"{tmp_path}/b", selection=runsync.Selection(experiments=(prefix + "models",))
        )
        assert (report.runs.created, proxy.count(r"runs/get\?")) == (2, asked)


def test_a_history_endpoint_that_fails_once_is_asked_again(small: tuple[MlflowServer, str], tmp_path: object) -> None:
    server, name = small
    with FaultProxy(server.url, Rule(faults.respond(502), "get-history-bulk")) as proxy:
        report = runsync.export(proxy.url, f"{tmp_path}/b", selection=runsync.Selection(experiments=(name,)))
        assert (report.exit_code, proxy.count(r"get-history\?")) == (0, 0)


def test_a_server_that_is_down_is_waited_for_by_optional_requests_too(mlflow3_a: MlflowServer) -> None:
    """Else a restart would be taken for an old server."""
    patience = Patience(seconds=60, first_delay=0.01, longest_delay=0.02)
    with FaultProxy(mlflow3_a.url, Rule(faults.drop(), "", count=20)) as proxy:
        asking = Client(proxy.url, Credentials(), patience=patience)
        assert asking.get("/api/3.0/mlflow/server-info", care=OPTIONAL)["store_type"]
        asking.close()


def test_an_optional_request_raises_one_error_however_it_fails(
    mlflow3_a: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SHORT_TIMEOUT", 0.5)
    with FaultProxy(mlflow3_a.url) as proxy:
        asking = Client(proxy.url, Credentials(), patience=Patience(seconds=0.3, first_delay=0.01))
        for action in REFUSALS.values():
            proxy.clear()
            proxy.add(Rule(action, "server-info", count=None))
            with pytest.raises(RequestRefused):
                asking.get("/api/3.0/mlflow/server-info", care=OPTIONAL)
        asking.close()
