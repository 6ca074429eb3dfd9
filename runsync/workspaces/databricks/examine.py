"""What doctor tells of a Databricks workspace. Nothing is written: what only a write would show is not known."""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from runsync.errors import RequestRefused
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.finding import Finding, failure, ok
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.workspaces.clock import clock_of
from runsync.workspaces.databricks.auth import OWN
from runsync.workspaces.databricks.endpoints import RUNTIMES, endpoints
from runsync.workspaces.databricks.quotas import (
    PARAMS_A_RUN,
    RUNS_AN_EXPERIMENT,
    STEPS_A_RUN,
    TAGS_A_RUN,
    TAGS_AN_EXPERIMENT,
)
from runsync.workspaces.databricks.rates import RATES
from runsync.workspaces.databricks.rights import ME, rights
from runsync.workspaces.databricks.unity.rights import rights_in_catalog
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import listed
from runsync.workspaces.rest.examine import not_carried
from runsync.workspaces.sample import readable
from runsync.workspaces.speed import speed

if TYPE_CHECKING:
    from runsync.workspaces.rest.workspace import RestWorkspace

NEWEST_RUNS = 5
EXPERIMENTS = 100
_RUNTIME = re.compile(r"(\d+)\.(\d+)\.x-scala")
"""The keys of plain runtimes, as `15.4.x-scala2.12`; those for GPUs and machine learning have more in them."""


def examine(workspace: "RestWorkspace", home: str) -> Iterator[Finding]:
    """See `Workspace.examine`. `home` is the caller's folder."""
    client, details = workspace.client, workspace.place.details
    yield ok("server", f"Databricks workspace {details['workspace_id']} at {workspace.place.address}")
    yield ok("identity", f"{details['user']}, by {details['auth']}{_sdk(details['auth'])}")
    yield ok("versions", f"it does not tell which MLflow it runs: the API is 2.0{_runtime(client)}")
    yield speed(lambda: client.get(ME))
    yield from clock_of(lambda: client.send("GET", ME))
    experiments = workspace.experiments(Selection())
    active = [e for e in experiments if e.lifecycle_stage == ACTIVE]
    yield from rights(client, home, active)
    yield from rights_in_catalog(client)
    yield ok("experiments", f"{len(active):,} active, {len(experiments) - len(active):,} deleted (kept for 30 days)")
    yield from endpoints(client, home, active)
    yield from _limits()
    yield from readable(workspace, experiments)
    yield _artifacts(workspace, active)
    yield from not_carried(workspace, experiments)


def _sdk(auth: str) -> str:
    """Which databricks-sdk logs us in; "" where we do it ourselves."""
    if auth in OWN:
        return ""
    try:
        return f" of databricks-sdk {version('databricks-sdk')}"
    except PackageNotFoundError:
        return " of databricks-sdk"


def _runtime(client: Client) -> str:
    """The newest runtime that clusters may have: the one version that a workspace tells."""
    try:
        told = listed(client.get(RUNTIMES), "versions")
    except RequestRefused:
        return ""
    plain = [(int(found[1]), int(found[2])) for each in told if (found := _RUNTIME.match(str(each.get("key") or "")))]
    return f"; its newest Databricks Runtime is {'.'.join(map(str, max(plain)))}" if plain else ""


def _limits() -> Iterator[Finding]:
    rates = ", ".join(f"{name} {rate:g}" for name, rate in RATES.items() if rate < 50)
    yield ok("limits", f"requests a second that are kept to: {rates}")
    yield ok(
        "quotas",
        f"{PARAMS_A_RUN:,} params, {TAGS_A_RUN:,} tags and {STEPS_A_RUN:,} points a run, {RUNS_AN_EXPERIMENT:,} runs "
        f"and {TAGS_AN_EXPERIMENT:,} tags an experiment, unless Databricks has raised them; import --dry-run tells "
        "what exceeds them",
    )


def _artifacts(workspace: "RestWorkspace", experiments: Sequence[Experiment]) -> Finding:
    """One file of the newest runs is read as an export reads it."""
    refused: RequestRefused | None = None
    tried = 0
    for run in workspace.in_order(experiments[-EXPERIMENTS:], Selection(), limit=NEWEST_RUNS):
        tried += 1
        try:
            files = workspace.artifacts(run)
            if files:
                next(workspace.read_artifact(run, files[0]), b"")
                return ok("artifacts", f"one of run {run.run_id} was read")
        except RequestRefused as error:
            refused = refused or error
    if refused is not None:
        remedy = "see to it that this machine may reach the workspace's storage; --no-artifacts leaves artifacts out"
        return failure("artifacts", str(refused), remedy)
    return ok("artifacts", f"no file in the newest {many(tried, 'run')}" if tried else "no runs yet")
