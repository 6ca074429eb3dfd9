"""A Databricks workspace: source, target and editor. What it has in common with open-source servers is theirs."""

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from runsync.contract.editor import Editor
from runsync.contract.entities import EntitySource
from runsync.contract.target import Target
from runsync.contract.workbench import Workbench
from runsync.download import as_listed
from runsync.errors import AccessDenied
from runsync.kinds.kind import E, Kind
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.limits import UNLIMITED, Limits
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.filter.push import Dialect
from runsync.model.finding import Finding
from runsync.model.identity import ORIGIN_EXPERIMENT
from runsync.model.import_options import ImportOptions
from runsync.model.place import Place
from runsync.model.run import ArtifactFile, LoggedModel
from runsync.model.selection import Selection
from runsync.workspaces.databricks import names
from runsync.workspaces.databricks.address import DatabricksAddress
from runsync.workspaces.databricks.artifacts import DatabricksArtifacts
from runsync.workspaces.databricks.auth import authority
from runsync.workspaces.databricks.client import DatabricksClient
from runsync.workspaces.databricks.clusters import DatabricksWorkbench
from runsync.workspaces.databricks.notebooks import NotebookSource
from runsync.workspaces.databricks.permissions import PermissionsSource
from runsync.workspaces.databricks.rates import Rates
from runsync.workspaces.databricks.rights import ME
from runsync.workspaces.http import Identity, Pace, Patience, json_of
from runsync.workspaces.rest.habits import Habits
from runsync.workspaces.rest.server import Server
from runsync.workspaces.rest.workspace import RestWorkspace
from runsync.workspaces.s3_artifacts import S3Artifacts, options_for

KIND = "Databricks"
HISTORY_PAGE = 25_000
"""Points (databricks-sdk)."""
LONGEST_TAG = 16_000
"""Characters, of up to four bytes each: set-tag takes 64 KB (databricks-sdk)."""
CONNECTIONS = 96
"""Kept alive, beside one for each worker: what `databricks.target` has under way."""
EXPERIMENTS_A_SEARCH = 100
"""Too many are refused (mlflow issue 13590); how many that is, is not told."""


class DatabricksWorkspace(RestWorkspace):
    """One workspace, as one user: see `open_databricks`. `home` is the user's folder."""

    client: DatabricksClient

    def __init__(self, client: DatabricksClient, artifacts: DatabricksArtifacts, user: str, place: Place) -> None:
        self.home = f"/Users/{user}"
        self._entities: Mapping[str, EntitySource[Any]] = {
            NOTEBOOKS.name: NotebookSource(client),
            PERMISSIONS.name: PermissionsSource(client),
        }
        self._artifacts = artifacts
        habits = Habits(
            run=client.read_run,
            experiment=client.read_experiment,
            experiments_a_search=EXPERIMENTS_A_SEARCH,
            experiment_order=(),
            history_page=HISTORY_PAGE,
            has_bulk_history=False,
            longest_tag=LONGEST_TAG,
            deleted_keep_names=False,
            is_mlflow=False,
            dialect=Dialect(datasets=False, mlflow_tags=False),
        )
        super().__init__(client, SERVER, artifacts, place, habits)

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """By host and id of the workspace: many profiles may mean the same."""
        return KIND, urlsplit(self.place.address).netloc, self.place.details.get("workspace_id", "")

    def target(self, options: ImportOptions) -> Target:
        """See `databricks.target`."""
        from runsync.workspaces.databricks.target import DatabricksTarget

        return DatabricksTarget(self, options)

    def entities(self, kind: Kind[E]) -> EntitySource[E] | None:
        """Notebooks and permissions."""
        found: EntitySource[E] | None = self._entities.get(kind.name)
        return found

    @property
    def workbench(self) -> Workbench:
        """Its notebooks and clusters."""
        return DatabricksWorkbench(self.client, self.place.details.get("workspace_id", ""))

    def editor(self) -> Editor:
        """See `databricks.editor`."""
        from runsync.workspaces.databricks.editor import DatabricksEditor

        return DatabricksEditor(self.client)

    def examine(self) -> Iterator[Finding]:
        """See `databricks.examine`."""
        from runsync.workspaces.databricks.examine import examine

        return examine(self)

    def experiments(self, selection: Selection) -> list[Experiment]:
        """All experiments the selection means, by their paths with or without `/Workspace`."""
        return names.active_last(super().experiments(names.plain_selection(selection)))

    def read_model_file(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """See `Source`."""
        file.check()
        return as_listed(self._artifacts.read_model(model.model_id, file.path), file.path, file.size)

    def existing(self, restore_deleted: bool) -> list[Experiment]:
        """A path is free again once its experiment is deleted: others' are passed over, unless they are wanted back."""
        every = self.experiments(Selection())
        return [e for e in every if e.lifecycle_stage == ACTIVE or ORIGIN_EXPERIMENT in e.tags or restore_deleted]


SERVER = Server("", "", False)
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
) -> DatabricksWorkspace:
    """The workspace of an address. Raises WorkspaceUnreachable, AccessDenied, WrongUsage."""
    profile, tls = address.profile, address.tls
    patience = patience or Patience.from_environment()
    connections = workers + CONNECTIONS
    own = authority(profile, tls, patience) if identity is None else identity
    pace = pace or _rates(profile.host)
    client = DatabricksClient(profile.host, tls, connections, patience, limits, identity=own, pace=pace)
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
    place = Place(KIND, printable, "", {"user": user, "workspace_id": workspace_id, "auth": own.kind})
    artifacts = DatabricksArtifacts(client, S3Artifacts(options_for(address.s3), connections, limits, patience))
    return DatabricksWorkspace(client, artifacts, user, place)
