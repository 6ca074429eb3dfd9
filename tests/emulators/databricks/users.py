"""Who may call a workspace, and with which credentials."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from support.secrets import new_secret

from emulators.databricks.errors import Refusal
from emulators.databricks.fields import message, text
from emulators.databricks.routing import Call, Route, query_of
from emulators.server import Reply, Request

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks

AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
AZURE_MANAGEMENT = "https://management.core.windows.net/"
NO_CREDENTIAL = "Credential was not sent or was of an unsupported type for this API. [ReqId: {}]"


@dataclass(frozen=True)
class User:
    """A person or a service principal."""

    user_id: str
    name: str
    groups: tuple[str, ...] = ("users",)
    entitlements: tuple[str, ...] = ()
    """Its own: those of its groups are not told."""


@dataclass
class Directory:
    """All users and groups, and the credentials that let them in. Times are seconds since the epoch."""

    users: dict[str, User] = field(default_factory=dict)
    groups: set[str] = field(default_factory=lambda: {"admins", "users"})
    principals: set[str] = field(default_factory=set)
    tokens: dict[str, tuple[User, float]] = field(default_factory=dict)
    clients: dict[str, tuple[str, User]] = field(default_factory=dict)
    management: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Credentials that were sent and not known."""

    def add(
        self,
        name: str,
        *,
        groups: tuple[str, ...] = ("users",),
        principal: bool = False,
        entitlements: tuple[str, ...] = (),
    ) -> User:
        """A new user, or a service principal, whose name is then its application id."""
        user = User(str(10**15 + secrets.randbelow(10**15)), name, groups, entitlements)
        self.users[name] = user
        self.groups.update(groups)
        if principal:
            self.principals.add(name)
        return user

    def personal_token(self, user: User) -> str:
        """A personal access token, which does not expire."""
        token = new_secret("a personal access token", "dapi")
        self.tokens[token] = (user, float("inf"))
        return token

    def client_secret(self, principal: User) -> str:
        """An OAuth secret of a service principal; its client id is its name."""
        secret = new_secret("an OAuth secret", "dose")
        self.clients[principal.name] = (secret, principal)
        return secret

    def issue(self, user: User, until: float) -> str:
        """An OAuth access token."""
        token = new_secret("an OAuth access token", f"eyJ{secrets.token_hex(12)}.{secrets.token_hex(24)}.")
        self.tokens[token] = (user, until)
        return token

    def secrets(self) -> set[str]:
        """Everything that must not be seen anywhere."""
        return {*self.tokens, *self.management, *(secret for secret, _ in self.clients.values())}


def admit(workspace: "Databricks", request: Request) -> User:
    """Who sends a request. Raises Refusal as a real workspace does."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal(401, NO_CREDENTIAL.format(secrets.token_hex(4)))
    user, until = workspace.directory.tokens.get(token, (None, 0.0))
    if user is None or until <= workspace.clock.now():
        if user is None:
            workspace.directory.refused.append(token)
        raise Refusal(403, "Invalid access token.")
    _check_azure(workspace, request)
    _check_workspace(workspace, request)
    return user


def _check_azure(workspace: "Databricks", request: Request) -> None:
    management = request.headers.get("x-databricks-azure-sp-management-token")
    if management is not None and workspace.directory.management.get(management, 0.0) <= workspace.clock.now():
        raise Refusal(403, "Invalid management token.")
    resource = request.headers.get("x-databricks-azure-workspace-resource-id")
    if resource is not None and (resource != workspace.azure_resource_id or management is None):
        raise Refusal("PERMISSION_DENIED", "The workspace resource id does not match.", violation=True)


def _check_workspace(workspace: "Databricks", request: Request) -> None:
    for name in ("x-databricks-workspace-id", "x-databricks-org-id"):
        meant = request.headers.get(name, workspace.workspace_id)
        if meant != workspace.workspace_id:
            raise Refusal("INVALID_PARAMETER_VALUE", f"{name} names another workspace: {meant}", violation=True)


def me(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """SCIM: who the caller is."""
    user = call.user
    told = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": user.user_id,
        "userName": user.name,
        "displayName": user.name.partition("@")[0],
        "active": True,
        "emails": [{"type": "work", "value": user.name, "primary": True}] if "@" in user.name else [],
        "groups": [{"display": group, "type": "direct", "value": str(abs(hash(group)))} for group in user.groups],
    }
    return told | ({"entitlements": [{"value": each} for each in user.entitlements]} if user.entitlements else {})


def open_answer(workspace: "Databricks", request: Request) -> "dict[str, Any] | Reply | None":
    """The endpoints that ask for no bearer token: discovery and the token endpoint. None: it is none of them."""
    path, _ = query_of(request.target)
    root = f"{workspace.url}/oidc"
    if request.method == "GET" and path == "/.well-known/databricks-config":
        return {
            "oidc_endpoint": root,
            "workspace_id": workspace.workspace_id,
            "account_id": workspace.account_id,
            "cloud": {"aws": "aws", "gcp": "gcp"}.get(workspace.cloud, "azure"),
        }
    if request.method == "GET" and path == "/oidc/.well-known/oauth-authorization-server":
        return {
            "issuer": root,
            "authorization_endpoint": f"{root}/v1/authorize",
            "token_endpoint": f"{root}/v1/token",
            "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
        }
    if request.method == "POST" and path == "/oidc/v1/token":
        return _client_credentials(workspace, request)
    return None


def _client_credentials(workspace: "Databricks", request: Request) -> dict[str, Any]:
    form = {name: values[0] for name, values in query_of("?" + request.body.decode())[1].items()}
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise Refusal("UNAUTHENTICATED", "invalid_client", status=401)
    client, _, secret = base64.b64decode(pair).decode().partition(":")
    known, user = workspace.directory.clients.get(unquote_plus(client), ("", None))
    if user is None or known != unquote_plus(secret):
        workspace.directory.refused.append(secret)
        raise Refusal("UNAUTHENTICATED", "invalid_client", status=401)
    if form.get("grant_type") != "client_credentials" or form.get("scope") != "all-apis":
        raise Refusal("MALFORMED_REQUEST", "unsupported grant_type or scope", violation=True)
    lifetime = workspace.limits.token_lifetime
    token = workspace.directory.issue(user, workspace.clock.now() + lifetime)
    return {"access_token": token, "scope": "all-apis", "token_type": "Bearer", "expires_in": int(lifetime)}


def entra(workspace: "Databricks", request: Request) -> dict[str, Any]:
    """Microsoft Entra's token endpoint, `POST /TENANT/oauth2/token`. Raises Refusal."""
    path, _ = query_of(request.target)
    if request.method != "POST" or path != f"/{workspace.tenant}/oauth2/token":
        raise Refusal("ENDPOINT_NOT_FOUND", f"No API found for {request.method} {path}", violation=True)
    form = {name: values[0] for name, values in query_of("?" + request.body.decode())[1].items()}
    known, user = workspace.directory.clients.get(form.get("client_id", ""), ("", None))
    if user is None or known != form.get("client_secret") or form.get("grant_type") != "client_credentials":
        raise Refusal("UNAUTHENTICATED", "AADSTS7000215: Invalid client secret provided.", status=401)
    lifetime = workspace.limits.token_lifetime
    until = workspace.clock.now() + lifetime
    if form.get("resource") == AZURE_DATABRICKS:
        token = workspace.directory.issue(user, until)
    elif form.get("resource") == AZURE_MANAGEMENT:
        token = new_secret("a token for Azure management", "eyJ", 64)
        workspace.directory.management[token] = until
    else:
        raise Refusal("INVALID_PARAMETER_VALUE", "AADSTS500011: unknown resource", violation=True)
    expires = {"expires_in": str(int(lifetime)), "expires_on": str(int(until))}
    return {"access_token": token, "token_type": "Bearer", "resource": form["resource"], **expires}


ROUTES = (
    Route("GET", "/api/2.0/preview/scim/v2/Me", me, message(attributes=text, excludedAttributes=text), rate="scim"),
)
