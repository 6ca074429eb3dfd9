"""What a user typed for a Databricks workspace: `databricks`, `databricks://PROFILE`, or a name of `runsync.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.address import Address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.profile import BARE, PREFIX, Profile, find

KEYS = {"uri", "insecure_tls", "server_cert_path", "client_cert_path", "s3_endpoint", "s3_profile"}


@dataclass(frozen=True, slots=True)
class DatabricksAddress:
    """A profile, how TLS is to be checked, and the S3 of artifacts that lie outside of what Databricks manages."""

    profile: Profile
    tls: Credentials
    s3: Address


def is_databricks(where: str, config_path: str | None = None) -> bool:
    """Whether an address, or a name of `runsync.toml`, means a Databricks workspace."""
    return _is_spelled(_section(where, config_path).get("uri", where))


def resolve(where: str, config_path: str | None = None) -> DatabricksAddress:
    """Which one it means, and as whom. Raises WrongUsage."""
    section = _section(where, config_path)
    unknown = sorted(set(section) - KEYS)
    if unknown:
        raise WrongUsage(
            f"workspace “{where}”: {unknown[0]} is not for Databricks, where the profile in ~/.databrickscfg says it"
        )
    profile = find(section.get("uri", where))
    tls = Credentials(
        insecure_tls=bool(section.get("insecure_tls", profile.insecure)),
        server_cert_path=str(section.get("server_cert_path", "")),
        client_cert_path=str(section.get("client_cert_path", "")),
    )
    s3 = Address(profile.host, "", tls, str(section.get("s3_endpoint", "")), str(section.get("s3_profile", "")))
    return DatabricksAddress(profile, tls, s3)


def _is_spelled(uri: str) -> bool:
    return uri == BARE or uri.startswith(PREFIX)


def _section(where: str, config_path: str | None) -> Mapping[str, Any]:
    """A name in `runsync.toml` goes first, as everywhere."""
    return {} if where.startswith(PREFIX) else config.workspaces(config_path).get(where, {})
