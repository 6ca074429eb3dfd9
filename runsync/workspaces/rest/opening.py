"""Opens MLflow tracking servers."""

import dataclasses
from collections.abc import Iterator

from runsync.contract.editor import Editor
from runsync.contract.model_registry import ModelRegistry
from runsync.contract.target import Target
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.limits import UNLIMITED, Limits
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.place import Place
from runsync.workspaces.address import Address
from runsync.workspaces.http import Client, Patience
from runsync.workspaces.rest.artifacts import ArtifactStore
from runsync.workspaces.rest.habits import USUAL, EditorHabits
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.roles import Roles
from runsync.workspaces.rest.search import RunSearch
from runsync.workspaces.rest.server import meet
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for


def target(workspace: RestWorkspace, options: ImportOptions) -> Target:
    """See `rest.target`."""
    from runsync.workspaces.rest.target import RestTarget

    return RestTarget(workspace, options)


def editor(workspace: RestWorkspace) -> Editor:
    """See `rest.editor`."""
    from runsync.workspaces.rest.editor import RestEditor

    return RestEditor(workspace.client, EditorHabits())


def registry(workspace: RestWorkspace) -> ModelRegistry | None:
    """See `rest.model_registry`."""
    from runsync.workspaces.rest.model_registry import RestModelRegistry

    if MODEL_ALIASES.name not in workspace.models.sources:
        return None
    return RestModelRegistry(workspace.client, workspace.models.store, workspace.models.logged)


def examine(workspace: RestWorkspace) -> Iterator[Finding]:
    """See `rest.examine`."""
    from runsync.workspaces.rest.examine import examine

    return examine(workspace)


ROLES = Roles(target, editor, registry, examine)


def open_server(
    address: Address, workers: int, patience: Patience | None = None, limits: Limits = UNLIMITED
) -> RestWorkspace:
    """The open-source server at an address. Raises WorkspaceUnreachable, AccessDenied, WorkspaceError."""
    connections = workers + 4
    client = Client(address.url, address.credentials, connections, patience, limits)
    server = meet(client, address)
    artifacts = ArtifactStore(client, server, S3Artifacts(options_for(address), connections, limits, patience))
    if server.workspace and not address.workspace:
        address = dataclasses.replace(address, workspace=server.workspace)
    place = Place("MLflow server", address.printable, server.version)
    search = RunSearch(client, USUAL, server.dialect)
    return RestWorkspace(Reached(client, server, artifacts, place, by_address=artifacts), ROLES, search, USUAL)
