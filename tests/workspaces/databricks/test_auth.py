"""Logging in to Databricks: tokens are fetched, renewed in time and when refused, and never seen."""

import re
import sys
from typing import Any

import pytest
from emulators.databricks import Databricks
from support.secrets import MARK

from runsync.errors import AccessDenied, WrongUsage
from runsync.extras import how_to_install
from runsync.model.selection import Selection
from runsync.workspaces.address import Address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks import auth
from runsync.workspaces.databricks.address import DatabricksAddress
from runsync.workspaces.databricks.auth import authority
from runsync.workspaces.databricks.opening import open_databricks
from runsync.workspaces.databricks.profile import Profile
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.workspace import RestWorkspace
from workspaces.databricks.conftest import Start

NOBODY = Credentials()
SHORT = Patience(seconds=1, tries=2, first_delay=0.01)


def opened(workspace: Databricks, values: dict[str, str], login: str = "") -> RestWorkspace:
    profile = Profile(workspace.url, "profile “test”", "", values)
    address = DatabricksAddress(profile, NOBODY, Address(workspace.url, "", NOBODY))
    identity = authority(profile, NOBODY, SHORT, login=login, clock=workspace.clock.now)
    return open_databricks(address, 4, SHORT, identity=identity)


def ways(workspace: Databricks) -> dict[str, dict[str, str]]:
    machine = {"client_id": workspace.client_id, "client_secret": workspace.client_secret}
    entra = {f"azure_{name}": value for name, value in machine.items()} | {"azure_tenant_id": workspace.tenant}
    return {
        "pat": {"token": workspace.token},
        "oauth-m2m": machine,
        "azure-client-secret": entra,
        "azure-client-secret with a resource": entra | {"azure_workspace_resource_id": workspace.azure_resource_id},
    }


@pytest.mark.parametrize("way", ["pat", "oauth-m2m", "azure-client-secret", "azure-client-secret with a resource"])
def test_each_way_to_log_in_leads_in(start: Start, way: str) -> None:
    lake = start("lake")
    workspace = opened(lake, ways(lake)[way], lake.login_url)
    assert workspace.experiments(Selection()) == []
    name = lake.owner.name if way == "pat" else lake.principal.name
    kind = way.partition(" ")[0]
    assert workspace.place.details == {"user": name, "workspace_id": lake.workspace_id, "auth": kind}
    workspace.close()


def test_a_secret_goes_to_no_other_host_than_that_of_the_profile(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lying(Client):
        def get(self, path: str, /, **parameters: Any) -> dict[str, Any]:
            return {"token_endpoint": "https://elsewhere.example/token"}

    lake = start("lake")
    monkeypatch.setattr(auth, "Client", Lying)
    workspace = opened(lake, ways(lake)["oauth-m2m"])
    assert workspace.experiments(Selection()) == []
    workspace.close()


@pytest.mark.parametrize("way", ["oauth-m2m", "azure-client-secret with a resource"])
def test_a_token_is_renewed_before_it_expires_and_when_it_is_refused(start: Start, way: str) -> None:
    lake = start("lake")
    workspace = opened(lake, ways(lake)[way], lake.login_url)
    before = set(lake.directory.tokens)
    workspace.experiments(Selection())
    assert set(lake.directory.tokens) == before
    lake.clock.advance(3600 - 60)
    workspace.experiments(Selection())
    assert set(lake.directory.tokens) > before
    lake.directory.tokens.clear()  # as if they had been revoked
    workspace.experiments(Selection())
    assert all(seen.status == 200 for seen in lake.requests if seen.at < lake.clock.now() - 60)
    workspace.close()


@pytest.mark.parametrize(
    "values",
    [
        {"token": f"dapi-wrong{MARK}"},
        {"client_id": "app", "client_secret": f"dose-wrong{MARK}"},
        {"azure_client_id": "app", "azure_client_secret": f"wrong-secret{MARK}", "azure_tenant_id": "tenant"},
    ],
)
def test_a_wrong_secret_is_told_of_and_not_shown(
    start: Start, values: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    lake = start("lake")
    with pytest.raises(AccessDenied) as caught:
        opened(lake, values, lake.login_url)
    assert "profile “test”" in str(caught.value)
    assert "wrong" not in str(caught.value) + caplog.text
    lake.violations.clear()


def test_without_the_sdk_other_ways_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks.sdk.core", None)
    with pytest.raises(WrongUsage, match=re.escape(how_to_install("databricks"))):
        authority(Profile("https://x", "profile “p”", "", {"auth_type": "azure-cli"}), NOBODY, SHORT)
