"""An Azure ML workspace. Where it differs from open-source servers is told by Microsoft's support matrix
(learn.microsoft.com, “Query and compare experiments and runs with MLflow”)."""

from collections.abc import Iterator, Sequence
from itertools import islice

from runsync.errors import AccessDenied, RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.filter.evaluate import Facts, matches
from runsync.model.filter.parse import parse
from runsync.model.finding import Finding
from runsync.model.limits import UNLIMITED, Limits
from runsync.model.ordering import ordered
from runsync.model.protocol import Editor, Place, Unread, pass_over
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.workspaces.azureml.address import AzureAddress
from runsync.workspaces.azureml.artifacts import AzureArtifacts
from runsync.workspaces.azureml.auth import authority
from runsync.workspaces.azureml.client import HISTORY_PAGE, AzureClient
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.http.fields import Listing
from runsync.workspaces.rest.editor import RestEditor
from runsync.workspaces.rest.order import OLDEST_FIRST, is_by_time, order_by
from runsync.workspaces.rest.server import API, Server
from runsync.workspaces.rest.workspace import PAGE, Habits, RestWorkspace, look

KIND = "Azure ML"
EXPERIMENTAL = (
    "Azure ML is experimental here: it was tried against an emulator made of Microsoft's documents, never against a "
    "real workspace: verify what was carried"
)
PARAMS_A_RUN = 200
"""azure-sdk-for-python issue 35685."""
IDS_A_SEARCH = 100
SERVER = Server("", "", False)


class AzureWorkspace(RestWorkspace):
    """See `open_azureml`. Filters are held here: the server is asked for all runs, in the order of start time."""

    def __init__(self, client: AzureClient, artifacts: AzureArtifacts, place: Place) -> None:
        habits = Habits(
            experiment_order=(),
            history_page=HISTORY_PAGE,
            has_bulk_history=False,
            params_a_run=PARAMS_A_RUN,
            is_mlflow=False,
        )
        super().__init__(client, SERVER, artifacts, place, habits)

    @property
    def notes(self) -> list[str]:
        """That it is experimental, first of all."""
        return [EXPERIMENTAL, *super().notes]

    def examine(self) -> Iterator[Finding]:
        """See `azureml.examine`."""
        from runsync.workspaces.azureml.examine import examine

        return examine(self)

    def editor(self) -> Editor:
        """See `AzureEditor`."""
        return AzureEditor(self.client)

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """See `Source`. Only start time is an order of the server's."""
        order = tuple(order) or NEWEST_FIRST
        if is_by_time(order_by(order) or ()):
            yield from super().in_order(experiments, selection, order, limit, unread)
        else:
            yield from islice(ordered(self._runs_of_all(experiments, selection), order, experiments), limit)

    def search(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str,
        token: str = "",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> tuple[list[Run], str]:
        """See `RestWorkspace`. Fields are named in orders without `attributes.`, as Microsoft's examples have it."""
        plain = [one.removeprefix("attributes.") for one in by]
        return super().search(experiment_ids, filter_string, state, token, plain, most)

    def search_every(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        state: str = "all",
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """See `RestWorkspace`. By page tokens alone: start times take no comparison."""
        expression = parse(filter_string) if filter_string else None
        for run in self._pages(experiment_ids, "", state, by, most):
            if expression is None or matches(expression, run, Facts.of(())):
                yield run

    def runs_of(
        self,
        experiment_ids: Sequence[str],
        selection: Selection,
        by: Sequence[str] = OLDEST_FIRST,
        most: int = PAGE,
    ) -> Iterator[Run]:
        """See `RestWorkspace`. Ids are the one thing that is asked for (the form is in Microsoft's examples)."""
        if not selection.runs:
            yield from self._pages(experiment_ids, "", selection.state, by, most)
        for start in range(0, len(selection.runs), IDS_A_SEARCH):
            ids = selection.runs[start : start + IDS_A_SEARCH]
            listed = ", ".join(f"'{run_id}'" for run_id in ids if "'" not in run_id)
            found = self._pages(experiment_ids, f"attributes.run_id IN ({listed})", selection.state, OLDEST_FIRST, PAGE)
            yield from (run for run in found if run.run_id in ids)

    def _pages(
        self, experiment_ids: Sequence[str], filter_string: str, state: str, by: Sequence[str], most: int
    ) -> Iterator[Run]:
        seen: set[str] = set()
        token, listing = "", Listing("runs")
        while True:
            page, token = self.search(experiment_ids, filter_string, state, token, by, most)
            fresh = [run for run in page if run.run_id not in seen]
            yield from fresh
            seen.update(run.run_id for run in fresh)
            if not token or not page:
                return
            look(listing, token, page, fresh)


class AzureEditor(RestEditor):
    """See `model.protocol.Editor`."""

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """See `Editor`."""
        raise RequestRefused("Azure ML cannot rename experiments: import them under another name, with --rename")


def open_azureml(
    address: AzureAddress, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> AzureWorkspace:
    """The workspace of an address. Raises WorkspaceUnreachable, AccessDenied, WrongUsage."""
    patience = patience or Patience.from_environment()
    connections, tls = workers + 4, address.tls.tls_only()
    identity = authority(address, patience)
    client = AzureClient(address.url, tls, connections, patience, limits, identity=identity)
    history = Client(address.root, tls, connections, patience, limits, identity=identity)
    try:
        client.post(f"{API}/experiments/search", {"max_results": 1})
    except AccessDenied as error:
        if not error.status:
            raise
        raise AccessDenied(
            f"{address.printable} refused access (HTTP {error.status}, by {identity.kind}): it needs a role such as "
            "AzureML Data Scientist on the workspace, and its token must be of the tenant that the workspace is in",
            error.status,
            error.code,
        ) from None
    return AzureWorkspace(client, AzureArtifacts(history, address.scope), Place(KIND, address.printable))
