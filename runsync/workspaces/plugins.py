"""Plugins of MLflow's clients, where MLflow is installed here: headers for each request, and logins by name.

They are packages of others, and import MLflow themselves; nothing of it is imported while there is none.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata, util
from typing import Any, Protocol

import requests
from requests.auth import AuthBase

from runsync.errors import RunsyncError, WrongUsage
from runsync.secrecy import keep_header, strike
from runsync.workspaces.header import unsendable

HEADERS = "mlflow.request_header_provider"
LOGINS = "mlflow.request_auth_provider"
"""Groups of entry points."""
JOINED = "User-Agent"
"""A header that others add to."""
BUILT_IN = "mlflow.tracking.request_auth.registry"

Authenticate = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class HeaderProvider(Protocol):
    """See `mlflow.tracking.request_header.abstract_request_header_provider`."""

    def in_context(self) -> bool:
        """Whether it has anything to say."""

    def request_headers(self) -> Mapping[str, str]:
        """The headers, which may be others each time."""


def header_providers() -> dict[str, HeaderProvider]:
    """Those that are installed, by name. Raises WrongUsage for one that cannot be loaded."""
    return dict(_made(HEADERS))


def login(name: str) -> Authenticate:
    """The one of that name. Raises WrongUsage where there is none, or it fails."""
    if util.find_spec("mlflow") is None:
        raise WrongUsage(f"the login “{name}” is a plugin of MLflow, which is not installed beside runsync")
    for entry, provider in _made(LOGINS):
        with _Guard(LOGINS, entry):
            if provider.get_name() == name:
                return _callable(provider.get_auth(), entry)
    with _Guard(LOGINS, name):
        own = importlib.import_module(BUILT_IN)
        found = next((p for p in own._request_auth_provider_registry if p.get_name() == name), None)
        if found is not None:
            return _callable(found.get_auth(), name)
    raise WrongUsage(f"no plugin of MLflow that is installed has the login “{name}”: check the name")


class PluginHeaders(AuthBase):
    """Puts what plugins say on each request, before it is authenticated. What was `given` by name goes before it."""

    def __init__(
        self, providers: Mapping[str, HeaderProvider], given: Sequence[str], authenticate: Authenticate | None
    ) -> None:
        self._providers = providers
        self._given = {name.lower() for name in given}
        self._authenticate = authenticate

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """See `requests.auth.AuthBase`. Raises WrongUsage where a plugin fails."""
        for name, value in self._told().items():
            if name.lower() == JOINED.lower():
                request.headers[JOINED] = f"{request.headers.get(JOINED, '')} {value}".strip()
            elif name.lower() not in self._given:
                keep_header(value)
                request.headers[name] = value
        return self._authenticate(request) if self._authenticate else request

    def _told(self) -> dict[str, str]:
        """Headers of one name are joined, as MLflow joins them."""
        found: dict[str, str] = {}
        for entry, provider in self._providers.items():
            with _Guard(HEADERS, entry):
                told = dict(provider.request_headers()) if provider.in_context() else {}
                for name, value in told.items():
                    if fault := unsendable(str(name), str(value)):
                        raise WrongUsage(f"the plugin “{entry}” of {HEADERS}: {fault}")
                    found[str(name)] = f"{found[name]} {value}" if name in found else str(value)
        return found


def _made(group: str) -> Iterator[tuple[str, Any]]:
    if util.find_spec("mlflow") is None:
        return
    for entry in metadata.entry_points(group=group):
        with _Guard(group, entry.name):
            made = entry.load()()
        yield entry.name, made


def _callable(authenticate: Any, entry: str) -> Authenticate:
    if isinstance(authenticate, tuple) and len(authenticate) == 2:
        return requests.auth.HTTPBasicAuth(*authenticate)
    if not callable(authenticate):
        raise WrongUsage(f"the plugin “{entry}” of {LOGINS} gives nothing that can authenticate a request")
    return authenticate  # type: ignore[no-any-return]


class _Guard:
    """Whatever a plugin raises as an error that names it."""

    def __init__(self, group: str, entry: str) -> None:
        self._group = group
        self._entry = entry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, RunsyncError):
            why = strike(" ".join(str(error).split()))[:200]
            raise WrongUsage(
                f"the plugin “{self._entry}” of {self._group} failed ({type(error).__name__}: {why}): mend or remove it"
            ) from None
