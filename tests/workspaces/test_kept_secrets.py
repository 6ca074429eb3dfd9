"""Every credential is kept where it is read or obtained, so that no text has it afterwards."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from support.secrets import MARK

from runsync import secrecy
from runsync.errors import WrongUsage
from runsync.s3 import S3, S3Options
from runsync.secrecy import strike
from runsync.workspaces import address
from runsync.workspaces.azureml import auth as azure
from runsync.workspaces.clouds.authority import Grant
from runsync.workspaces.clouds.signed import bare_session
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.profile import find
from runsync.workspaces.http.session import session_for
from runsync.workspaces.sagemaker.address import Arn
from runsync.workspaces.sagemaker.signature import Signature
from runsync.workspaces.sql import address as database
from runsync.workspaces.sql.connect import engine

SECRET = f"s3cr/t+{MARK}"
OTHER = f"other{MARK}0123456789"
ARN = Arn("aws", "us-east-1", "123456789012", "mlflow-tracking-server", "x")


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secrecy, "_KEPT", secrecy._Kept())
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": OTHER,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)


def _s3() -> None:
    s3 = S3(S3Options(endpoint="http://127.0.0.1:9"))
    s3.client.meta.events.emit("before-send.s3.GetObject", request=None)


def _databricks() -> None:
    find("databricks", {"DATABRICKS_HOST": "https://x", "DATABRICKS_TOKEN": OTHER, "DATABRICKS_CLIENT_SECRET": SECRET})


def _azure() -> None:
    given = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": SECRET}
    with pytest.raises(WrongUsage, match="https:// only"):  # before anything is asked for
        azure._by_secret("http://x", object(), None, given)  # type: ignore[arg-type]


def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{SECRET.replace('/', '%2F')}@proxy:3128")
    session_for("https://host", Credentials(), 1).close()


def _signed() -> None:
    with bare_session(1) as session:
        session.prepare_request(requests.Request("GET", f"https://host/x?sig={MARK}abc%2Bdef"))


PLACES: dict[str, Callable[[], object]] = {
    "a token of the environment": lambda: Credentials.from_environment({"MLFLOW_TRACKING_TOKEN": SECRET}),
    "a password of runsync.toml": lambda: Credentials.from_config({"username": "a", "password": SECRET}, "x"),
    "a password in the address of a server": lambda: address.parse(
        f"http://ada:{SECRET.replace('/', '%2F')}@h", Credentials()
    ),
    "a password in the address of a database": lambda: database.parse(f"postgresql://ada:{SECRET}@h/db"),
    "a password among the options of a database": lambda: database.parse(
        f"mysql://h/db?password={SECRET.replace('+', '%2B')}"
    ),
    "a token that was fetched": lambda: Grant({"Authorization": f"Bearer {SECRET}"}),
    "another token that was fetched": lambda: Grant({"X-Databricks-Azure-SP-Management-Token": SECRET}),
    "a client secret of Databricks": _databricks,
    "a client secret of Azure": _azure,
    "a key of AWS for S3": _s3,
    "a key of AWS for SageMaker": lambda: Signature(ARN)._frozen(),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_is_kept(place: str) -> None:
    PLACES[place]()
    assert strike(f"it said {SECRET}") == "it said ***"


@pytest.mark.parametrize(
    "place", ["a client secret of Databricks", "a key of AWS for S3", "a key of AWS for SageMaker"]
)
def test_what_goes_with_it_is_kept_too(place: str) -> None:
    PLACES[place]()
    assert strike(f"it said {OTHER}") == "it said ***"


def test_the_password_of_a_proxy_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    _proxy(monkeypatch)
    assert strike(f"it said {SECRET}") == "it said ***"


def test_the_password_of_a_database_in_a_variable_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    engine(database.parse("postgresql://ada@h/db"), read_only=True).dispose()
    assert strike(f"it said {SECRET}") == "it said ***"


def test_the_signature_of_an_address_is_kept() -> None:
    _signed()
    assert strike(f"the signature {MARK}abc+def does not match") == "the signature *** does not match"
