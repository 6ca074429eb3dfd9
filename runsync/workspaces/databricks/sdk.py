"""Ways to log in that are databricks-sdk's (the extra `databricks`), of which only the headers are used.

It lets variables such as DATABRICKS_TOKEN win over a profile that is named, and some of its ways to log in read
variables of their own, or start programs that do. What a profile says must be all that counts, so they are not there
while it reads its settings, and whenever it logs in.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from runsync.errors import AccessDenied, WrongUsage
from runsync.extras import how_to_install
from runsync.secrecy import strike
from runsync.workspaces.clouds.authority import Grant
from runsync.workspaces.databricks.profile import CONFIG_FILE, ENVIRONMENT, Profile

KEPT = 60.0
"""Seconds for which headers are used again: the SDK keeps and renews tokens itself."""
TIMEOUT = 30
"""Seconds: without it the SDK waits five minutes for a host that does not answer."""
FIELDS = (
    *("account_id", "token", "username", "password", "client_id", "client_secret", "auth_type"),
    *("azure_client_id", "azure_client_secret", "azure_tenant_id", "azure_environment"),
    *("azure_workspace_resource_id", "azure_use_msi", "google_service_account", "google_credentials"),
    *("databricks_cli_path", "metadata_service_url", "token_audience", "oidc_token_env"),
    *("oidc_token_filepath",),
)
"""Of a profile, that are the SDK's business."""
FOREIGN = ("DATABRICKS_", "ARM_", "GOOGLE_CREDENTIALS", "IS_IN_DB", "IS_IN_DATABRICKS", "DB_MODEL_SERVING_")
"""How variables begin that say who we are, and where (databricks-sdk: `config.py`, `credentials_provider.py`)."""
ENV_OIDC = "DATABRICKS_OIDC_TOKEN"
"""Where the way `env-oidc` finds its token, unless the profile names another variable."""
_one = Lock()


def by_sdk(profile: Profile, clock: Callable[[], float]) -> tuple[str, Callable[[], Grant]]:
    """The kind of authentication that databricks-sdk finds in a profile, and what fetches its headers.

    Raises WrongUsage where databricks-sdk is not installed, AccessDenied.
    """
    try:
        from databricks.sdk.core import Config
    except ImportError:
        raise WrongUsage(
            f"{profile.origin} has neither a token nor an id and secret of a service principal: "
            f"every other way to log in needs databricks-sdk: {how_to_install('databricks')}"
        ) from None
    given: dict[str, Any] = {name: profile.values[name] for name in FIELDS if profile.values.get(name)}
    given |= {"http_timeout_seconds": TIMEOUT, "retry_timeout_seconds": TIMEOUT}
    # A thread of its own would renew tokens in the whole environment.
    given["disable_async_token_refresh"] = True
    try:
        with _environment(profile):
            config = Config(host=profile.host, **given)
    except (ValueError, OSError) as error:
        raise AccessDenied(f"databricks-sdk cannot log in as {profile.origin} says: {_plain(error)}") from None

    def fetch() -> Grant:
        try:
            with _environment(profile):
                headers = config.authenticate()
        except Exception as error:  # databricks-sdk raises of many kinds
            raise AccessDenied(f"databricks-sdk could not log in: {_plain(error)}") from None
        return Grant(headers, clock() + KEPT)

    return str(config.auth_type or "databricks-sdk"), fetch


@contextmanager
def _environment(profile: Profile) -> Iterator[None]:
    """The one that a profile wants: without the variables that say who we are, unless it was made of them.

    One profile at a time: the environment is that of all threads.
    """
    with _one:
        hidden = {} if profile.origin == ENVIRONMENT else _foreign(profile)
        try:
            for name in hidden:
                del os.environ[name]
            yield
        finally:
            os.environ.update(hidden)


def _foreign(profile: Profile) -> dict[str, str]:
    """All but the file of profiles, which programs ask too, and the variable that the profile means by itself."""
    meant = {CONFIG_FILE, profile.get("oidc_token_env")}
    if profile.get("auth_type") == "env-oidc":
        meant.add(ENV_OIDC)
    return {name: value for name, value in os.environ.items() if name.startswith(FOREIGN) and name not in meant}


def _plain(error: Exception) -> str:
    """The first line of an error of databricks-sdk."""
    return strike(str(error).partition("\n")[0])[:300]
