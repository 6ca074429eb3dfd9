"""Who we are to a tracking server: what MLflow's own clients read, and `runsync.toml`."""

import configparser
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runsync.errors import WrongUsage
from runsync.secrecy import keep, keep_header
from runsync.workspaces.header import unsendable

FILE = ".mlflow/credentials"
"""Below the home folder."""
SECRETS = ("username", "password", "token")
LOGIN = "Authorization"
"""The header that a token goes in."""
HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
"""Headers whose values are no secrets."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets have no repr. A username with a password wins over a token, as in MLflow's clients; `aws_sigv4` and
    `auth`, the name of a login of MLflow's plugins, win over both. `headers` go along with any of them. `aws_profile`
    is who signs ("" for whom boto3 finds).

    `has_plugins`: what is installed of MLflow's header plugins is heard. `used` names the settings it was made of.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    insecure_tls: bool = False
    server_cert_path: str = ""
    client_cert_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    aws_sigv4: bool = False
    aws_profile: str = ""
    auth: str = ""
    has_plugins: bool = field(default=False, compare=False)
    used: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        keep(self.password, self.username)
        keep(self.token)
        for name, value in self.headers.items():
            if name.lower() not in HARMLESS:
                keep_header(value)
        if self.insecure_tls and self.server_cert_path:
            raise WrongUsage("insecure TLS and a server certificate cannot both be asked for: drop one of them")

    @property
    def is_basic(self) -> bool:
        """Whether we log in by name and password."""
        return bool(self.username and (self.password or not self.token))

    @property
    def has_login(self) -> bool:
        """Whether it says who we are, headers apart."""
        return bool(self.username or self.token or self.aws_sigv4 or self.auth)

    @property
    def told(self) -> str:
        """Their kind, without any secret."""
        if self.aws_sigv4:
            login = "AWS signatures"
        elif self.auth:
            login = f"the login “{self.auth}” of a plugin of MLflow"
        elif self.is_basic:
            login = f"user “{self.username}” " + ("and a password" if self.password else "without a password")
            login += " (a token is given too, and not used)" if self.token else ""
        elif self.token:
            login = "a token" + (" (a username is given too, and not used)" if self.username else "")
        else:
            login = "none"
        login += f", with the headers {', '.join(self.headers)}" if self.headers else ""
        return login + (", with a client certificate" if self.client_cert_path else "")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Credentials":
        """`MLFLOW_TRACKING_` USERNAME, PASSWORD, TOKEN, AWS_SIGV4, AUTH, INSECURE_TLS, SERVER_CERT_PATH and
        CLIENT_CERT_PATH; name and password also of `~/.mlflow/credentials`. Raises WrongUsage where that is damaged,
        or the token cannot be sent.
        """

        def of(name: str) -> str:
            return environ.get(f"MLFLOW_TRACKING_{name}", "")

        names = ("USERNAME", "PASSWORD", "TOKEN", "AWS_SIGV4", "AUTH", "INSECURE_TLS")
        used = [f"MLFLOW_TRACKING_{name}" for name in (*names, "SERVER_CERT_PATH", "CLIENT_CERT_PATH") if of(name)]
        if fault := unsendable(LOGIN, of("TOKEN")):
            raise WrongUsage(f"MLFLOW_TRACKING_TOKEN: {fault}")
        place, of_file = _of_file(environ)
        lacking = {name for name in ("username", "password") if of_file.get(name) and not of(name.upper())}
        return cls(
            username=of("USERNAME") or of_file.get("username", ""),
            password=of("PASSWORD") or of_file.get("password", ""),
            token=of("TOKEN"),
            insecure_tls=_is_yes(of("INSECURE_TLS")),
            server_cert_path=of("SERVER_CERT_PATH"),
            client_cert_path=of("CLIENT_CERT_PATH"),
            aws_sigv4=_is_yes(of("AWS_SIGV4")),
            auth=of("AUTH"),
            has_plugins=True,
            used=(*used, *([place] if lacking else [])),
        )

    def tls_only(self) -> "Credentials":
        """For what is not to hear who we are to plain servers."""
        return Credentials(
            insecure_tls=self.insecure_tls,
            server_cert_path=self.server_cert_path,
            client_cert_path=self.client_cert_path,
        )

    def as_user(self, username: str, password: str) -> "Credentials":
        """With a name and a password that stand in an address: they are the whole login."""
        login = {"username": username, "password": password, "token": "", "aws_sigv4": False, "auth": ""}
        return dataclasses.replace(self, **login, used=("the address",))  # type: ignore[arg-type]

    @classmethod
    def from_config(
        cls, section: Mapping[str, Any], name: str, environ: Mapping[str, str] = os.environ
    ) -> "Credentials | None":
        """What a section of `runsync.toml` says; None where it says nothing (then the environment speaks).

        `username`, `password`, `token` may each be given as `<key>_env`, the name of an environment variable, and so
        may each of the `headers` in `headers_env`. Raises WrongUsage when that variable is not set, and for a header
        or a token that cannot be sent.
        """
        used: list[str] = []

        def check(key: str, header: str, value: str, variable: str = "") -> None:
            if fault := unsendable(header, value):
                raise WrongUsage(f"workspace “{name}”: {key}{f', {variable}' if variable else ''}: {fault}")

        def of_variable(key: str, variable: str) -> str:
            if variable not in environ:
                raise WrongUsage(f"workspace “{name}”: {key} names {variable}, which is not set")
            used.append(variable)
            return environ[variable]

        def secret(key: str) -> str:
            variable = section.get(f"{key}_env")
            if variable is not None:
                return of_variable(f"{key}_env", str(variable))
            used.extend([f"{key} of runsync.toml"] if key in section else [])
            return str(section.get(key, ""))

        given: dict[str, Any] = {key: secret(key) for key in SECRETS}
        given |= {key: str(section[key]) for key in ("server_cert_path", "client_cert_path", "auth") if key in section}
        check("token_env" if "token_env" in section else "token", LOGIN, given["token"], section.get("token_env", ""))
        headers = {str(header): str(value) for header, value in section.get("headers", {}).items()}
        for header, value in headers.items():
            check("headers", header, value)
        used += ["headers of runsync.toml"] if headers else []
        for header, variable in section.get("headers_env", {}).items():
            headers[str(header)] = value = of_variable("headers_env", str(variable))
            check("headers_env", str(header), value, str(variable))
        given |= {key: True for key in ("insecure_tls", "aws_sigv4") if section.get(key)}
        used += [f"{key} of runsync.toml" for key in given if key not in SECRETS and given[key]]
        if not any(given.values()) and not headers:
            return None
        return cls(**given, headers=headers, used=tuple(used))


def _is_yes(text: str) -> bool:
    return text.lower() in ("true", "1")


def _of_file(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Name and password in MLflow's own file, and how that is called; nothing where there is none."""
    home = environ.get("HOME", "")
    place = Path(home) / FILE
    if not home or not place.is_file():
        return "", {}
    parser = configparser.ConfigParser()
    try:
        parser.read(place, encoding="utf-8")
        found = {name: parser.get("mlflow", f"mlflow_tracking_{name}", fallback="") for name in SECRETS[:2]}
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        # Their own messages hold lines of the file.
        what = "a % in a value is written %%" if isinstance(error, configparser.InterpolationError) else "mend it"
        raise WrongUsage(f"~/{FILE} cannot be read ({type(error).__name__}): {what}") from None
    return f"~/{FILE}", found
