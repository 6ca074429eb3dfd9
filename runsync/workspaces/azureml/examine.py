"""What doctor tells of an Azure ML workspace. Nothing is written: what only a write would show is not known."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from runsync.model.experiment import ACTIVE
from runsync.model.finding import Finding, ok, warning
from runsync.model.selection import Selection
from runsync.workspaces.azureml.client import HISTORY_PAGE, METRICS_A_REQUEST
from runsync.workspaces.clock import clock_of
from runsync.workspaces.rest.examine import not_carried
from runsync.workspaces.rest.reach import artifacts
from runsync.workspaces.rest.rights import rights
from runsync.workspaces.rest.server import API
from runsync.workspaces.sample import readable
from runsync.workspaces.speed import speed

if TYPE_CHECKING:
    from runsync.workspaces.rest.workspace import RestWorkspace

SEARCH, LEAST = f"{API}/experiments/search", {"max_results": 1}
JSON = {"Content-Type": "application/json"}


def examine(workspace: "RestWorkspace") -> Iterator[Finding]:
    """See `Workspace.examine`."""
    client = workspace.client
    yield warning("server", f"it tells no version. {workspace.notes[0]}", "run verify after each transfer")
    yield speed(lambda: client.post(SEARCH, LEAST))
    yield from clock_of(lambda: client.send("POST", SEARCH, content=b'{"max_results": 1}', headers=JSON))
    experiments = workspace.experiments(Selection())
    active = sum(e.lifecycle_stage == ACTIVE for e in experiments)
    yield from rights(client, ())
    yield ok(
        "rights",
        "reading was let in; Azure ML does not tell what may be written: an import or a change takes a role such as "
        "AzureML Data Scientist on the workspace",
    )
    yield ok("experiments", f"{active:,} active, {len(experiments) - active:,} deleted")
    yield from readable(workspace, experiments)
    yield from artifacts(workspace, experiments)
    yield ok(
        "limits",
        f"{workspace.habits.params_a_run} params a run: what is more is not sent but named. A request takes "
        f"{METRICS_A_REQUEST} points and gives {HISTORY_PAGE}, so long histories take many. Experiments cannot be "
        "renamed, and most filters are held here, which reads all runs",
    )
    yield from not_carried(workspace, experiments)
