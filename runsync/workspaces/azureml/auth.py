"""Tokens for Azure ML: one that was given, those of a client secret, or whatever azure-identity finds.

They are renewed before they expire, and once when they are refused.
"""

import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from runsync.errors import AccessDenied, RequestRefused, WrongUsage
from runsync.extras import how_to_install
from runsync.secrecy import keep, strike
from runsync.workspaces.address import is_loopback
from runsync.workspaces.azureml.address import AzureAddress, Cloud
from runsync.workspaces.clouds.authority import Authority, Grant, renewal
from runsync.workspaces.http import Client, Patience

SECRET = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
LOGIN = "AZURE_AUTHORITY_HOST"
"""Where tokens come from instead, as azure-identity has it."""
REMEDY = f"set {', '.join(SECRET)}, or az login, or give a token in runsync.toml"


def authority(address: AzureAddress, patience: Patience, environ: Mapping[str, str] = os.environ) -> Authority:
    """How we let ourselves in. Raises WrongUsage where nothing tells."""
    if address.tls.token:
        given = Grant(_bearer(address.tls.token))
        return Authority("token", lambda: given)
    if all(environ.get(name) for name in SECRET):
        login = environ.get(LOGIN) or address.cloud.login
        return Authority("client secret", lambda: _by_secret(login, address, patience, environ))
    return Authority("azure-identity", _by_identity(address.cloud))


def _by_secret(login: str, address: AzureAddress, patience: Patience, environ: Mapping[str, str]) -> Grant:
    """The client credentials flow of Microsoft Entra (learn.microsoft.com, “OAuth 2.0 client credentials flow”)."""
    tenant, client_id, secret = (environ[name] for name in SECRET)
    keep(secret, client_id)
    login = login if "://" in login else f"https://{login}"
    if not login.startswith("https://") and not is_loopback(urlsplit(login).hostname or ""):
        raise WrongUsage(f"{LOGIN}: a secret goes by https:// only")
    client = Client(login.rstrip("/"), address.tls.tls_only(), 1, patience)
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    form["scope"] = address.cloud.scope
    asked_at = time.time()
    try:
        answer: dict[str, Any] = client.send(
            "POST",
            f"/{quote(tenant, safe='')}/oauth2/v2.0/token",
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ).json()
        renew_at = renewal(asked_at, float(answer.get("expires_in") or 300))
        return Grant(_bearer(str(answer["access_token"])), renew_at)
    except RequestRefused as error:
        raise AccessDenied(
            f"{client.url} gives no token to {client_id} of tenant {tenant} (HTTP {error.status}): check {SECRET[2]}, "
            "which may have expired, and the ids",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise AccessDenied(f"{client.url} answered with something that is no token") from None
    finally:
        client.close()


def _by_identity(cloud: Cloud) -> Callable[[], Grant]:
    try:
        identity = import_module("azure.identity")
    except ImportError:
        more = f"az login needs azure-identity: {how_to_install('azure')}"
        raise WrongUsage(f"Azure ML: who we are is not told: {REMEDY} ({more})") from None
    credential = identity.DefaultAzureCredential(authority=cloud.login)

    def fetch() -> Grant:
        asked_at = time.time()
        try:
            token = credential.get_token(cloud.scope)
        except Exception as error:  # azure-identity raises of many kinds; its texts list what was tried, no secrets
            why = strike(" ".join(str(error).split()))[:200]
            raise AccessDenied(f"azure-identity finds no token ({why}): {REMEDY}") from None
        return Grant(_bearer(str(token.token)), renewal(asked_at, float(token.expires_on) - asked_at))

    return fetch


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
