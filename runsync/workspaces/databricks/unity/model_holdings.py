"""What Unity Catalog has of models beside the workspace's own registry, and how they are deleted there."""

from dataclasses import dataclass
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.kind import Kind
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registries import OF_MODELS
from runsync.workspaces.arrival.model_deletions import Held, Holdings
from runsync.workspaces.databricks.registries import model_of
from runsync.workspaces.databricks.unity.names import REGISTRY, is_in_catalog
from runsync.workspaces.databricks.unity.sources import CatalogModels, CatalogVersions
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import send
from runsync.workspaces.rest.version_numbers import GAP


@dataclass(frozen=True, slots=True)
class CatalogHoldings:
    """See `Holdings`; `own` are those of the workspace. Each model and each version of the catalog takes a request, so
    it is looked at only where deletions are followed (`follows`). `is_catalog_meant`: of the registries only it is."""

    client: Client
    models: CatalogModels
    versions: CatalogVersions
    own: Holdings
    follows: bool
    is_catalog_meant: bool
    undeletable: frozenset[str] = frozenset()

    def held(self) -> Held:
        """See `Holdings`."""
        found = self.own.held()
        if self.is_catalog_meant:
            found = Held(logged=found.logged)
        if self.follows:
            names = found.names[OF_MODELS]
            for model, aliases in self.models.all():
                names.models[model.name] = model
                names.aliases += aliases
            names.versions += (version for version in self.versions.all() if GAP not in version.tags)
        return found

    def delete(self, kind: Kind[Any], item: Any) -> None:
        """See `Holdings`."""
        if kind is LOGGED_MODELS or not is_in_catalog(model_of(item)):
            self.own.delete(kind, item)
            return
        try:
            if kind is MODEL_ALIASES:
                self._delete("registered-models/alias", name=item.model, alias=item.alias)
            elif kind is MODEL_VERSIONS:
                self._delete("model-versions/delete", name=item.model, version=str(item.version))
            else:
                self._delete("registered-models/delete", name=item.name)
        except RequestRefused as error:
            if error.code != ABSENT:  # by a request whose answer was lost
                raise

    def _delete(self, path: str, **named: str) -> None:
        send(self.client, "DELETE", f"{REGISTRY}{path}", named)
