"""MLflow on Amazon SageMaker: an ARN is an address, every request is signed, and nothing secret is ever told."""

import dataclasses
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Runner
from emulators.sagemaker.gate import Fault, Gate, Key
from emulators.server import Reply, Request, Server
from support import models_by_rest
from support.oracle import assert_same
from support.rich import small_workspace
from support.s3 import KEYS, Bucket
from support.secrets import MARK, SEARCH
from support.seed import Seeder
from support.servers import MlflowServer, free_port

import runsync as library
from runsync.errors import AccessDenied, WrongUsage
from runsync.model.selection import Selection
from runsync.transfer.places import open_workspace
from runsync.workspaces.sagemaker.address import is_sagemaker, resolve
from workspaces.doctor import examined, names_a_run

StartServer = Callable[..., MlflowServer]

OLD = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/old"
NEW = "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-NEW"
KEY = Key(f"wJalrXUtnFEMI/K7MDENG+{MARK}")
PASSING = Key(f"passing/secret+of={MARK}", f"IQoJb3JpZ2lu/{MARK}+of/tests==", datetime.now(UTC) + timedelta(hours=1))

ASSUMED = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAPASSING</AccessKeyId><SecretAccessKey>{PASSING.secret}</SecretAccessKey>
<SessionToken>{PASSING.token}</SessionToken>
<Expiration>{PASSING.until:%Y-%m-%dT%H:%M:%SZ}</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@dataclasses.dataclass(frozen=True)
class Signing:
    """The environment of this process, in which workspaces are opened."""

    environment: pytest.MonkeyPatch


@pytest.fixture
def signing(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Signing:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Signing(monkeypatch)


def profile(key: str, secret: str) -> str:
    """A file of credentials."""
    return f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"


@pytest.fixture
def gate(mlflow3_a: MlflowServer, mlflow3_b: MlflowServer) -> Iterator[Gate]:
    with Gate({OLD: mlflow3_a.url, NEW: mlflow3_b.url}, {"AKIDEXAMPLE": KEY, "ASIAPASSING": PASSING}) as gate:
        yield gate


@pytest.fixture
def env(gate: Gate, tmp_path: Path) -> dict[str, str]:
    """As whom commands sign, and where to."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
        "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": gate.url,
        "RUNSYNC_PATIENCE": "20",
    }


def test_a_workspace_goes_from_one_arn_to_another_whole_with_every_request_signed(
    gate: Gate, env: dict[str, str], prefix: str, runsync: Runner, tmp_path: Path
) -> None:
    source, target = gate.servers[OLD], gate.servers[NEW]
    with Seeder(source) as seeder:
        facts = small_workspace(seeder, prefix)
    log = ("--log-file", tmp_path / "log")
    selected = ("--experiment", facts.pattern)
    exported = runsync("export", OLD, "bundle", *selected, *log, "--json", env=env)
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["source"]["address"] == OLD
    imported = runsync("import", "bundle", NEW, *selected, *log, env=env)
    assert imported.returncode == 0, imported.stdout + imported.stderr
    verified = runsync("verify", OLD, NEW, *selected, "--verify-artifacts", *log, env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert_same(source, target, [facts.pattern])
    assert gate.seen
    assert not [seen for seen in gate.seen if seen.refusal]


def test_a_model_goes_with_its_alias_runs_and_logged_models(gate: Gate, signing: Signing, prefix: str) -> None:
    name = f"{prefix}churn"
    with Seeder(gate.servers[OLD]) as seeder:
        models_by_rest.fill(seeder, prefix, name)
    selection = Selection(models=(name,))
    counts = {"logged-models": 2, "registered-models": 1, "model-versions": 3, "model-aliases": 2}
    for action in ("created", "unchanged"):
        report = library.sync(OLD, NEW, selection=selection)
        assert (report.failed, report.problems, report.exit_code) == ([], [], 0)
        assert {kind: getattr(tally, action) for kind, tally in report.objects.items()} == counts
    verified = library.verify(OLD, NEW, selection=selection, verify_artifacts=True)
    assert (verified.differences, verified.exit_code) == ([], 0)
    assert not [seen for seen in gate.seen if seen.refusal]


def test_artifacts_in_s3_are_reached_there_with_the_credentials_of_this_machine(
    gate: Gate, env: dict[str, str], bucket: Bucket, start_server: StartServer, runsync: Runner, tmp_path: Path
) -> None:
    """As SageMaker has them: its servers carry no artifact bytes."""
    options = {"serve_artifacts": False, "extra": ["--default-artifact-root", f"{bucket.url}/root"]}
    server = start_server("3", environment=bucket.environment, **options).wait()
    gate.servers[OLD] = server.url
    gate.admit(KEYS["AWS_ACCESS_KEY_ID"], Key(KEYS["AWS_SECRET_ACCESS_KEY"]))
    with Seeder(server.url) as seeder:
        run_id = seeder.create_run(seeder.create_experiment("in s3"), "run")
        root = seeder.get_run(run_id)["info"]["artifact_uri"].removeprefix(f"{bucket.url}/")
        bucket.put(f"{root}/model/weights.bin", b"weights" * 1000)
        bucket.put(f"{root}/with space+plus.txt", b"text")
        seeder.finish(run_id)
    env = env | bucket.environment
    for arguments in (
        ("export", OLD, "bundle"),
        ("import", "bundle", OLD, "--prefix", "copy of "),
        ("verify", "bundle", OLD, "--prefix", "copy of ", "--verify-artifacts"),
    ):
        done = runsync(*arguments, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 artifacts" in done.stdout
    assert sorted(bucket.files().values()) == sorted([b"text", b"weights" * 1000] * 2)
    assert not gate.asked("artifact")


def test_who_may_not_write_to_the_bucket_has_the_server_sign_uploads(
    gate: Gate, env: dict[str, str], bucket: Bucket, start_server: StartServer, runsync: Runner, tmp_path: Path
) -> None:
    options = {"serve_artifacts": False, "extra": ["--default-artifact-root", f"{bucket.url}/root"]}
    server = start_server("3", environment=bucket.environment, **options).wait()
    gate.servers[OLD] = server.url
    gate.admit(KEYS["AWS_ACCESS_KEY_ID"], Key(KEYS["AWS_SECRET_ACCESS_KEY"]))
    with Seeder(gate.servers[NEW]) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(name := f"signed {tmp_path.name}"), "run")
        seeder.put_artifact(run_id, "model/weights.bin", b"weights" * 1000)
        seeder.put_artifact(run_id, "with space.txt", b"text")
        seeder.finish(run_id)
    env = env | bucket.environment | {"SAGEMAKER_PRESIGNED_URL_UPLOAD_ENABLED": "true"}
    done = runsync("sync", gate.servers[NEW], OLD, "--experiment", name, "--log-file", tmp_path / "log", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(bucket.files().values()) == sorted([b"text", b"weights" * 1000])
    assert len(gate.asked("artifacts/presigned-upload-url")) == 2


def test_a_large_file_is_hashed_before_it_is_sent_through_the_server(
    gate: Gate, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    content = random.Random(1).randbytes(9 << 20)
    with Seeder(gate.servers[OLD]) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "home"), "run")
        seeder.put_artifact(run_id, "large.bin", content)
        seeder.finish(run_id)
    selected = ("--experiment", prefix + "home", "--verify-artifacts")
    done = runsync("sync", OLD, NEW, *selected, "--limit-rate", "100M", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    sent = next(seen.request for seen in gate.seen if seen.request.method == "PUT")
    assert sent.headers["x-amz-content-sha256"] == hashlib.sha256(content).hexdigest()
    assert not sent.chunked


def test_a_server_that_is_overloaded_is_asked_again_and_each_try_is_signed_anew(
    gate: Gate, env: dict[str, str], runsync: Runner
) -> None:
    gate.faults.append(Fault("experiments/search", 503, 2, {"Retry-After": "1.1"}))
    done = runsync("experiments", "list", OLD, env=env)
    assert done.returncode == 0, done.stderr
    tries = gate.asked("experiments/search")[:3]
    assert [seen.status for seen in tries] == [503, 503, 200]
    dates = {seen.request.headers["x-amz-date"] for seen in tries}
    assert len(dates) == len({seen.request.headers["authorization"] for seen in tries}) == 3


def test_credentials_that_end_within_the_hour_are_asked_for_anew_in_time(
    gate: Gate, env: dict[str, str], runsync: Runner, tmp_path: Path
) -> None:
    """As `aws sso login` and instance roles have them: here from a program, which botocore asks."""
    soon = datetime.now(UTC) + timedelta(minutes=5)
    told = {"Version": 1, "AccessKeyId": "ASIAPASSING", "SecretAccessKey": PASSING.secret}
    told |= {"SessionToken": PASSING.token, "Expiration": soon.isoformat()}
    SEARCH.holds_secrets(tmp_path / "aws-told").write_text(json.dumps(told))
    program = f"sh -c 'echo asked >> {tmp_path}/aws-count; cat {tmp_path}/aws-told'"
    (tmp_path / "aws-config").write_text(f"[profile passing]\ncredential_process = {program}\n[profile other]\n")
    (tmp_path / "runsync.toml").write_text(f'[workspaces.sage]\nuri = "{OLD}"\ns3_profile = "passing"\n')
    hostile = env | {"AWS_PROFILE": "other", "AWS_SECRET_ACCESS_KEY": "of another"}
    done = runsync("experiments", "list", "sage", env=hostile)
    assert done.returncode == 0, done.stderr
    assert {seen.request.headers["x-amz-security-token"] for seen in gate.seen} == {PASSING.token}
    assert len((tmp_path / "aws-count").read_text().splitlines()) > 1


def test_who_logs_in_again_while_a_command_runs_lets_it_go_on(gate: Gate, signing: Signing, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        signing.environment.delenv(name)
    file = SEARCH.holds_secrets(tmp_path / "aws-credentials")
    file.write_text(profile("AKIDEXAMPLE", KEY.secret))
    workspace = open_workspace(OLD)
    gate.admit("AKIDEXAMPLE", dataclasses.replace(KEY, until=datetime.now(UTC)))
    with pytest.raises(AccessDenied, match="have expired: log in again"):
        workspace.experiments(Selection())
    gate.admit("AKIDNEW", another := Key(f"another secret key {MARK}"))
    file.write_text(profile("AKIDNEW", another.secret))
    gate.forget()
    assert workspace.experiments(Selection())
    assert [seen.refusal for seen in gate.seen][:2] == ["ExpiredTokenException", ""]
    workspace.close()


def test_a_role_is_assumed_where_the_variable_of_amazons_plugin_names_one(gate: Gate, signing: Signing) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Reply:
        asked.append(f"{request.headers['authorization'].split(',')[0]} {request.body.decode()}")
        return Reply(200, ASSUMED.encode(), {"Content-Type": "text/xml"})

    sts = Server(answer).start()
    signing.environment.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    signing.environment.setenv("SAGEMAKER_MLFLOW_ASSUME_ROLE_ARN", "arn:aws:iam::123456789012:role/Reader")
    workspace = open_workspace(OLD)
    assert workspace.experiments(Selection())
    workspace.close()
    sts.stop()
    assert len(asked) == 1
    assert "AKIDEXAMPLE" in asked[0]
    assert "eu-west-1/sts" in asked[0]
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FReader" in asked[0]
    assert {seen.request.headers["x-amz-security-token"] for seen in gate.seen} == {PASSING.token}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "there are no AWS credentials: name a profile"),
        ({"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}, "AWS does not know these credentials"),
        ({"AWS_SECRET_ACCESS_KEY": f"wrong {MARK}"}, "the secret key is not that of the access key"),
        (
            {"AWS_ACCESS_KEY_ID": "ASIAPASSING", "AWS_SESSION_TOKEN": PASSING.token},
            "the secret key is not that of the access key",
        ),
        (
            {
                "AWS_ACCESS_KEY_ID": "ASIAOVER",
                "AWS_SECRET_ACCESS_KEY": PASSING.secret,
                "AWS_SESSION_TOKEN": PASSING.token,
            },
            "the AWS credentials have expired: log in again",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "AKIDLITTLE"},
            r"ExperimentsSearch on resource: \S+ \(the IAM policy must allow sagemaker-mlflow",
        ),
    ],
    ids=["none", "unknown", "wrong secret", "wrong secret of a token", "expired", "may not"],
)
def test_what_amazon_refuses_is_told_with_what_to_do_and_without_a_secret(
    gate: Gate, signing: Signing, variables: dict[str, str], told: str
) -> None:
    gate.admit("ASIAOVER", dataclasses.replace(PASSING, until=datetime.now(UTC)))
    gate.admit("AKIDLITTLE", dataclasses.replace(KEY, may="server-info"))
    for name, value in variables.items():
        if value:
            signing.environment.setenv(name, value)
        else:
            signing.environment.delenv(name)
    with pytest.raises(AccessDenied) as caught:
        open_workspace(OLD)
    assert re.search(told, str(caught.value)), str(caught.value)
    assert OLD in str(caught.value)
    assert caught.value.exit_code == 13


@pytest.mark.parametrize(("ahead", "word"), [(-600, "fast"), (600, "slow")])
def test_a_clock_that_is_wrong_is_told_with_how_much(gate: Gate, signing: Signing, ahead: int, word: str) -> None:
    gate.clock = lambda: datetime.now(UTC) + timedelta(seconds=ahead)
    with pytest.raises(AccessDenied, match=rf"clock of this machine is wrong by (599|600|601) s {word}: set it"):
        open_workspace(OLD)


def test_an_arn_of_another_region_account_or_name_is_told(gate: Gate, signing: Signing) -> None:
    with pytest.raises(AccessDenied, match="check the ARN too: its account, region and name"):
        open_workspace(OLD.replace("/old", "/other"))
    del gate.servers[NEW]
    with pytest.raises(AccessDenied, match="must allow sagemaker:CallMlflowAppApi"):
        open_workspace(NEW)


def test_doctor_tells_with_which_key_requests_are_signed_and_what_iam_must_allow(
    gate: Gate, env: dict[str, str], prefix: str, runsync: Runner
) -> None:
    with Seeder(gate.servers[OLD]) as seeder:
        run_id = seeder.create_run(seeder.create_experiment(prefix + "home"), "run", start_time=4_000_000_000_000)
        seeder.put_artifact(run_id, "file.txt", b"content")
    told = examined(runsync, OLD, env)
    assert "MLflow 3." in told["server"][0]
    assert told["identity"][0].startswith("ok: AWS signature with the key …MPLE (env); the server lets us in")
    assert "an import or a change takes sagemaker-mlflow:* on the ARN" in told["rights"][0]
    assert names_a_run(told["artifacts"][0])
    assert not [text for texts in told.values() for text in texts if text.startswith("failure")]
    assert {seen.request.method for seen in gate.seen} == {"GET", "POST"}
    assert not [seen for seen in gate.seen if seen.request.method == "POST" and "/search" not in seen.request.target]


def test_doctor_takes_an_identity_that_may_only_read_some_of_it_and_tells_what_it_is_not_shown(
    gate: Gate, env: dict[str, str], runsync: Runner
) -> None:
    gate.keys["AKIDREADS"] = dataclasses.replace(
        KEY, may="server-info|version|health|(experiments|runs)/search|artifacts"
    )
    told = examined(runsync, OLD, env | {"AWS_ACCESS_KEY_ID": "AKIDREADS"})
    assert told["features"] == ["ok: not known, as it does not answer us: model registry, logged models, traces → "]
    assert told["metrics"][0].startswith("warning")
    assert told["rights"][0].startswith("ok: reading was let in; IAM does not tell what may be written")


@pytest.mark.parametrize(
    ("arn", "variables", "advice"),
    [
        (OLD, {"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret key is not that of the access key"),
        (OLD, {"AWS_ACCESS_KEY_ID": "AKIDNOBODY"}, "AWS does not know these credentials"),
        (OLD, {"AWS_ACCESS_KEY_ID": "AKIDOVER"}, "the AWS credentials have expired: log in again"),
        (OLD, {"AWS_ACCESS_KEY_ID": "AKIDNOTHING"}, "the IAM policy must allow sagemaker-mlflow"),
        (OLD.replace("/old", "/gone"), {}, "check the ARN too: its account, region and name"),
    ],
    ids=["wrong signature", "unknown key", "expired", "no rights", "unknown server"],
)
def test_doctor_tells_what_amazon_refuses_as_a_finding(
    gate: Gate, env: dict[str, str], runsync: Runner, arn: str, variables: dict[str, str], advice: str
) -> None:
    gate.keys["AKIDOVER"] = dataclasses.replace(KEY, until=datetime.now(UTC))
    gate.keys["AKIDNOTHING"] = dataclasses.replace(KEY, may="nothing")
    told = examined(runsync, arn, env | variables, code=13)
    assert list(told) == ["access"]
    assert told["access"][0].startswith("failure: ")
    assert advice in told["access"][0]


def test_doctor_tells_that_nobody_answers_at_the_endpoint(env: dict[str, str], runsync: Runner) -> None:
    shut = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    assert "does not answer (connection refused)" in examined(runsync, OLD, env | shut, code=13)["connection"][0]


def test_the_gate_refuses_what_is_unsigned_altered_or_signed_for_another_service(gate: Gate, signing: Signing) -> None:
    """That tests against it mean something."""
    workspace = open_workspace(OLD)
    workspace.close()
    good = next(seen.request for seen in gate.asked("experiments/search"))
    headers = dict(good.headers)
    header = "x-mlflow-sm-tracking-server-arn"
    claims = headers["authorization"]
    for altered, status in (
        ({"body": good.body.replace(b"1", b"2")}, 403),
        ({"target": good.target + "?x=1"}, 403),
        ({"headers": headers | {"content-type": "text/plain"}}, 403),
        ({"headers": headers | {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, 403),
        ({"headers": {name: value for name, value in headers.items() if name != "authorization"}}, 403),
        ({"headers": headers | {"authorization": claims.replace("sagemaker-mlflow/", "execute-api/")}}, 403),
        ({"headers": headers | {"authorization": claims.replace("eu-west-1", "eu-west-2")}}, 403),
        ({"headers": {name: value for name, value in headers.items() if name != header}}, 400),
        ({"headers": headers | {"x-new": "1"}}, 403),
        ({}, 200),
    ):
        assert gate._answer(dataclasses.replace(good, **altered)).status == status, altered


@pytest.mark.parametrize(
    ("arn", "url", "service", "header"),
    [
        (OLD, "https://eu-west-1.experiments.sagemaker.aws", "sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn"),
        (NEW, "https://mlflow.sagemaker.us-east-1.app.aws", "sagemaker", "x-sm-mlflow-app-arn"),
        (
            OLD.replace(":aws:", ":aws-us-gov:").replace("eu-west-1", "us-gov-west-1"),
            "https://us-gov-west-1.experiments.sagemaker.aws",
            "sagemaker-mlflow",
            "x-mlflow-sm-tracking-server-arn",
        ),
    ],
)
def test_an_arn_tells_host_service_and_header(arn: str, url: str, service: str, header: str) -> None:
    address = resolve(arn, environ={})
    assert (address.url, address.arn.service, address.arn.header) == (url, service, header)
    assert is_sagemaker(arn)
    assert address.printable == str(address.arn) == arn


def test_where_the_host_is_not_known_it_is_asked_for() -> None:
    china = OLD.replace(":aws:", ":aws-cn:").replace("eu-west-1", "cn-north-1")
    with pytest.raises(WrongUsage, match="aws-cn is not known: name it with SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"):
        resolve(china, environ={})
    named = {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": "https://vpce.example/"}
    assert resolve(china, environ=named).url == "https://vpce.example"


def test_a_workspace_of_the_server_may_stand_behind_the_arn(tmp_path: Path) -> None:
    assert resolve(OLD + "?workspace=vision", environ={}).printable == OLD + "?workspace=vision"
    file = tmp_path / "runsync.toml"
    file.write_text(f'[workspaces.sage]\nuri = "{OLD}"\nworkspace = "vision"\n')
    assert resolve("sage", str(file), {}).workspace == "vision"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("arn:aws:sagemaker:eu-west-1:12:mlflow-tracking-server/x", "is no ARN of MLflow on SageMaker"),
        ("arn:aws:s3:::bucket", "is no ARN of MLflow on SageMaker"),
        (OLD + "?token=x", "with nothing but"),
        ("arn:aws:sagemaker:evil.example/:123456789012:mlflow-app/x", "is no ARN of MLflow on SageMaker"),
    ],
)
def test_an_arn_of_something_else_is_refused(typed: str, told: str) -> None:
    with pytest.raises(WrongUsage, match=re.escape(told)):
        resolve(typed, environ={})


def test_a_token_or_password_beside_an_arn_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "runsync.toml"
    file.write_text(f'[workspaces.sage]\nuri = "{OLD}"\ntoken = "hunter2"\n')
    with pytest.raises(WrongUsage, match="token is not for SageMaker, which takes AWS credentials"):
        resolve("sage", str(file), {})
    with pytest.raises(WrongUsage, match="is no ARN of a role"):
        resolve(OLD, environ={"SAGEMAKER_MLFLOW_ASSUME_ROLE_ARN": "Reader"})
