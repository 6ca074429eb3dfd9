"""What one workspace and one import have of models in Unity Catalog, kind by kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from runsync.contract.entities import EntitySource, EntityTarget
from runsync.contract.source import Source
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.import_options import ImportOptions
from runsync.workspaces.arrival.copy import address_of
from runsync.workspaces.arrival.model_deletions import Holdings
from runsync.workspaces.arrival.model_marks import Marks
from runsync.workspaces.databricks.unity.folders import Folders
from runsync.workspaces.databricks.unity.model_holdings import CatalogHoldings
from runsync.workspaces.databricks.unity.model_target import CatalogModelTarget
from runsync.workspaces.databricks.unity.registry import HABITS, Catalog
from runsync.workspaces.databricks.unity.sources import CatalogModels, CatalogVersions
from runsync.workspaces.databricks.unity.tags import LONGEST_VALUE
from runsync.workspaces.databricks.unity.version_filling import Ids
from runsync.workspaces.databricks.unity.version_target import CatalogVersionTarget
from runsync.workspaces.http import Client
from runsync.workspaces.rest.registered_model_target import ModelAliasTarget, RegisteredModelTarget
from runsync.workspaces.rest.registered_models import ModelAliasSource


@dataclass(frozen=True, slots=True)
class CatalogOfModels:
    """Of one workspace."""

    client: Client
    folders: Folders
    models: CatalogModels
    versions: CatalogVersions

    @classmethod
    def of(cls, client: Client, folders: Folders) -> Self:
        """What a workspace shows us."""
        catalog = Catalog(client)
        return cls(client, folders, CatalogModels(catalog), CatalogVersions(catalog, folders))

    @property
    def sources(self) -> Mapping[str, EntitySource[Any]]:
        """By the name of the kind."""
        return {
            REGISTERED_MODELS.name: self.models,
            MODEL_VERSIONS.name: self.versions,
            MODEL_ALIASES.name: ModelAliasSource(self.models),
        }

    def targets(
        self, source: Callable[[], Source], ids: Ids, options: ImportOptions
    ) -> Mapping[str, EntityTarget[Any]]:
        """Those of one import, likewise."""
        address, follows = (lambda: address_of(source().place)), not options.deletions.replays
        marks = Marks(address, is_tagged=True, follows=follows, longest=LONGEST_VALUE)
        models = RegisteredModelTarget(self.client, self.models, HABITS, marks)
        versions = CatalogVersionTarget(self.client, self.versions, self.folders, models, source, ids, options, marks)
        return {
            REGISTERED_MODELS.name: CatalogModelTarget(models),
            MODEL_VERSIONS.name: versions,
            MODEL_ALIASES.name: ModelAliasTarget(self.client, self.models, versions.why_not_whole, HABITS, marks),
        }

    def holdings(self, own: Holdings, follows: bool, is_catalog_meant: bool) -> Holdings:
        """With what the workspace itself has; see `CatalogHoldings`."""
        return CatalogHoldings(self.client, self.models, self.versions, own, follows, is_catalog_meant)
