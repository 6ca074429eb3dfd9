"""What a Databricks workspace has beside what MLflow's own servers have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runsync.contract.entities import EntitySource
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.workspaces.clouds.storage import Storage
from runsync.workspaces.databricks.client import DatabricksClient
from runsync.workspaces.databricks.notebooks import NotebookSource
from runsync.workspaces.databricks.permissions import PermissionsSource
from runsync.workspaces.databricks.registered_files import RegisteredVersions
from runsync.workspaces.databricks.registries import BothSources
from runsync.workspaces.databricks.unity.models import CatalogOfModels
from runsync.workspaces.rest.model_sources import Models


@dataclass(frozen=True, slots=True)
class Own:
    """Of one workspace, as one user sees it. `home` is the user's folder, `storage` where files of models lie that the
    workspace keeps. `is_catalog_meant`: of its registries only Unity Catalog is."""

    client: DatabricksClient
    catalog: CatalogOfModels
    storage: Storage
    home: str
    is_catalog_meant: bool

    def kinds(self, models: Models) -> Mapping[str, EntitySource[Any]]:
        """The sources of all kinds, given those of models that are as on MLflow's own servers."""
        versions = RegisteredVersions(self.client, models.registered.versions, self.storage)
        every: Mapping[str, EntitySource[Any]] = {**models.sources, MODEL_VERSIONS.name: versions}
        registered = {} if self.is_catalog_meant else every
        both = {name: BothSources(registered.get(name), source) for name, source in self.catalog.sources.items()}
        own: Mapping[str, EntitySource[Any]] = {
            NOTEBOOKS.name: NotebookSource(self.client),
            PERMISSIONS.name: PermissionsSource(self.client),
        }
        return {**models.sources, **own, **both}
