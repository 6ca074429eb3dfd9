"""What a user typed for a Databricks workspace: `databricks`, `databricks://PROFILE`, or a name of `runsync.toml`.

As with MLflow's registry, `databricks-uc` in place of `databricks` says that of models only those of Unity Catalog are
meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.address import Address
from runsync.workspaces.credentials import Credentials
from runsync.workspaces.databricks.profile import BARE, PREFIX, Profile, find

CATALOG = "databricks-uc"
KEYS = {"uri", "insecure_tls", "server_cert_path", "client_cert_path", "s3_endpoint", "s3_profile"}


@dataclass(frozen=True, slots=True)
class DatabricksAddress:
    """A profile, how TLS is to be checked, and the S3 of artifacts that lie outside of what Databricks manages.

    `is_catalog_meant`: of its registries only Unity Catalog is.
    """

    profile: Profile
    tls: Credentials
    s3: Address
    is_catalog_meant: bool = False


def is_databricks(where: str, config_path: str | None = None) -> bool:
    """Whether an address, or a name of `runsync.toml`, means a Databricks workspace."""
    uri = str(_section(where, config_path).get("uri", where))
    return _is_spelled(uri, BARE) or _is_spelled(uri, CATALOG)


def resolve(where: str, config_path: str | None = None) -> DatabricksAddress:
    """Which one it means, and as whom. Raises WrongUsage."""
    section = _section(where, config_path)
    unknown = sorted(set(section) - KEYS)
    if unknown:
        raise WrongUsage(
            f"workspace “{where}”: {unknown[0]} is not for Databricks, where the profile in ~/.databrickscfg says it"
        )
    uri = str(section.get("uri", where))
    is_catalog_meant = _is_spelled(uri, CATALOG)
    profile = find(BARE + uri.removeprefix(CATALOG) if is_catalog_meant else uri)
    tls = Credentials(
        insecure_tls=bool(section.get("insecure_tls", profile.insecure)),
        server_cert_path=str(section.get("server_cert_path", "")),
        client_cert_path=str(section.get("client_cert_path", "")),
    )
    s3 = Address(profile.host, "", tls, str(section.get("s3_endpoint", "")), str(section.get("s3_profile", "")))
    return DatabricksAddress(profile, tls, s3, is_catalog_meant)


def _is_spelled(uri: str, scheme: str) -> bool:
    return uri == scheme or uri.startswith(f"{scheme}://")


def _section(where: str, config_path: str | None) -> Mapping[str, Any]:
    """A name in `runsync.toml` goes first, as everywhere."""
    return {} if where.startswith((PREFIX, f"{CATALOG}://")) else config.workspaces(config_path).get(where, {})
