"""What a user typed for an Azure ML workspace: its MLflow tracking URI, or a name of `runsync.toml` whose uri is one.

`azureml://HOST/mlflow/v1.0/subscriptions/…/providers/Microsoft.MachineLearningServices/workspaces/NAME`, or the same
with https. Whatever version stands in it, v2.0 is spoken, as Microsoft's plugin does (azureml-mlflow 1.62).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from runsync import config
from runsync.errors import WrongUsage
from runsync.workspaces.address import is_loopback
from runsync.workspaces.credentials import Credentials

PREFIX = "azureml:"
MARK = "/providers/microsoft.machinelearningservices/workspaces/"
KEYS = {"uri", "token", "token_env", "insecure_tls", "server_cert_path", "client_cert_path"}
_PATH = re.compile(r"/mlflow/v[12]\.0(/subscriptions/[^/]+/resourceGroups/[^/]+" + MARK + r"[^/]+)/?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where tokens come from, and for what."""

    login: str
    scope: str


CLOUDS = {
    ".azure.us": Cloud("https://login.microsoftonline.us", "https://management.usgovcloudapi.net/.default"),
    ".azure.cn": Cloud("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
    "": Cloud("https://login.microsoftonline.com", "https://management.azure.com/.default"),
}
"""By the end of a workspace's host."""


@dataclass(frozen=True, slots=True)
class AzureAddress:
    """`root` is the host's URL, `scope` the path that names the workspace; `tls` may hold a token that was given."""

    root: str
    scope: str
    cloud: Cloud
    tls: Credentials

    @property
    def url(self) -> str:
        """Where MLflow's API lies."""
        return f"{self.root}/mlflow/v2.0{self.scope}"

    @property
    def printable(self) -> str:
        """As it stands in reports and manifests."""
        return f"azureml://{urlsplit(self.root).netloc}/mlflow/v2.0{self.scope}"


def is_azureml(where: str, config_path: str | None = None) -> bool:
    """Whether an address, or a name of `runsync.toml`, means a workspace of Azure ML."""
    uri = str(config.named(where, config_path).get("uri", where))
    return uri.startswith(PREFIX) or (uri.startswith(("https://", "http://")) and MARK in uri.lower())


def resolve(where: str, config_path: str | None = None, environ: Mapping[str, str] = os.environ) -> AzureAddress:
    """Which one it means. Raises WrongUsage."""
    section = config.named(where, config_path)
    if unknown := sorted(set(section) - KEYS):
        raise WrongUsage(f"workspace “{where}”: {unknown[0]} is not for Azure ML, which takes a token")
    try:
        parts = urlsplit(str(section.get("uri", where)))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    found = _PATH.fullmatch(parts.path) if host else None
    if found is None or parts.username is not None:
        raise WrongUsage(
            "that is no tracking URI of Azure ML: write azureml://HOST/mlflow/v1.0/subscriptions/…/resourceGroups/…"
            "/providers/Microsoft.MachineLearningServices/workspaces/NAME, as `az ml workspace show` tells"
        )
    scheme = "https" if parts.scheme == "azureml" else parts.scheme
    if scheme == "http" and not is_loopback(host):
        raise WrongUsage("a token goes to Azure ML by https:// only")
    tls = Credentials.from_config(section, where) or Credentials.from_environment(environ).tls_only()
    cloud = next(cloud for end, cloud in CLOUDS.items() if host.endswith(end))
    return AzureAddress(f"{scheme}://{host}{f':{port}' if port else ''}", found[1], cloud, tls)
