"""Who we are to a Databricks workspace: headers for each request, renewed before they expire and when refused.

Personal access tokens, OAuth of service principals and Microsoft Entra service principals are spoken here; every other
way is databricks-sdk's (see `sdk`).
"""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from runsync.errors import AccessDenied, RequestRefused, WrongUsage
from runsync.workspaces.clouds.authority import Authority, Grant, renewal
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.profile import Profile
from runsync.workspaces.databricks.sdk import by_sdk
from runsync.workspaces.http import Client, Patience

PAT, M2M, ENTRA = "pat", "oauth-m2m", "azure-client-secret"
OWN = frozenset({PAT, M2M, ENTRA})
"""Kinds of authentication that are spoken here, by databricks-sdk's names."""

DATABRICKS_RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
"""Azure Databricks in Entra (databricks-sdk)."""
LOGIN = {
    "": "https://login.microsoftonline.com",
    "PUBLIC": "https://login.microsoftonline.com",
    "USGOVERNMENT": "https://login.microsoftonline.us",
    "CHINA": "https://login.chinacloudapi.cn",
}
MANAGEMENT = {
    "": "https://management.core.windows.net/",
    "PUBLIC": "https://management.core.windows.net/",
    "USGOVERNMENT": "https://management.core.usgovcloudapi.net/",
    "CHINA": "https://management.core.chinacloudapi.cn/",
}
UNTOLD = 600.0
"""Seconds that a token is taken to live where that is not told."""


def authority(
    profile: Profile,
    tls: Credentials,
    patience: Patience,
    *,
    login: str = "",
    clock: Callable[[], float] = time.time,
) -> Authority:
    """How a profile authenticates. `login` is where Entra gives tokens, if not at Microsoft's. Raises WrongUsage."""
    kind = _kind(profile)
    if kind == PAT:
        grant = Grant({"Authorization": f"Bearer {_needed(profile, 'token')}"})
        return Authority(kind, lambda: grant, clock)
    asking = _Asking(profile, tls, patience, clock)
    if kind == M2M:
        return Authority(kind, lambda: _machine(asking), clock)
    if kind == ENTRA:
        return Authority(kind, lambda: _principal(asking, login), clock)
    return Authority(*by_sdk(profile, clock), clock)


@dataclass(frozen=True, slots=True)
class _Asking:
    profile: Profile
    tls: Credentials
    patience: Patience
    clock: Callable[[], float]

    def token(self, url: str, form: Mapping[str, str], headers: Mapping[str, str], who: str) -> tuple[str, float]:
        """A token, and when it is to be renewed. Raises AccessDenied, WorkspaceUnreachable."""
        parts = urlsplit(url)
        client = Client(f"{parts.scheme}://{parts.netloc}", self.tls, 1, self.patience)
        asked_at = self.clock()
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        try:
            answer = client.send("POST", parts.path, content=urlencode(form).encode(), headers=sent)
            document: dict[str, Any] = answer.json()
            lifetime = float(document.get("expires_in") or 0) or UNTOLD
            return str(document["access_token"]), renewal(asked_at, lifetime)
        except RequestRefused as error:
            raise AccessDenied(
                f"{parts.netloc} gives no token to {who} (HTTP {error.status}): check its id and secret in "
                f"{self.profile.origin}",
                error.status,
            ) from None
        except (ValueError, KeyError, TypeError):
            raise AccessDenied(f"{parts.netloc} answered {who} with something that is no token") from None
        finally:
            client.close()


def _machine(asking: _Asking) -> Grant:
    """OAuth of a service principal: its endpoint is told by the workspace (databricks-sdk)."""
    profile = asking.profile
    client_id = _needed(profile, "client_id")
    pair = f"{client_id}:{_needed(profile, 'client_secret')}".encode()
    basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    token, renew_at = asking.token(_token_endpoint(asking), _CREDENTIALS, basic, f"service principal {client_id}")
    return Grant({"Authorization": f"Bearer {token}"}, renew_at)


_CREDENTIALS = {"grant_type": "client_credentials", "scope": "all-apis"}


def _token_endpoint(asking: _Asking) -> str:
    client = Client(asking.profile.host, asking.tls, 1, asking.patience)
    try:
        told = client.get("/oidc/.well-known/oauth-authorization-server").get("token_endpoint")
    except RequestRefused:
        told = None
    finally:
        client.close()
    own = f"{asking.profile.host}/oidc/v1/token"
    # Nobody but the host of the profile is to be sent its secret.
    return told if isinstance(told, str) and told.startswith(f"{asking.profile.host}/") else own


def _principal(asking: _Asking, login: str) -> Grant:
    """A service principal of Microsoft Entra (databricks-sdk): a second token shows that it may manage the resource."""
    profile = asking.profile
    client_id, tenant = _needed(profile, "azure_client_id"), _needed(profile, "azure_tenant_id")
    cloud = profile.get("azure_environment").upper()
    if cloud not in LOGIN:
        raise WrongUsage(f"{profile.origin}: azure_environment is PUBLIC, USGOVERNMENT or CHINA")
    url = f"{login or LOGIN[cloud]}/{tenant}/oauth2/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": _needed(profile, "azure_client_secret"),
    }
    who = f"Entra service principal {client_id}"
    token, renew_at = asking.token(url, {**form, "resource": DATABRICKS_RESOURCE}, {}, who)
    headers = {"Authorization": f"Bearer {token}"}
    resource = profile.get("azure_workspace_resource_id")
    if resource:
        managing, sooner = asking.token(url, {**form, "resource": MANAGEMENT[cloud]}, {}, who)
        headers["X-Databricks-Azure-SP-Management-Token"] = managing
        headers["X-Databricks-Azure-Workspace-Resource-Id"] = resource
        renew_at = min(renew_at, sooner)
    return Grant(headers, renew_at)


def _kind(profile: Profile) -> str:
    asked = profile.get("auth_type").lower()
    if asked:
        return asked
    if profile.get("token"):
        return PAT
    if profile.get("client_id") and profile.get("client_secret"):
        return M2M
    if profile.get("azure_client_id") and profile.get("azure_client_secret"):
        return ENTRA
    return "databricks-sdk"


def _needed(profile: Profile, name: str) -> str:
    value = profile.get(name)
    if not value:
        raise WrongUsage(f"{profile.origin} has no {name}")
    return value
