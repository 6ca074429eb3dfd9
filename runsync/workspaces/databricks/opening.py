"""Opens Databricks workspaces. What they have in common with open-source servers is theirs."""

from collections.abc import Iterator
from threading import Lock
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from runsync.contract.editor import Editor
from runsync.contract.model_registry import ModelRegistry
from runsync.contract.target import Target
from runsync.errors import AccessDenied
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.scope import Scope
from runsync.limits import UNLIMITED, Limits
from runsync.model.filter.push import Dialect
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.named import plain_path
from runsync.model.place import Place
from runsync.s3 import S3Options
from runsync.workspaces.databricks.address import DatabricksAddress
from runsync.workspaces.databricks.artifacts import DatabricksArtifacts
from runsync.workspaces.databricks.auth import authority
from runsync.workspaces.databricks.client import DatabricksClient
from runsync.workspaces.databricks.clusters import DatabricksWorkbench
from runsync.workspaces.databricks.own import Own
from runsync.workspaces.databricks.rates import Rates
from runsync.workspaces.databricks.rights import ME
from runsync.workspaces.databricks.unity.folders import Folders
from runsync.workspaces.databricks.unity.models import CatalogOfModels
from runsync.workspaces.http import Identity, Pace, Patience, json_of
from runsync.workspaces.rest.habits import MODELS, Habits
from runsync.workspaces.rest.reached import Reached
from runsync.workspaces.rest.registry import ModelVersions
from runsync.workspaces.rest.roles import Roles
from runsync.workspaces.rest.search import RunSearch
from runsync.workspaces.rest.server import Server
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for

KIND = "Databricks"
HISTORY_PAGE = 25_000
"""Points (databricks-sdk)."""
MODELS_PAGE = 50
"""Logged models (databricks-sdk)."""
LONGEST_TAG = 16_000
"""Characters, of up to four bytes each: set-tag takes 64 KB (databricks-sdk)."""
CONNECTIONS = 96
"""Kept alive, beside one for each worker: what `databricks.target` has under way."""
EXPERIMENTS_A_SEARCH = 100
"""Too many are refused (mlflow issue 13590); how many that is, is not told."""


ALL = Scope(everything=True)
SERVER = Server("", "", False)


def _habits(client: DatabricksClient) -> Habits:
    return Habits(
        run=client.read_run,
        experiment=client.read_experiment,
        experiment_name=plain_path,
        experiments_a_search=EXPERIMENTS_A_SEARCH,
        experiment_order=(),
        history_page=HISTORY_PAGE,
        has_bulk_history=False,
        longest_tag=LONGEST_TAG,
        models_page=MODELS_PAGE,
        versions_by_model=True,
        models=MODELS - {MODEL_ALIASES.name},
        deleted_keep_names=False,
        is_mlflow=False,
    )


def _roles(own: Own, workspace_id: str) -> Roles:
    def target(workspace: RestWorkspace, options: ImportOptions) -> Target:
        from runsync.workspaces.databricks.target import DatabricksTarget

        return DatabricksTarget(workspace, own, options)

    def editor(workspace: RestWorkspace) -> Editor:
        from runsync.workspaces.databricks.editor import editor_of

        return editor_of(own.client)

    def registry(workspace: RestWorkspace) -> ModelRegistry:
        from runsync.workspaces.databricks.unity.model_registry import CatalogRegistry

        return CatalogRegistry(own.client, own.catalog.folders)  # the workspace's own has no aliases

    def examine(workspace: RestWorkspace) -> Iterator[Finding]:
        from runsync.workspaces.databricks.examine import examine

        return examine(workspace, own.home)

    return Roles(target, editor, registry, examine, DatabricksWorkbench(own.client, workspace_id))


def _runs_of_versions(workspace: RestWorkspace) -> Iterator[str]:
    source = workspace.entities(MODEL_VERSIONS)
    return (version.run_id for version in source.list(ALL)) if source is not None else iter(())


def _workspace(reached: Reached, own: Own, workspace_id: str) -> RestWorkspace:
    habits = _habits(own.client)
    search = RunSearch(own.client, habits, Dialect(datasets=False, mlflow_tags=False))
    workspace = RestWorkspace(reached, _roles(own, workspace_id), search, habits, own.kinds)
    search.versions = ModelVersions(lambda: _runs_of_versions(workspace))
    return workspace


_shared: WeakValueDictionary[str, Rates] = WeakValueDictionary()
_sharing = Lock()


def _rates(host: str) -> Rates:
    """One for all that this process has open there: the workspace counts the requests of source and target together."""
    with _sharing:
        return _shared.setdefault(host, Rates())


def open_databricks(
    address: DatabricksAddress,
    workers: int,
    patience: Patience | None = None,
    limits: Limits = UNLIMITED,
    *,
    identity: Identity | None = None,
    pace: Pace | None = None,
) -> RestWorkspace:
    """The workspace of an address. Raises WorkspaceUnreachable, AccessDenied, WrongUsage."""
    profile, tls = address.profile, address.tls
    patience = patience or Patience.from_environment()
    connections = workers + CONNECTIONS
    login = authority(profile, tls, patience) if identity is None else identity
    pace = pace or _rates(profile.host)
    client = DatabricksClient(profile.host, tls, connections, patience, limits, identity=login, pace=pace)
    if profile.workspace_id:
        client.set_header("X-Databricks-Workspace-Id", profile.workspace_id)
    try:
        answer = client.send("GET", ME)
    except AccessDenied as error:
        if not error.status:
            raise
        raise AccessDenied(
            f"{profile.host} refused access (HTTP {error.status}): check {profile.origin}", error.status, error.code
        ) from None
    user = str(json_of(answer).get("userName", ""))
    workspace_id = answer.headers.get("X-Databricks-Org-Id", profile.workspace_id)
    printable = profile.host + (f"?o={profile.workspace_id}" if profile.workspace_id else "")
    place = Place(KIND, printable, "", {"user": user, "workspace_id": workspace_id, "auth": login.kind})
    artifacts = DatabricksArtifacts(client, S3Artifacts(options_for(address.s3), connections, limits, patience))
    # Not at MLFLOW_S3_ENDPOINT_URL, which means where the runs of another workspace lie.
    folders = Folders(client, S3Options(address.s3.s3_endpoint), connections, limits, patience)
    catalog = CatalogOfModels.of(client, folders)
    own = Own(client, catalog, artifacts.storage, f"/Users/{user}", address.is_catalog_meant)
    whereabouts = KIND, urlsplit(printable).netloc, workspace_id  # many profiles may mean the same
    return _workspace(Reached(client, SERVER, artifacts, place, whereabouts, (folders,)), own, workspace_id)
