"""doctor: what a user hears of a workspace before anything is carried, and that nothing is written to find it out."""

import email.utils
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import support.proxy as faults
from conftest import Runner, executable
from support.proxy import FaultProxy, Rule
from support.s3 import KEYS, Bucket, S3Server
from support.secrets import MARK
from support.seed import Seeder
from support.servers import ADMIN, MlflowServer, free_port
from workspaces.doctor import names_a_run

import runsync as library
from runsync.bundle import schemas
from runsync.errors import WrongUsage
from runsync.model.finding import Finding
from runsync.workspaces.address import parse
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import AUTHORITIES
from runsync.workspaces.rest.examine import approach
from transfer.commands import Report, export, report, writes

ADA = ("ada", f"a long pass phrase {MARK}")
StartServer = Callable[..., MlflowServer]


def examined(
    runsync: Runner, where: object, *options: object, code: int = 0, env: Mapping[str, str] | None = None
) -> Report:
    """`runsync doctor --json`, which holds to its schema."""
    told = report(runsync("doctor", where, *options, "--json", env=env), code)
    schemas.check("doctor-report", told, "doctor")
    return told


def of(told: Report, topic: str) -> list[tuple[str, str]]:
    """What was found on one topic: state, and words with what to do."""
    return [(f["state"], f"{f['told']} → {f['remedy']}") for f in told["findings"] if f["topic"] == topic]


def one(told: Report, topic: str) -> tuple[str, str]:
    """The same where there is one finding."""
    (found,) = of(told, topic)
    return found


def failures(told: Report) -> list[str]:
    return [f["topic"] for f in told["findings"] if f["state"] == "failure"]


def login(user: tuple[str, str]) -> dict[str, str]:
    return {"MLFLOW_TRACKING_USERNAME": user[0], "MLFLOW_TRACKING_PASSWORD": user[1]}


def test_a_server_is_told_with_its_version_speed_clock_and_features_and_is_not_written_to(
    either: MlflowServer, prefix: str, runsync: Runner
) -> None:
    with Seeder(either.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "one"), "one", start_time=4_000_000_000_000)
        seeder.put_artifact(run_id, "model/weights.bin", b"w" * 100)
        seeder.post("registered-models/create", name=prefix + "model")
    with FaultProxy(either.url) as proxy:
        told = examined(runsync, proxy.url)
        assert writes(proxy) == []
        assert len(proxy.seen()) == told["requests"]
    with Seeder(either.url) as seeder:
        seeder.call("DELETE", "registered-models/delete", {"name": prefix + "model"})
    assert told["workspace"]["version"] in one(told, "server")[1]
    assert failures(told) == []
    assert one(told, "credentials") == ("ok", "none → ")
    assert one(told, "identity") == ("ok", "nobody: the server asks for no login → ")
    assert one(told, "clock")[0] == "ok"
    assert "ms a small request" in one(told, "speed")[1]
    assert one(told, "metrics") == ("ok", "histories of up to 100 runs come in one request → ")
    assert "model registry" in one(told, "features")[1]
    assert ("it has not: logged models, traces" in one(told, "features")[1]) == told["workspace"]["version"].startswith(
        "2"
    )
    assert "through the server (one of run" in one(told, "artifacts")[1]
    assert names_a_run(one(told, "artifacts")[1])


def test_what_is_risky_on_the_way_to_a_server_is_told_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", *AUTHORITIES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    token = Credentials(token="dapi-secret")
    (told,) = approach(parse("https://mlflow.example.org", token))
    assert (told.state, told.told) == ("ok", "a token")
    (told,) = approach(parse("http://127.0.0.1:5000", token))
    assert told.state == "ok"
    (told,) = approach(parse("http://mlflow.example.org", token))
    assert told.state == "warning"
    assert "everyone on the way can read them" in told.told
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:hunter2@proxy.example.org:3128")
    found = list(approach(parse("https://mlflow.example.org", Credentials(username="ada", insecure_tls=True))))
    assert [(each.topic, each.state) for each in found] == [("credentials", "ok"), ("tls", "warning"), ("proxy", "ok")]
    assert "proxy.example.org:3128" in found[-1].told
    assert not [each for each in found if "hunter2" in each.told]


def test_a_server_that_is_down_is_told_within_seconds(runsync: Runner) -> None:
    begun = time.monotonic()
    assert failures(examined(runsync, f"http://127.0.0.1:{free_port()}", code=13)) == ["connection"]
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("release", ["3", pytest.param("2", marks=pytest.mark.slow)])
def test_whom_the_login_of_mlflow_takes_us_for_and_what_that_one_may_do(
    start_server: StartServer, runsync: Runner, release: str
) -> None:
    server = start_server(release, basic_auth=True).wait()
    with Seeder(server.url, server.headers) as admin:
        admin.post("users/create", username=ADA[0], password=ADA[1])
        admin.create_experiment("hers or not")
    for wrong in ({}, login(("ada", "guessed")), {"MLFLOW_TRACKING_TOKEN": "guessed"}):
        told = examined(runsync, server.url, code=13, env=wrong)
        assert failures(told) == ["access"]
        assert "check MLFLOW_TRACKING_USERNAME" in one(told, "access")[1]
        assert "guessed" not in json.dumps(told)
    told = examined(runsync, server.url, env=login(ADMIN))
    assert one(told, "identity") == ("ok", "user “admin”, an administrator → ")
    assert one(told, "rights") == ("ok", "all → ")
    with FaultProxy(server.url) as proxy:
        told = examined(runsync, proxy.url, env=login(ADA))
        assert writes(proxy) == []
    assert one(told, "identity") == ("ok", "user “ada”, no administrator → ")
    unseen, writing = of(told, "rights")
    assert unseen[0] == writing[0] == "warning"
    assert "experiments that it may not read are not shown to it" in unseen[1]
    assert "it may write to 0 of 2 experiments" in writing[1]
    assert ADA[1] not in json.dumps(told)


def test_the_workspaces_of_a_server_are_named(start_server: StartServer, runsync: Runner) -> None:
    server = start_server("3", workspaces=True).wait()
    with Seeder(server.url) as seeder:
        seeder.call("POST", "../../3.0/mlflow/workspaces", {"name": "team-a"})
    assert "the default one; there is 1 other: team-a" in one(examined(runsync, server.url), "workspace")[1]
    assert "“team-a”" in one(examined(runsync, f"{server.url}?workspace=team-a"), "workspace")[1]
    gone = examined(runsync, f"{server.url}?workspace=team-b", code=13)
    assert "team-b" in one(gone, "connection")[1]


ANSWERS = {
    "a page": (faults.respond(200, body=b"<!doctype html><title>Hi</title>"), "not MLflow's API"),
    "nothing there": (faults.respond(404, body=b"<h1>Not Found</h1>"), "answers, but not as an MLflow server"),
    "a login page": (
        faults.Action("login", 302, {"Location": "https://login.example/?next=secret"}),
        "redirects to https://login.example/; use the server's own address",
    ),
    "a foreign name": (
        faults.Action(
            "host", 403, {"Content-Type": "text/plain"}, b"Invalid Host header - possible DNS rebinding attack"
        ),
        "start it with --allowed-hosts NAME",
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_mlflow_server_or_lets_nobody_in_is_explained(runsync: Runner, answer: str) -> None:
    action, expected = ANSWERS[answer]
    with FaultProxy("http://127.0.0.1:1", Rule(action, count=None)) as stranger:
        told = examined(runsync, stranger.url, code=13)
    assert len(failures(told)) == 1
    assert expected in told["findings"][-1]["told"]
    assert "secret" not in json.dumps(told)


def test_https_to_a_server_that_speaks_http_is_explained(mlflow3_default: MlflowServer, runsync: Runner) -> None:
    """Under gunicorn it answers nothing at all."""
    told = examined(runsync, mlflow3_default.url.replace("http://", "https://"), code=13)
    assert "no TLS connection could be made; is it a server for http:// ?" in one(told, "connection")[1]


def test_a_clock_that_is_off_is_warned_of(mlflow3_a: MlflowServer, runsync: Runner) -> None:
    late = {"Content-Type": "application/json", "Date": email.utils.formatdate(time.time() - 900, usegmt=True)}
    action = faults.Action("late", 200, late, b'{"experiments": []}')
    with FaultProxy(mlflow3_a.url, Rule(action, "experiments/search", method="GET", count=None)) as proxy:
        state, text = one(examined(runsync, proxy.url), "clock")
    assert state == "warning"
    assert "s behind this machine's" in text


@pytest.mark.parametrize(
    ("slow", "remedy"),
    [
        ("/health|experiments/search", "run it nearer to the server"),
        ("experiments/search", "the server is busy or slow"),
    ],
)
def test_a_long_way_and_a_slow_server_are_told_apart(
    mlflow3_a: MlflowServer, runsync: Runner, slow: str, remedy: str
) -> None:
    with FaultProxy(mlflow3_a.url, Rule(faults.delay(0.5), slow, method="GET", count=None)) as proxy:
        state, text = one(examined(runsync, proxy.url), "speed")
    assert state == "warning"
    assert remedy in text


def test_a_server_without_its_bulk_endpoint_is_slower_and_that_is_told(
    mlflow3_a: MlflowServer, runsync: Runner
) -> None:
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(404), "get-history-bulk", count=None)) as proxy:
        assert one(examined(runsync, proxy.url), "metrics")[0] == "warning"


@pytest.mark.parametrize(
    "action", [faults.Action("login", 302, {"Location": "https://login.example/"}), faults.respond(200, body=b"<html>")]
)
def test_what_a_server_has_is_not_claimed_where_a_login_page_answers(
    mlflow3_a: MlflowServer, runsync: Runner, action: faults.Action
) -> None:
    rules = [Rule(action, path, count=None) for path in ("registered-models", "logged-models", "traces", "secrets")]
    with FaultProxy(mlflow3_a.url, *rules) as proxy:
        told = examined(runsync, proxy.url)
    expected = "not known, as it does not answer us: model registry, logged models, traces → "
    assert one(told, "features") == ("ok", expected)
    (secrets,) = (text for _, text in of(told, "not carried") if text.startswith("gateway secrets: "))
    page = "HTTP 302" if action.status == 302 else "it answers with a web page, such as a login page"
    assert f"the server does not tell whether there are any ({page})" in secrets


def test_a_search_of_runs_that_fails_is_told_as_that(mlflow3_a: MlflowServer, prefix: str, runsync: Runner) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        seeder.create_experiment(prefix + "one")
    with FaultProxy(mlflow3_a.url, Rule(faults.respond(504), "runs/search", count=None)) as proxy:
        told = examined(runsync, proxy.url, code=13, env={"RUNSYNC_PATIENCE": "0.3"})
    assert failures(told) == ["runs"]
    text = one(told, "runs")[1]
    assert "searching runs fails: " in text
    assert "answered 504 to /api/2.0/mlflow/runs/search" in text
    assert of(told, "artifacts") == []


def test_a_server_that_goes_down_meanwhile_ends_it_with_what_was_found_so_far(
    mlflow3_a: MlflowServer, runsync: Runner
) -> None:
    with FaultProxy(mlflow3_a.url) as proxy:
        going = faults.kill(lambda: proxy.add(Rule(faults.drop(), "", count=None)))
        proxy.add(Rule(going, "registered-models"))
        told = examined(runsync, proxy.url, code=13, env={"RUNSYNC_PATIENCE": "0.5"})
    assert one(told, "server")[0] == "ok"
    assert failures(told) == ["connection"]


def test_in_python_each_finding_is_heard_as_it_is_found(mlflow3_a: MlflowServer) -> None:
    heard: list[Finding] = []
    told = library.doctor(mlflow3_a.url, tell=heard.append)
    assert told.exit_code == 0
    assert heard == told.findings


def test_a_bundle_is_no_workspace_and_what_looks_at_bundles_is_named(
    mlflow3_a: MlflowServer, prefix: str, bundle: Path, runsync: Runner
) -> None:
    with Seeder(mlflow3_a.url) as seeder:
        seeder.create_experiment(prefix + "one")
    export(runsync, mlflow3_a.url, bundle, prefix + "one")
    for where in (bundle, f"{bundle}@latest", "s3://backups/mlflow"):
        done = runsync("doctor", where)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"is a bundle, and no workspace: runsync check {where}" in done.stderr
    with pytest.raises(WrongUsage, match="no workspace"):
        library.doctor("nowhere")


@pytest.fixture(scope="module")
def home(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MlflowServer, Bucket]]:
    """A server that proxies no artifacts; they lie in a bucket, unless an experiment says otherwise."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in KEYS.items():
            environment.setenv(name, value)
        bucket = s3_server.bucket()
        with MlflowServer(
            executable("3"),
            folder=tmp_path_factory.mktemp("doctor"),
            gunicorn=True,
            serve_artifacts=False,
            extra=["--default-artifact-root", f"{bucket.url}/root"],
            environment={**KEYS, "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint},
        ) as server:
            with Seeder(server.url) as seeder:
                run_id = seeder.create_run(seeder.create_experiment("in the bucket"), "run")
                folder = seeder.get_run(run_id)["info"]["artifact_uri"].removeprefix(f"{bucket.url}/")
                bucket.put(f"{folder}/file.txt", b"content")
                beside = seeder.create_experiment("beside", artifact_location=str(server.folder / "beside"))
                seeder.put_artifact(seeder.create_run(beside, "run"), "file.txt", b"content")
            yield server, bucket


def test_artifacts_that_this_machine_gets_at_itself_are_told(
    home: tuple[MlflowServer, Bucket], runsync: Runner
) -> None:
    server, bucket = home
    told = examined(runsync, server.url, env=KEYS | {"MLFLOW_S3_ENDPOINT_URL": bucket.endpoint})
    on_s3, in_folders = of(told, "artifacts")
    assert on_s3[0] == in_folders[0] == "ok"
    assert f"{bucket.url} (2 experiments): on S3 itself (one of run" in on_s3[1]
    assert "folders of this machine (1 experiment): as files of this machine (one of run" in in_folders[1]


def test_artifacts_on_s3_that_only_the_server_gets_at_are_a_warning_with_what_to_set(
    home: tuple[MlflowServer, Bucket], runsync: Runner
) -> None:
    server, bucket = home
    shut = {"AWS_EC2_METADATA_DISABLED": "true", "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint}
    state, text = of(examined(runsync, server.url, env=shut), "artifacts")[0]
    assert state == "warning"
    assert "the server does it, which is slower" in text
    assert "no import can put a file of more than 10 MiB there" in text
    assert "AWS_PROFILE" in text


def test_artifacts_that_nobody_gets_at_are_a_failure(home: tuple[MlflowServer, Bucket], runsync: Runner) -> None:
    server, bucket = home
    shut = {"AWS_EC2_METADATA_DISABLED": "true", "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint}
    with FaultProxy(server.url, Rule(faults.respond(403), "artifacts/list", count=None)) as proxy:
        told = examined(runsync, proxy.url, code=13, env=shut)
    assert failures(told) == ["artifacts"]
    assert "--no-artifacts leaves artifacts out" in of(told, "artifacts")[0][1]
