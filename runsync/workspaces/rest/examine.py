"""What doctor tells of an MLflow tracking server. Nothing is written: what only a write would show is not known."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runsync.errors import ABSENT, AccessDenied, RequestRefused
from runsync.kinds.left_behind import counted, how_to_accept, told_unsought, was_sought
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.finding import Finding, ok, warning
from runsync.model.selection import Selection
from runsync.patience import VARIABLES
from runsync.workspaces.address import Address, is_loopback
from runsync.workspaces.arrival.present import LONGEST_PARAM
from runsync.workspaces.clock import clock_of
from runsync.workspaces.http import AUTHORITIES, OPTIONAL, Client, fields
from runsync.workspaces.http.trouble import proxy_for
from runsync.workspaces.plugins import header_providers
from runsync.workspaces.rest.around_experiments import NO_ROW
from runsync.workspaces.rest.leftovers import is_unknown
from runsync.workspaces.rest.reach import artifacts
from runsync.workspaces.rest.rights import rights
from runsync.workspaces.rest.runs import BATCH_PARAMS, BATCH_TAGS, BATCH_TOTAL, LONGEST_TAG
from runsync.workspaces.rest.server import AJAX, API, API3, FILES
from runsync.workspaces.sample import readable
from runsync.workspaces.speed import NEARER, SLOW, round_trip

if TYPE_CHECKING:
    from runsync.workspaces.rest.workspace import RestWorkspace

KNOWN = ("1", "2", "3")
"""Major versions of MLflow that runsync is tested with."""
_SMALL = f"{API}/experiments/search"
_LEAST: Mapping[str, Any] = {"max_results": 1, "filter": NO_ROW}
"""A small request, which no row that the server fails to answer with can spoil."""
_STORES = {"SqlStore": "a database", FILES: "a file store"}


def approach(address: Address) -> Iterator[Finding]:
    """What can be told of the way to a server before it is asked."""
    credentials = address.credentials
    url = urlsplit(address.url)
    if (credentials.has_login or credentials.headers) and url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield warning(
            "credentials",
            f"{credentials.told}, sent over http://, where everyone on the way can read them",
            "use the server's https:// address, if it has one",
        )
    else:
        yield ok("credentials", credentials.told)
    if settings := _settings(address):
        yield ok("settings", f"taken from {', '.join(settings)}")
    if credentials.has_plugins and (providers := header_providers()):
        yield ok("plugins", f"headers of MLflow's plugins are sent, too: {', '.join(providers)}")
    if credentials.insecure_tls:
        yield warning(
            "tls",
            "certificates are not looked at (insecure TLS): anyone on the way can pretend to be the server",
            "name the certificate's authority with server_cert_path or MLFLOW_TRACKING_SERVER_CERT_PATH instead",
        )
    if proxy := proxy_for(address.url):
        told = f"requests go through the proxy {proxy}, as the environment says"
        yield ok("proxy", f"{told}; NO_PROXY={url.hostname} would go straight")


def _settings(address: Address) -> list[str]:
    """Names of what says who we are and how requests are made; no values."""
    credentials = address.credentials
    looks = urlsplit(address.url).scheme == "https" and not credentials.insecure_tls
    found = [*credentials.used, *(name for name in VARIABLES if os.environ.get(name))]
    if looks and not credentials.server_cert_path:
        found += [name for name in AUTHORITIES if os.environ.get(name)][:1]
    return found


def examine(workspace: "RestWorkspace") -> Iterator[Finding]:
    """See `Workspace.examine`."""
    yield from _server(workspace)
    yield from _speed(workspace.client)
    yield from clock_of(lambda: workspace.client.send("GET", _SMALL, parameters=_LEAST))
    experiments = workspace.experiments(Selection())
    active = [e for e in experiments if e.lifecycle_stage == ACTIVE]
    yield from rights(workspace.client, active)
    yield ok("experiments", f"{len(active):,} active, {len(experiments) - len(active):,} deleted")
    yield from _endpoints(workspace, experiments)
    yield from readable(workspace, experiments)
    yield from artifacts(workspace, experiments)
    yield ok(
        "limits",
        f"params up to {LONGEST_PARAM:,} characters, tags up to {LONGEST_TAG:,}; what is longer is not sent but named. "
        f"A request takes {BATCH_TOTAL:,} entries, of them {BATCH_PARAMS} params and {BATCH_TAGS} tags",
    )
    yield from not_carried(workspace, experiments)


def not_carried(workspace: "RestWorkspace", experiments: Sequence[Experiment]) -> Iterator[Finding]:
    """What would be left behind."""
    found = workspace.left_behind(experiments, Selection())
    for left in filter(was_sought, found):
        remedy = f"if that may be, add {how_to_accept([left.kind])} to each transfer (docs/left-behind.md)"
        yield warning("not carried", f"{counted(left)}: {left.why}", remedy if left.kind else "")
    for told in told_unsought(found):
        yield ok("not carried", told)


def _server(workspace: "RestWorkspace") -> Iterator[Finding]:
    server, client = workspace.server, workspace.client
    store = f", which keeps runs in {_STORES.get(server.store, server.store)}" if server.store else ""
    if not server.version:
        told = f"an MLflow server that does not tell its version{store}"
        yield warning("server", told, "have /version let through by what stands in front of it")
    elif server.version.partition(".")[0] in KNOWN:
        yield ok("server", f"MLflow {server.version}{store}")
    else:
        told = f"MLflow {server.version}{store}: newer than any that this runsync was tested with"
        yield warning("server", told, "look for a newer runsync, and run verify after each transfer")
    if client.api_url != client.url:
        yield ok("address", f"its API is at {client.api_url}, as MLflow 2 with --static-prefix has it")
    if server.has_workspaces:
        yield from _workspaces(workspace)


def _workspaces(workspace: "RestWorkspace") -> Iterator[Finding]:
    try:
        listed = fields.listed(workspace.client.get(f"{API3}/workspaces", care=OPTIONAL), "workspaces")
        others = sorted(
            str(w.get("name")) for w in listed if w.get("name") != (workspace.server.workspace or "default")
        )
    except RequestRefused:
        others = []
    here = f"“{workspace.server.workspace}”" if workspace.server.workspace else "the default one"
    if others:
        few = ", ".join(others[:10]) + (" …" if len(others) > 10 else "")
        count = "is 1 other" if len(others) == 1 else f"are {len(others):,} others"
        yield ok("workspace", f"{here}; there {count}: {few} (?workspace=NAME names one)")
    else:
        yield ok("workspace", here)


def _speed(client: Client) -> Iterator[Finding]:
    """How long a small request takes, and how much of that is the way there and back."""
    seconds = round_trip(lambda: client.get(_SMALL, **_LEAST))
    try:
        way = round_trip(lambda: client.send("GET", "/health", care=OPTIONAL))
    except RequestRefused:
        way = seconds
    told = f"{seconds * 1000:.0f} ms a small request, {min(way, seconds) * 1000:.0f} ms of them the way there and back"
    if seconds < SLOW:
        yield ok("speed", told)
    elif way > seconds / 2:
        yield warning("speed", told, NEARER)
    else:
        remedy = "the server is busy or slow: basic auth, for one, works out the hash of the password at each request"
        yield warning("speed", told, remedy)


def _endpoints(workspace: "RestWorkspace", experiments: Sequence[Experiment]) -> Iterator[Finding]:
    client, ids = workspace.client, [e.experiment_id for e in experiments[:1]]
    places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}} for e in ids]
    asked = {"run_id": "0" * 32, "metric_key": "none", "max_results": 1}
    bulk = _has(lambda: client.get(f"{AJAX}/metrics/get-history-bulk", care=OPTIONAL, **asked))
    if bulk:
        yield ok("metrics", "histories of up to 100 runs come in one request")
    else:
        yield warning(
            "metrics",
            "histories come one key of one run a request, as the bulk endpoint does not answer: reading takes longer",
            "have /ajax-api/2.0/mlflow/metrics/get-history-bulk let through by what stands in front of the server",
        )
    further = {
        "model registry": lambda: client.get(f"{API}/registered-models/search", care=OPTIONAL, max_results=1),
        "logged models": lambda: client.post(
            f"{API}/logged-models/search", {"experiment_ids": ids, "max_results": 1}, care=OPTIONAL
        ),
        "traces": lambda: client.post(f"{API3}/traces/search", {"locations": places, "max_results": 1}, care=OPTIONAL),
    }
    found = {name: _has(ask) for name, ask in further.items()}
    yield ok("features", _features(found))


def _features(found: Mapping[str, bool | None]) -> str:
    there, lacking, unknown = (
        ", ".join(name for name, has in found.items() if has is which) for which in (True, False, None)
    )
    told = [f"beside runs it has: {there or 'nothing'}"] if there or lacking else []
    told += [f"it has not: {lacking}"] if lacking else []
    told += [f"not known, as it does not answer us: {unknown}"] if unknown else []
    return "; ".join(told)


def _has(ask: Callable[[], object]) -> bool | None:
    """Whether the server has an endpoint: what MLflow itself refuses comes with a code of its own. None where what
    stands before it answers, or nothing does."""
    try:
        ask()
    except AccessDenied:
        return None
    except RequestRefused as error:
        if is_unknown(error):
            return error.code == ABSENT
        return True if error.code and error.status else None
    return True
