"""What MLflow's own clients read to reach a server: runsync reads the same, and keeps source and target apart."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Runner
from emulators.sagemaker.signature import Claim, canonical, signature, to_sign
from support.proxy import FaultProxy
from support.secrets import MARK
from support.servers import MlflowServer

from runsync.errors import AccessDenied, RunsyncError, WrongUsage
from runsync.patience import Patience
from runsync.secrecy import strike
from runsync.workspaces.address import Address, resolve
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import AUTHORITIES, Client
from runsync.workspaces.http.session import session_for

SECRET = f"{MARK}-of-a-header"
OTHER = f"{MARK}-of-another"
LOGIN = f"[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = {SECRET}\n"
Sent = Callable[[Credentials], dict[str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    home = tmp_path / "home"
    (home / ".mlflow").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def write(home: Path) -> Iterator[Callable[[str], object]]:
    """Writes MLflow's file, which is gone after the test."""
    place = home / ".mlflow" / "credentials"
    yield place.write_text
    place.unlink()


@pytest.fixture
def sent(mlflow3_a: MlflowServer) -> Iterator[Sent]:
    """The headers that a request is sent with, in lower case."""
    with FaultProxy(mlflow3_a.url) as proxy:

        def send(credentials: Credentials) -> dict[str, str]:
            client = Client(proxy.url, credentials, patience=Patience(seconds=1))
            client.send("GET", "/health", parameters={"q": "a b"})
            client.close()
            return {name.lower(): value for name, value in proxy.requests[-1].headers.items()}

        yield send


def test_name_and_password_are_read_from_mlflows_file(write: Callable[[str], object]) -> None:
    write(LOGIN)
    found = Credentials.from_environment()
    assert (found.username, found.password) == ("ada", SECRET)
    assert found.used == ("~/.mlflow/credentials",)
    assert strike(f"it said {SECRET}") == "it said ***"


def test_the_environment_goes_before_the_file(write: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    write(LOGIN)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "eve")
    found = Credentials.from_environment()
    assert (found.username, found.password) == ("eve", SECRET)
    assert found.used == ("MLFLOW_TRACKING_USERNAME", "~/.mlflow/credentials")


@pytest.mark.parametrize("text", ["", "[other]\na = b\n", "[mlflow]\n"])
def test_a_file_that_says_nothing_is_nothing(write: Callable[[str], object], text: str) -> None:
    write(text)
    assert Credentials.from_environment() == Credentials()


@pytest.mark.parametrize("text", [f"{SECRET}\n", f"[mlflow]\nmlflow_tracking_password = {SECRET}%x\n"])
def test_a_damaged_file_is_told_without_what_is_in_it(write: Callable[[str], object], text: str) -> None:
    write(text)
    with pytest.raises(WrongUsage, match=r"~/\.mlflow/credentials cannot be read") as caught:
        Credentials.from_environment()
    assert MARK not in str(caught.value)


def test_a_name_with_a_password_wins_over_a_token_as_in_mlflows_clients(sent: Sent) -> None:
    assert sent(Credentials("ada", SECRET, token=OTHER))["authorization"].startswith("Basic ")
    assert sent(Credentials("ada", token=OTHER))["authorization"] == f"Bearer {OTHER}"


def test_headers_of_a_workspace_are_sent(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CF_SECRET", SECRET)
    section = {"headers": {"CF-Access-Client-Id": OTHER}, "headers_env": {"CF-Access-Client-Secret": "CF_SECRET"}}
    given = Credentials.from_config(section, "prod")
    assert given is not None
    headers = sent(given)
    assert (headers["cf-access-client-id"], headers["cf-access-client-secret"]) == (OTHER, SECRET)
    assert given.told == "none, with the headers CF-Access-Client-Id, CF-Access-Client-Secret"
    assert strike(f"{OTHER} {SECRET}") == "*** ***"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("headers = 3", "headers is a table of texts"),
        ("headers = { A = 3 }", "headers is a table of texts"),
        ('headers = { A = "x\\ny" }', "headers is a table of texts"),
        ('headers_env = { A = "NOT_SET" }', "headers_env names NOT_SET, which is not set"),
        ('aws_sigv4 = "yes"', "aws_sigv4 is true or false, without quotes"),
        ('header = { A = "x" }', "unknown key “header”"),
    ],
)
def test_wrong_headers_in_runsync_toml_are_told(runsync: Runner, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "runsync.toml").write_text(f'[workspaces.prod]\nuri = "http://127.0.0.1:9"\n{text}\n')
    done = runsync("export", "prod", "b")
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"headers": {"X A:": SECRET}}, "headers: “X A:” cannot be the name of a header"),
        ({"headers": {"X-A": f"{SECRET}€"}}, "headers: the value of the header “X-A” has characters beyond Latin-1"),
        ({"headers": {"X-A": f" {SECRET}"}}, "headers: the value of the header “X-A” begins with a space"),
        ({"headers_env": {"X-A": "BAD"}}, "headers_env, BAD: the value of the header “X-A” has a line break"),
        ({"token": f"{SECRET}\n"}, "token: the value of the header “Authorization” has a line break"),
        ({"token_env": "BAD"}, "token_env, BAD: the value of the header “Authorization” has a line break"),
    ],
)
def test_a_header_that_cannot_be_sent_is_told_without_its_value(section: dict[str, object], told: str) -> None:
    with pytest.raises(WrongUsage, match=f"workspace “prod”: {told}") as caught:
        Credentials.from_config(section, "prod", {"BAD": f"{SECRET}\n"})
    assert MARK not in str(caught.value)


def test_a_token_or_a_workspace_of_the_environment_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(WrongUsage, match=r"MLFLOW_TRACKING_TOKEN: .* has a line break") as caught:
        Credentials.from_environment({"MLFLOW_TRACKING_TOKEN": f"{SECRET}\n"})
    assert MARK not in str(caught.value)
    with pytest.raises(WrongUsage, match="“X-MLFLOW-WORKSPACE” has a line break"):
        Client("http://127.0.0.1:9", Credentials()).set_header("X-MLFLOW-WORKSPACE", "team\n")


def test_source_and_target_hear_nothing_of_each_other(
    runsync: Runner, mlflow3_a: MlflowServer, mlflow3_b: MlflowServer, prefix: str, tmp_path: Path
) -> None:
    with FaultProxy(mlflow3_a.url) as one, FaultProxy(mlflow3_b.url) as other:
        (tmp_path / "runsync.toml").write_text(
            f'[workspaces.one]\nuri = "{one.url}"\nheaders_env = {{ "X-One" = "ONE" }}\n'
            f'[workspaces.other]\nuri = "{other.url}"\nheaders_env = {{ "X-Other" = "OTHER" }}\n'
        )
        env = {"ONE": SECRET, "OTHER": OTHER, "MLFLOW_TRACKING_TOKEN": f"{MARK}-of-nobody"}
        done = runsync("diff", "one", "other", "--experiment", "Default", env=env)
        assert done.returncode == 0, done.stderr
        for proxy, own in ((one, "X-One"), (other, "X-Other")):
            for request in proxy.requests:
                told = {name for name in request.headers if name.startswith("X-") or name == "Authorization"}
                assert told == {own}


def test_requests_are_signed_for_a_gateway_of_aws(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", OTHER)
    headers = sent(Credentials.from_environment())
    claim = Claim.read(headers["authorization"])
    assert claim is not None
    assert (claim.region, claim.service) == ("eu-west-1", "execute-api")
    request = canonical("GET", "/health?q=a%20b", headers, claim.signed, headers["x-amz-content-sha256"])
    assert claim.signature == signature(SECRET, claim, to_sign(headers["x-amz-date"], claim, request))


def test_the_profile_of_a_workspace_signs_its_requests(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keys").write_text(f"[second]\naws_access_key_id = AKIDSECOND\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    (tmp_path / "runsync.toml").write_text(
        '[workspaces.prod]\nuri = "https://host"\naws_sigv4 = true\ns3_profile = "second"\n'
    )
    found = resolve("prod", str(tmp_path / "runsync.toml"))
    assert isinstance(found, Address)
    assert "Credential=AKIDSECOND/" in sent(found.credentials)["authorization"]
    (tmp_path / "keys").unlink()


def test_lacking_keys_or_a_region_of_aws_are_told(runsync: Runner, mlflow3_a: MlflowServer, home: Path) -> None:
    env = {"MLFLOW_TRACKING_AWS_SIGV4": "1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(home)}
    assert "name it with AWS_DEFAULT_REGION" in runsync("doctor", mlflow3_a.url, env=env).stderr
    done = runsync("doctor", mlflow3_a.url, env=env | {"AWS_DEFAULT_REGION": "eu-west-1"})
    assert done.returncode == 13
    assert "there are no AWS credentials" in " ".join(done.stdout.split())


def test_the_timeout_and_the_tries_of_mlflows_clients_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    client = Client("http://127.0.0.1:9", Credentials())
    with pytest.raises(RunsyncError):
        client.get("/json")
    assert client.requests == 2
    assert client.patience.timeout == 7
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "many")
    with pytest.raises(WrongUsage, match="MLFLOW_HTTP_REQUEST_MAX_RETRIES is a number of tries, not “many”"):
        Client("http://127.0.0.1:9", Credentials())


@pytest.mark.parametrize("variable", AUTHORITIES)
def test_the_authorities_of_the_environment_are_taken(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in AUTHORITIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/etc/own.pem")
    with session_for("https://host", Credentials(), 1) as session:
        assert session.verify == "/etc/own.pem"


def test_a_proxy_is_used_but_for_what_it_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    with session_for("https://outside.example", Credentials(), 1) as session:
        assert session.proxies["https"] == "http://proxy.example:3128"
    with session_for("https://inside.example", Credentials(), 1) as session:
        assert "https" not in session.proxies


def test_doctor_names_the_settings_that_count_and_no_value(
    runsync: Runner, mlflow3_a: MlflowServer, tmp_path: Path
) -> None:
    done = runsync("doctor", mlflow3_a.url, env={"MLFLOW_TRACKING_TOKEN": SECRET, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"})
    told = " ".join(done.stdout.split())
    assert "settings taken from MLFLOW_TRACKING_TOKEN, MLFLOW_HTTP_REQUEST_TIMEOUT" in told
    (tmp_path / "runsync.toml").write_text(
        f'[workspaces.a]\nuri = "{mlflow3_a.url}"\nheaders_env = {{ "X-One" = "ONE" }}\ntoken_env = "A_TOKEN"\n'
    )
    done = runsync("doctor", "a", env={"A_TOKEN": SECRET, "ONE": OTHER})
    told = " ".join(done.stdout.split())
    assert "credentials a token, with the headers X-One" in told
    assert "settings taken from A_TOKEN, ONE" in told


def test_a_refusal_names_no_value_of_a_header(mlflow3_a: MlflowServer) -> None:
    with FaultProxy(mlflow3_a.url, token=f"{MARK}-wanted") as proxy:
        client = Client(proxy.url, Credentials(headers={"X-One": SECRET}), patience=Patience(seconds=0))
        with pytest.raises(AccessDenied) as caught:
            client.get("/health")
        client.close()
    assert SECRET not in str(caught.value)
