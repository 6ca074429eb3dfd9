"""An Azure ML workspace. Where it differs from open-source servers is told by Microsoft's support matrix
(learn.microsoft.com, “Query and compare experiments and runs with MLflow”)."""

from collections.abc import Iterator
from dataclasses import replace

from runsync.contract.editor import Editor
from runsync.errors import AccessDenied, RequestRefused
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.limits import UNLIMITED, Limits
from runsync.model.finding import Finding
from runsync.model.place import Place
from runsync.workspaces.azureml.address import AzureAddress
from runsync.workspaces.azureml.artifacts import AzureArtifacts
from runsync.workspaces.azureml.auth import authority
from runsync.workspaces.azureml.client import HISTORY_PAGE, AzureClient
from runsync.workspaces.azureml.search import AzureSearch
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.habits import EditorHabits, Habits
from runsync.workspaces.rest.opening import ROLES
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.server import API, Server
from runsync.workspaces.rest.workspace import RestWorkspace

KIND = "Azure ML"
EXPERIMENTAL = (
    "Azure ML is experimental here: it was tried against an emulator made of Microsoft's documents, never against a "
    "real workspace: verify what was carried"
)
PARAMS_A_RUN = 200
"""azure-sdk-for-python issue 35685."""
MODELS = frozenset({REGISTERED_MODELS.name, MODEL_VERSIONS.name})
"""Those of its registry, which has stages and no aliases (learn.microsoft.com, “Manage models registry in Azure Machine
Learning with MLflow”)."""
UNDELETABLE = frozenset({REGISTERED_MODELS.name})
"""It deletes versions of models and no model (the same document)."""
SERVER = Server("", "", False)
HABITS = Habits(
    experiment_order=(),
    history_page=HISTORY_PAGE,
    has_bulk_history=False,
    params_a_run=PARAMS_A_RUN,
    models=MODELS,
    undeletable=UNDELETABLE,
    is_mlflow=False,
)


def _examine(workspace: RestWorkspace) -> Iterator[Finding]:
    """See `azureml.examine`."""
    from runsync.workspaces.azureml.examine import examine

    return examine(workspace)


def _editor(workspace: RestWorkspace) -> Editor:
    """See `rest.editor`."""
    from runsync.workspaces.rest.editor import RestEditor

    return RestEditor(workspace.client, EditorHabits(experiment_name=_not_renamed))


def _not_renamed(name: str) -> str:
    raise RequestRefused("Azure ML cannot rename experiments: import them under another name, with --rename")


def open_azureml(
    address: AzureAddress, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
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
    artifacts, place = AzureArtifacts(history, address.scope), Place(KIND, address.printable)
    reached = Reached(client, SERVER, artifacts, place, notes=(EXPERIMENTAL,))
    roles = replace(ROLES, examine=_examine, editor=_editor)
    return RestWorkspace(reached, roles, AzureSearch(client, HABITS, SERVER.dialect), HABITS)
