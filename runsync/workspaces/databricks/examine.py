"""What doctor tells of a Databricks workspace. Nothing is written: what only a write would show is not known."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runsync.errors import RequestRefused
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.finding import Finding, failure, ok, warning
from runsync.model.selection import Selection
from runsync.workspaces.databricks.rates import RATES

if TYPE_CHECKING:
    from runsync.workspaces.databricks.workspace import DatabricksWorkspace

STATUS = "/api/2.0/workspace/get-status"
NEWEST_RUNS = 5
EXPERIMENTS = 100


def examine(workspace: "DatabricksWorkspace") -> Iterator[Finding]:
    """See `Workspace.examine`."""
    details = workspace.place.details
    yield ok("server", f"Databricks workspace {details['workspace_id']} at {workspace.place.address}")
    yield ok("identity", f"{details['user']}, by {details['auth']}")
    yield _home(workspace)
    experiments = workspace.experiments(Selection())
    active = [e for e in experiments if e.lifecycle_stage == ACTIVE]
    yield ok("experiments", f"{len(active):,} active, {len(experiments) - len(active):,} deleted (kept for 30 days)")
    rates = ", ".join(f"{name} {rate:g}" for name, rate in RATES.items() if rate < 50)
    yield ok("limits", f"requests a second that are kept to: {rates}; 1,600 params and tags and 1,000,000 points a run")
    yield _artifacts(workspace, active)
    for left in workspace.left_behind(experiments):
        yield warning("not carried", f"{'some' if left.count is None else f'{left.count:,}'} {left.what}: {left.why}")


def _home(workspace: "DatabricksWorkspace") -> Finding:
    try:
        workspace.client.get(STATUS, path=workspace.home)
    except RequestRefused as error:
        told = f"there is no folder {workspace.home} that we may see ({error.code or error.status})"
        return warning("folder", told, "name a folder of yours with --prefix when importing")
    return ok("folder", f"{workspace.home}; imports of names that are no paths need --prefix {workspace.home}/imported")


def _artifacts(workspace: "DatabricksWorkspace", experiments: Sequence[Experiment]) -> Finding:
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
    return ok("artifacts", f"the {tried} newest runs have none")
