"""What kind of MLflow server answers at an address, and what it can do."""

import os
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from runsync.errors import AccessDenied, RequestRefused, WorkspaceError, WorkspaceUnreachable
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.registries import OF_PROMPTS
from runsync.kinds.traces import TRACES
from runsync.model.filter.push import Dialect
from runsync.workspaces.address import Address
from runsync.workspaces.http import OPTIONAL, Client
from runsync.workspaces.rest.around_experiments import NO_ROW

API = "/api/2.0/mlflow"
API3 = "/api/3.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
FILES = "FileStore"
"""What a server says that keeps runs in files."""


@dataclass(frozen=True, slots=True)
class Server:
    """An MLflow tracking server that answered. `version` is "" where it is not told; `workspace` where it has none."""

    version: str
    workspace: str
    has_workspaces: bool
    signs_uploads: bool = False
    signs_downloads: bool = False
    """Whether proxied artifacts may be sent to (fetched from) the storage behind it at addresses that it signs."""
    store: str = ""
    """What it keeps runs in, “SqlStore” or FILES, where it tells."""

    @property
    def proxies_any_name(self) -> bool:
        """Whether the artifact proxy serves names beyond latin-1.

        Before MLflow 3 it drops the connection (2.22) or answers 500 (1.30): the name stands in a header.
        """
        major = self.version.partition(".")[0]
        return major.isdigit() and int(major) >= 3

    @property
    def lacks(self) -> frozenset[str]:
        """The names of the kinds that its version does not have yet: MLflow 2.21 brought prompts, 3 logged models, 3.2
        traces that come with their ids. One that does not tell its version may have all."""
        release, lacks = self._release, set()
        if release and release < (3,):
            lacks.add(LOGGED_MODELS.name)
        if release and release < (3, 2):
            lacks.add(TRACES.name)
        if release and release < (2, 21):
            lacks |= {kind.name for kind in OF_PROMPTS.kinds}
        return frozenset(lacks)

    @property
    def dialect(self) -> Dialect:
        """What its search understands."""
        return Dialect(datasets=self._release >= (2, 4), null_checks=self._release >= (3, 17))

    @property
    def _release(self) -> tuple[int, ...]:
        return tuple(int(number) for number in self.version.split(".")[:2] if number.isdigit())


def meet(client: Client, address: Address) -> Server:
    """Asks who is there, and whether we may come in; sets the client's workspace header.

    Raises WorkspaceUnreachable, AccessDenied, or WorkspaceError for a workspace that is not there.
    """
    _find_api(client)
    info = _info(client)
    has_workspaces = bool(info.get("workspaces_enabled"))
    asked = address.workspace
    if asked and not has_workspaces:
        raise WorkspaceError(f"{address.url} has no workspaces: leave out ?workspace={asked}")
    workspace = asked or (os.environ.get("MLFLOW_WORKSPACE", "") if has_workspaces else "")
    if workspace:
        # Only ever to a server that has the feature: others answer 500 FEATURE_DISABLED.
        client.set_header("X-MLFLOW-WORKSPACE", workspace)
    try:
        answer = _first(client)
    except AccessDenied as error:
        if client.identity is not None or not error.status:
            raise
        raise AccessDenied(
            f"{address.printable} refused access (HTTP {error.status}): {_way_in(error)}",
            error.status,
            error.code,
        ) from None
    except RequestRefused as error:
        if workspace and error.code:
            raise WorkspaceError(f"{address.printable}: {error}") from None
        raise WorkspaceUnreachable(f"{address.url} answers, but not as an MLflow server ({error})") from None
    if set(answer) - {"experiments", "next_page_token"}:
        raise WorkspaceUnreachable(f"{address.url} answers, but not as an MLflow server")
    return Server(
        _version(client),
        workspace,
        has_workspaces,
        bool(info.get("multipart_uploads_enabled")),
        bool(info.get("multipart_downloads_enabled")),
        str(info.get("store_type") or ""),
    )


def _first(client: Client) -> dict[str, object]:
    """Some experiment, or none where it is one that the server fails to answer with."""
    try:
        return client.post(f"{API}/experiments/search", {"max_results": 1}, care=OPTIONAL)
    except RequestRefused as error:
        if 0 < error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
    return client.post(f"{API}/experiments/search", {"max_results": 1, "filter": NO_ROW})


def _way_in(error: AccessDenied) -> str:
    if "Host header" in str(error):  # since MLflow 3.5
        return (
            "it answers only to names that it was told, and the one in this address is none of them; "
            "use its own name, or start it with --allowed-hosts NAME"
        )
    return "check MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, or the workspace's section of runsync.toml"


def _find_api(client: Client) -> None:
    """MLflow 2 with --static-prefix serves all below the prefix, but /api at the root of the host."""
    parts = urlsplit(client.url)
    if parts.path:
        try:
            client.get(f"{API}/experiments/search", max_results=1)
        except RequestRefused as error:
            if error.status == 404 and not error.code and _has_page(client, f"{AJAX}/experiments/search"):
                client.api_url = f"{parts.scheme}://{parts.netloc}"


def _has_page(client: Client, path: str) -> bool:
    try:
        client.get(path, care=OPTIONAL, max_results=1)
    except RequestRefused as error:
        return error.status != 200 and (error.status != 404 or bool(error.code))
    return True


def _info(client: Client) -> dict[str, object]:
    try:
        return client.get(f"{API3}/server-info", care=OPTIONAL)
    except RequestRefused:
        return {}


def _version(client: Client) -> str:
    try:
        text = client.send("GET", "/version", care=OPTIONAL).text.strip()
    except RequestRefused:
        return ""
    return text if text[:1].isdigit() and len(text) < 30 else ""
