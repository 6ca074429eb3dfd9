"""Who we are to a tracking server: the environment variables of MLflow clients, and `runsync.toml`."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runsync.errors import WrongUsage
from runsync.secrecy import keep


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets have no repr. `token` wins over username and password, as in MLflow clients."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    insecure_tls: bool = False
    server_cert_path: str = ""
    client_cert_path: str = ""

    def __post_init__(self) -> None:
        keep(self.password, self.username)
        keep(self.token)
        if self.insecure_tls and self.server_cert_path:
            raise WrongUsage("insecure TLS and a server certificate cannot both be asked for: drop one of them")

    @property
    def told(self) -> str:
        """Their kind, without any secret."""
        if self.token:
            login = "a token" + (" (a username is given too, and not used)" if self.username else "")
        elif self.username:
            login = f"user “{self.username}” " + ("and a password" if self.password else "without a password")
        else:
            login = "none"
        return login + (", with a client certificate" if self.client_cert_path else "")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Credentials":
        """`MLFLOW_TRACKING_` USERNAME, PASSWORD, TOKEN, INSECURE_TLS, SERVER_CERT_PATH and CLIENT_CERT_PATH."""

        def of(name: str) -> str:
            return environ.get(f"MLFLOW_TRACKING_{name}", "")

        return cls(
            of("USERNAME"),
            of("PASSWORD"),
            of("TOKEN"),
            of("INSECURE_TLS").lower() in ("true", "1"),
            of("SERVER_CERT_PATH"),
            of("CLIENT_CERT_PATH"),
        )

    def tls_only(self) -> "Credentials":
        """For what is not to hear who we are to plain servers."""
        return dataclasses.replace(self, username="", password="", token="")

    @classmethod
    def from_config(
        cls, section: Mapping[str, Any], name: str, environ: Mapping[str, str] = os.environ
    ) -> "Credentials | None":
        """What a section of `runsync.toml` says; None where it says nothing (then the environment speaks).

        `username`, `password`, `token` may each be given as `<key>_env`, the name of an environment variable.
        Raises WrongUsage when that variable is not set.
        """

        def secret(key: str) -> str:
            variable = section.get(f"{key}_env")
            if variable is None:
                return str(section.get(key, ""))
            if variable not in environ:
                raise WrongUsage(f"workspace “{name}”: {key}_env names {variable}, which is not set")
            return environ[variable]

        given = {key: secret(key) for key in ("username", "password", "token")}
        given |= {key: str(section[key]) for key in ("server_cert_path", "client_cert_path") if key in section}
        insecure = bool(section.get("insecure_tls", False))
        if not any(given.values()) and not insecure:
            return None
        return cls(insecure_tls=insecure, **given)
