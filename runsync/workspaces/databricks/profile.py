"""Which Databricks workspace is meant, and as whom: a profile of `~/.databrickscfg`, or the environment.

A named profile is that profile alone. (databricks-sdk lets variables of the environment win even over a profile that
is named: source and target would become one and the same workspace.) Bare `databricks` is what the environment says,
else the profile DEFAULT, as MLflow's clients have it.
"""

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from runsync.errors import WrongUsage
from runsync.secrecy import keep
from runsync.workspaces.address import is_loopback

BARE = "databricks"
PREFIX = "databricks://"
ENVIRONMENT = "the environment"
CONFIG_FILE = "DATABRICKS_CONFIG_FILE"

VARIABLES = {
    "host": "DATABRICKS_HOST",
    "workspace_id": "DATABRICKS_WORKSPACE_ID",
    "token": "DATABRICKS_TOKEN",
    "username": "DATABRICKS_USERNAME",
    "password": "DATABRICKS_PASSWORD",
    "client_id": "DATABRICKS_CLIENT_ID",
    "client_secret": "DATABRICKS_CLIENT_SECRET",
    "auth_type": "DATABRICKS_AUTH_TYPE",
    "azure_client_id": "ARM_CLIENT_ID",
    "azure_client_secret": "ARM_CLIENT_SECRET",
    "azure_tenant_id": "ARM_TENANT_ID",
    "azure_environment": "ARM_ENVIRONMENT",
    "azure_workspace_resource_id": "DATABRICKS_AZURE_RESOURCE_ID",
}
"""Fields of a profile, and the variables that say the same (as in databricks-sdk)."""


_SECRET = ("token", "secret", "password", "credentials")
"""Words in the names of fields that hold a secret."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`host` is an address without a slash at its end. `values` are the fields as they are written: some are secret.

    `origin` tells where it was found, for messages.
    """

    host: str
    origin: str
    workspace_id: str = ""
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, value in self.values.items():
            if any(word in name for word in _SECRET):
                keep(value, self.get(name.replace("secret", "id").replace("password", "username")))

    def get(self, name: str) -> str:
        """The value of a field; "" where there is none."""
        return self.values.get(name, "")

    @property
    def insecure(self) -> bool:
        """Whether TLS certificates are not to be checked."""
        return any(self.get(name).lower() in ("true", "1", "yes") for name in ("insecure", "skip_verify"))


def find(where: str, environ: Mapping[str, str] = os.environ) -> Profile:
    """The profile that `databricks` or `databricks://PROFILE` means. Raises WrongUsage, without any secret."""
    if where != BARE:
        return _named(_name_in(where), environ)
    named, host = environ.get("DATABRICKS_CONFIG_PROFILE", ""), environ.get(VARIABLES["host"], "")
    if named:
        profile = _named(named, environ)
        if host and _host(host, "")[0] != profile.host:
            raise WrongUsage(
                f"DATABRICKS_CONFIG_PROFILE ({named}) and DATABRICKS_HOST mean two workspaces: "
                f"write databricks://{named}, or unset one of them"
            )
        return profile
    if host:
        values = {field: environ[name] for field, name in VARIABLES.items() if environ.get(name)}
        return _profile(values, ENVIRONMENT)
    try:
        return _named("DEFAULT", environ)
    except WrongUsage as error:
        raise WrongUsage(f"{error}; and DATABRICKS_HOST is not set") from None


def _name_in(where: str) -> str:
    name = where.removeprefix(PREFIX).rstrip("/")
    if ":" in name:
        raise WrongUsage(
            "databricks://SCOPE:PREFIX reads secrets with dbutils, which is there only in a notebook: "
            "write databricks://PROFILE, a profile of ~/.databrickscfg"
        )
    if not name or "/" in name or "?" in name or "@" in name:
        raise WrongUsage("write databricks://PROFILE, where PROFILE stands in ~/.databrickscfg")
    return name


def _named(name: str, environ: Mapping[str, str]) -> Profile:
    place = Path(environ.get(CONFIG_FILE) or "~/.databrickscfg").expanduser()
    sections = _sections(place)
    if name not in sections:
        known = ", ".join(sections) or "none"
        raise WrongUsage(f"there is no profile “{name}” in {place} (there: {known})")
    return _profile(sections[name], f"profile “{name}” of {place}")


def _sections(place: Path) -> dict[str, dict[str, str]]:
    # DEFAULT is a section like the others: neither MLflow nor databricks-sdk let profiles inherit from it.
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        with place.open(encoding="utf-8") as stream:
            parser.read_file(stream)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WrongUsage(f"{place} cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)  # their messages hold whole lines, with secrets
        raise WrongUsage(f"{place} is no profile file" + (f": see line {line}" if line else "")) from None
    return {name: dict(parser[name]) for name in parser.sections() if name != "__settings__"}


def _profile(values: Mapping[str, str], origin: str) -> Profile:
    host, workspace_id = _host(values.get("host", ""), origin)
    return Profile(host, origin, values.get("workspace_id") or workspace_id, dict(values))


def _host(text: str, origin: str) -> tuple[str, str]:
    """The address of a host as people write it, and the workspace id in it (`?o=123`)."""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        netloc = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        netloc = port = ""
    if not netloc or parts.scheme not in ("http", "https"):
        raise WrongUsage(f"{origin or 'DATABRICKS_HOST'} has no host: write https://WORKSPACE.cloud.databricks.com")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise WrongUsage(f"{origin or 'DATABRICKS_HOST'}: a token goes to Databricks by https:// only")
    return f"{parts.scheme}://{netloc}{port}", parse_qs(parts.query).get("o", [""])[0]
