"""Plugins of MLflow's clients, which are heard where MLflow and they are installed beside runsync."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Runner
from support.proxy import FaultProxy
from support.secrets import MARK
from support.servers import MlflowServer

from runsync.errors import WrongUsage
from runsync.patience import Patience
from runsync.secrecy import strike
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.http import Client
from runsync.workspaces.plugins import header_providers

SECRET, OTHER = f"{MARK}-of-a-plugin", f"{MARK}-of-its-login"
HEADERS, LOGINS = "mlflow.request_header_provider", "mlflow.request_auth_provider"
PLUGIN = """
import os


class Headers:
    def in_context(self):
        return True

    def request_headers(self):
        token = os.environ["HOUSE_LOGIN"]
        return {"X-Team": os.environ["HOUSE_TEAM"], "User-Agent": "plugin/1", "Authorization": f"Bearer {token}"}


class Absent(Headers):
    def in_context(self):
        return False


class Broken(Headers):
    def request_headers(self):
        raise ValueError("no {} today".format(super().request_headers()))


class Login:
    def get_name(self):
        return "house"

    def get_auth(self):
        def authenticate(request):
            request.headers["Authorization"] = "House " + os.environ["HOUSE_LOGIN"]
            return request

        return authenticate
"""
Install = Callable[..., None]
Sent = Callable[[Credentials], dict[str, str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts packages beside runsync: MLflow, as little of it as is looked at, and a plugin with entry points."""
    place = tmp_path / "site"
    monkeypatch.setenv("HOUSE_TEAM", SECRET)
    monkeypatch.setenv("HOUSE_LOGIN", OTHER)
    monkeypatch.syspath_prepend(str(place))

    def put(headers: str = "", logins: str = "") -> None:
        registry = place / "mlflow" / "tracking" / "request_auth"
        registry.mkdir(parents=True)
        for folder in (place / "mlflow", place / "mlflow" / "tracking", registry):
            (folder / "__init__.py").touch()
        (registry / "registry.py").write_text("_request_auth_provider_registry = []\n")
        (place / "house_plugin.py").write_text(PLUGIN)
        told = place / "house_plugin-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text("Metadata-Version: 2.1\nName: house-plugin\nVersion: 1.0\n")
        entries = [f"[{group}]\nhouse = {entry}\n" for group, entry in ((HEADERS, headers), (LOGINS, logins)) if entry]
        (told / "entry_points.txt").write_text("\n".join(entries))

    _forget(monkeypatch)
    yield put
    _forget(monkeypatch)


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mlflow", "house_plugin")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def sent(mlflow3_a: MlflowServer) -> Iterator[Sent]:
    """The headers that a request is sent with, in lower case."""
    with FaultProxy(mlflow3_a.url) as proxy:

        def send(credentials: Credentials) -> dict[str, str]:
            client = Client(proxy.url, credentials, patience=Patience(seconds=1))
            client.send("GET", "/health")
            client.close()
            return {name.lower(): value for name, value in proxy.requests[-1].headers.items()}

        yield send


def test_headers_of_plugins_are_sent_and_are_secrets(install: Install, sent: Sent) -> None:
    install(headers="house_plugin:Headers")
    headers = sent(Credentials.from_environment())
    assert (headers["x-team"], headers["authorization"]) == (SECRET, f"Bearer {OTHER}")
    assert headers["user-agent"].endswith(" plugin/1")
    assert strike(f"{SECRET} {OTHER}") == "*** ***"


def test_a_login_that_was_given_goes_before_that_of_a_plugin(
    install: Install, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(headers="house_plugin:Headers")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", f"{MARK}-own")
    assert sent(Credentials.from_environment())["authorization"] == f"Bearer {MARK}-own"


def test_a_workspace_of_runsync_toml_that_says_who_we_are_hears_no_plugin(install: Install, sent: Sent) -> None:
    install(headers="house_plugin:Headers")
    given = Credentials.from_config({"token": f"{MARK}-own"}, "prod")
    assert given is not None
    assert "x-team" not in sent(given)


def test_a_plugin_that_has_nothing_to_say_is_not_heard(install: Install, sent: Sent) -> None:
    install(headers="house_plugin:Absent")
    assert "x-team" not in sent(Credentials.from_environment())


@pytest.mark.parametrize("entry", ["house_plugin:Broken", "house_plugin:Lacking", "lacking_plugin:Headers"])
def test_a_plugin_that_fails_is_told(install: Install, sent: Sent, entry: str) -> None:
    install(headers=entry)
    with pytest.raises(WrongUsage, match=r"the plugin “house” of mlflow\.request_header_provider failed"):
        sent(Credentials.from_environment())


def test_no_plugin_is_loaded_where_there_is_no_mlflow(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(headers="lacking_plugin:Headers")
    monkeypatch.setattr("runsync.workspaces.plugins.util.find_spec", lambda name: None)
    assert header_providers() == {}
    with pytest.raises(WrongUsage, match="MLflow, which is not installed"):
        Client("http://127.0.0.1:9", Credentials(auth="house"))


def test_a_login_of_a_plugin_is_used(install: Install, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    install(logins="house_plugin:Login")
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "house")
    assert sent(Credentials.from_environment())["authorization"] == f"House {OTHER}"


def test_a_login_that_is_not_there_is_told(install: Install) -> None:
    install(logins="house_plugin:Login")
    with pytest.raises(WrongUsage, match="no plugin of MLflow that is installed has the login “other”"):
        Client("http://127.0.0.1:9", Credentials(auth="other"))


def test_doctor_names_plugins(install: Install, runsync: Runner, mlflow3_a: MlflowServer) -> None:
    install(headers="house_plugin:Headers")
    told = " ".join(runsync("doctor", mlflow3_a.url).stdout.split())
    assert "plugins headers of MLflow's plugins are sent, too: house" in told
