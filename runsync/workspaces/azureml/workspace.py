"""An Azure ML workspace. Where it differs from open-source servers is told by Microsoft's support matrix
(learn.microsoft.com, “Query and compare experiments and runs with MLflow”)."""

from collections.abc import Iterator

from runsync.contract.editor import Editor
from runsync.errors import AccessDenied, RequestRefused
from runsync.limits import UNLIMITED, Limits
from runsync.model.finding import Finding
from runsync.model.place import Place
from runsync.workspaces.azureml.address import AzureAddress
from runsync.workspaces.azureml.artifacts import AzureArtifacts
from runsync.workspaces.azureml.auth import authority
from runsync.workspaces.azureml.client import HISTORY_PAGE, AzureClient
from runsync.workspaces.azureml.search import AzureSearch
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.editor import RestEditor
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.server import API, Server
from runsync.workspaces.rest.workspace import RestWorkspace

KIND = "Azure ML"
EXPERIMENTAL = (
    "Azure ML is experimental here: it was tried against an emulator made of Microsoft's documents, never against a "
    "real workspace: verify what was carried"
)
PARAMS_A_RUN = 200
"""azure-sdk-for-python issue 35685."""
SERVER = Server("", "", False)


class AzureWorkspace(RestWorkspace):
    """See `open_azureml`."""

    def __init__(self, client: AzureClient, artifacts: AzureArtifacts, place: Place) -> None:
        habits = Habits(
            experiment_order=(),
            history_page=HISTORY_PAGE,
            has_bulk_history=False,
            params_a_run=PARAMS_A_RUN,
            is_mlflow=False,
        )
        super().__init__(client, SERVER, artifacts, place, habits, AzureSearch)

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


class AzureEditor(RestEditor):
    """See `contract.editor.Editor`."""

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
