"""What databricks-sdk logs us in with is what a profile says: two profiles never mix, whatever the environment says."""

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from emulators.databricks import Databricks
from emulators.server import Reply, Request, Server

from runsync.errors import AccessDenied
from runsync.workspaces.databricks.profile import Profile, find
from runsync.workspaces.databricks.sdk import by_sdk
from workspaces.databricks.conftest import Start

GONE = "2020-01-01 00:00:00"
"""A token that has ended is asked for each time."""
CLI = """#!/bin/sh
token=$0-$(env | grep -cE '^(DATABRICKS_(HOST|TOKEN|CONFIG_PROFILE|CLIENT_ID)|ARM_)')-of
for word in "$@"; do token="$token,$word"; done
echo '{"access_token": "'"$token"'", "token_type": "Bearer", "expiry": "2020-01-01T00:00:00Z"}'
"""
AZ = """#!/bin/sh
token=az-$(env | grep -cE '^(DATABRICKS_(HOST|TOKEN|CONFIG_PROFILE|CLIENT_ID)|ARM_)')
while [ $# -gt 0 ]; do if [ "$1" = --tenant ]; then token="$token-$2"; fi; shift; done
echo '{"accessToken": "'"$token"'", "tokenType": "Bearer", "expiresOn": "2020-01-01 00:00:00"}'
"""


class Site:
    """A host that gives tokens, which tell what they were given for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self._server = Server(self._answer)
        self.url = self._server.start().url

    def stop(self) -> None:
        self._server.stop()

    def _answer(self, request: Request) -> Reply:
        path = request.target.partition("?")[0]
        self.asked.append(path)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        basic = request.headers.get("authorization", "").removeprefix("Basic ")
        login = base64.b64decode(basic).decode() if path == "/oidc/v1/token" and basic else ""
        sent = login or form.get("subject_token", "") or request.headers.get("x-databricks-host", "")
        told = {"access_token": f"{self.name}:{sent}", "token_type": "Bearer", "expires_in": 1, "expires_on": 1}
        discovered = {"oidc_endpoint": f"{self.url}/oidc", "token_endpoint": f"{self.url}/oidc/v1/token"}
        discovered |= {"authorization_endpoint": f"{self.url}/oidc/v1/authorize"}
        document = discovered if ".well-known" in path else told
        return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Way:
    """What a profile says for a way to log in, and what stands in Authorization then."""

    values: Callable[[Site, Path], Mapping[str, str]]
    expected: Callable[[Site, Path], str]
    host: Callable[[Site], str] = lambda site: site.url


def program(folder: Path, name: str, text: str) -> Path:
    place = folder / name
    place.write_text(text)
    place.chmod(0o700)
    return place


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:of {user}".encode()).decode()


def _file(site: Site, folder: Path) -> Mapping[str, str]:
    place = folder / f"{site.name}-token"
    place.write_text(f"id-of-{site.name}")
    return {"oidc_token_filepath": str(place), "client_id": f"app-{site.name}"}


WAYS = {
    "basic": Way(
        lambda site, _: {"username": site.name, "password": f"of {site.name}"}, lambda site, _: _basic(site.name)
    ),
    "pat": Way(lambda site, _: {"token": f"dapi-{site.name}"}, lambda site, _: f"Bearer dapi-{site.name}"),
    "oauth-m2m": Way(
        lambda site, _: {"client_id": f"app-{site.name}", "client_secret": "dose"},
        lambda site, _: f"Bearer {site.name}:app-{site.name}:dose",
    ),
    "file-oidc": Way(_file, lambda site, _: f"Bearer {site.name}:id-of-{site.name}"),
    "env-oidc": Way(
        lambda site, _: {"oidc_token_env": f"DATABRICKS_OIDC_{site.name}", "client_id": f"app-{site.name}"},
        lambda site, _: f"Bearer {site.name}:id-of-{site.name}",
    ),
    "databricks-cli": Way(
        lambda site, folder: {"databricks_cli_path": str(program(folder, "cli", CLI))},
        lambda site, folder: f"Bearer {folder}/cli-0-of,auth,token,--host,{site.url}",
    ),
    "azure-cli": Way(
        lambda site, _: {"azure_tenant_id": f"tenant-{site.name}"},
        lambda site, _: f"Bearer az-0-tenant-{site.name}",
        lambda site: f"http://{site.name}.azuredatabricks.net",
    ),
    "metadata-service": Way(
        lambda site, _: {"metadata_service_url": f"{site.url}/metadata"},
        lambda site, _: f"Bearer {site.name}:{site.url}",
    ),
}
NAMED_ONLY = ("env-oidc", "file-oidc")
"""With the id of a service principal beside it, the SDK wants to be told which way is meant."""


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    dev, prod = Site("dev"), Site("prod")
    yield dev, prod
    dev.stop()
    prod.stop()


def hostile(other: Site) -> dict[str, str]:
    """An environment that means another workspace in every way the SDK knows."""
    told = {
        "HOST": other.url,
        "TOKEN": "dapi-hostile",
        "CONFIG_PROFILE": "other",
        "USERNAME": "hostile",
        "PASSWORD": "hostile",
        "CLIENT_ID": "hostile",
        "CLIENT_SECRET": "hostile",
        "AUTH_TYPE": "pat",
        "ACCOUNT_ID": "hostile",
        "WORKSPACE_ID": "666",
        "CLI_PATH": "/nowhere/hostile",
        "METADATA_SERVICE_URL": f"{other.url}/hostile",
        "OIDC_TOKEN": "hostile",
        "OIDC_TOKEN_ENV": "DATABRICKS_TOKEN",
        "OIDC_TOKEN_FILEPATH": "/etc/hostname",
        "OIDC_dev": "id-of-dev",
        "OIDC_prod": "id-of-prod",
        "AZURE_RESOURCE_ID": "/subscriptions/hostile/x/y",
        "GOOGLE_SERVICE_ACCOUNT": "hostile",
        "MODEL_SERVING_HOST_URL": other.url,
        "RUNTIME_VERSION": "15.4",
    }
    of_clouds = {"ARM_CLIENT_ID": "h", "ARM_CLIENT_SECRET": "h", "ARM_TENANT_ID": "h", "GOOGLE_CREDENTIALS": "{}"}
    serving = {"IS_IN_DB_MODEL_SERVING_ENV": "true", "DB_MODEL_SERVING_HOST_URL": other.url, "ARM_USE_MSI": "true"}
    return {f"DATABRICKS_{name}": value for name, value in told.items()} | of_clouds | serving


@pytest.mark.parametrize(
    ("way", "is_named"), [(way, True) for way in WAYS] + [(way, False) for way in WAYS if way not in NAMED_ONLY]
)
def test_two_profiles_never_mix_whatever_the_environment_says(
    sites: tuple[Site, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, is_named: bool
) -> None:
    if way == "azure-cli":  # only for hosts of Azure, which are reached by a proxy here
        program(tmp_path, "az", AZ)
        monkeypatch.setenv("http_proxy", sites[0].url)
        monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    opened = []
    for site, other in (sites, sites[::-1]):
        for name, value in hostile(other).items():
            monkeypatch.setenv(name, value)
        values = dict(WAYS[way].values(site, tmp_path)) | ({"auth_type": way} if is_named else {})
        kind, fetch = by_sdk(Profile(WAYS[way].host(site), f"profile “{site.name}”", "", values), lambda: 0.0)
        assert kind == way
        opened.append((site, fetch))
    before = dict(os.environ)
    for site, fetch in (*opened, *opened):
        assert fetch().headers["Authorization"] == WAYS[way].expected(site, tmp_path)
    assert dict(os.environ) == before
    assert not [path for site in sites for path in site.asked if "hostile" in path]


def test_what_the_environment_says_counts_where_it_is_meant(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"DATABRICKS_HOST": sites[0].url, "DATABRICKS_AUTH_TYPE": "metadata-service"}
    said["DATABRICKS_METADATA_SERVICE_URL"] = f"{sites[0].url}/metadata"
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    kind, fetch = by_sdk(find("databricks"), lambda: 0.0)
    assert (kind, fetch().headers["Authorization"]) == ("metadata-service", f"Bearer dev:{sites[0].url}")


def test_a_profile_that_asks_for_the_token_of_a_pipeline_gets_it(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", "id-of-the-pipeline")
    values = {"auth_type": "env-oidc", "client_id": "app"}
    _, fetch = by_sdk(Profile(sites[0].url, "profile “dev”", "", values), lambda: 0.0)
    assert fetch().headers["Authorization"] == "Bearer dev:id-of-the-pipeline"


def test_a_profile_without_a_way_in_gets_none_from_the_environment(
    sites: tuple[Site, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hostile(sites[1]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AccessDenied, match="cannot log in as profile “dev” says") as caught:
        by_sdk(Profile(sites[0].url, "profile “dev”", "", {}), lambda: 0.0)
    assert "hostile" not in str(caught.value)
    assert not sites[1].asked


def test_a_workspace_lets_in_who_the_profile_names(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, other = start("lake"), start("other")
    for name, value in {**other.environment, "DATABRICKS_CONFIG_PROFILE": "other"}.items():
        monkeypatch.setenv(name, value)
    fetch = by_sdk(_machine(lake), lake.clock.now)[1]
    token = fetch().headers["Authorization"].removeprefix("Bearer ")
    assert lake.directory.tokens[token][0].name == lake.principal.name
    assert not other.requests


def _machine(workspace: Databricks) -> Profile:
    values = {"client_id": workspace.client_id, "client_secret": workspace.client_secret, "auth_type": "oauth-m2m"}
    return Profile(workspace.url, "profile “lake”", "", values)
