"""Unity Catalog for promotions: see `contract.model_registry`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runsync.contract.model_registry import Registered
from runsync.errors import ABSENT, RequestRefused, WrongUsage
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.model.finding import Finding, failure, ok
from runsync.model.run import ArtifactFile
from runsync.model.wording import many
from runsync.workspaces.databricks.unity import tags
from runsync.workspaces.databricks.unity.folders import Folder, Folders
from runsync.workspaces.databricks.unity.names import REGISTRY, is_in_catalog
from runsync.workspaces.databricks.unity.registry import Catalog
from runsync.workspaces.databricks.unity.rights import rights_on_model, rights_to_make
from runsync.workspaces.http import Client
from runsync.workspaces.rest.collisions import post


class CatalogRegistry:
    """See `ModelRegistry`. It has no way to set an alias only if it is unchanged."""

    swaps = False

    def __init__(self, client: Client, folders: Folders) -> None:
        self._client = client
        self._folders = folders

    def examine(self) -> Iterator[Finding]:
        """See `ModelRegistry`. Whose the models are stands among the rights."""
        catalog = Catalog(self._client)
        names = catalog.names()
        for left in catalog.left(REGISTERED_MODELS):
            remedy = "have USE CATALOG and USE SCHEMA granted on where models are to go"
            yield failure("registry", f"models in Unity Catalog cannot be read: {left.why}", remedy)
            return
        yield ok("registry", f"Unity Catalog, {many(len(names), 'model')} to be seen; names are CATALOG.SCHEMA.NAME")
        yield ok("aliases", "an alias is looked at just before it moves, and again after that")

    def examine_model(self, name: str) -> Iterator[Finding]:
        """See `ModelRegistry`."""
        return rights_on_model(self._client, name)

    def examine_new(self, name: str) -> Iterator[Finding]:
        """See `ModelRegistry`."""
        return rights_to_make(self._client, name)

    def read(self, name: str) -> Registered | None:
        """See `ModelRegistry`. Raises WrongUsage for a name of the workspace's own registry, which has no aliases."""
        if not is_in_catalog(name):
            raise WrongUsage(
                f"“{name}” would go to the workspace's own registry, which has no aliases: promote it into Unity "
                "Catalog, with --to-model CATALOG.SCHEMA.NAME"
            )
        catalog = Catalog(self._client)
        try:
            model, aliases = catalog.model(name)
        except RequestRefused as error:
            if error.code == ABSENT:
                return None
            raise
        versions = sorted(catalog.versions([name]), key=lambda version: version.version)
        return Registered(model, tuple(versions), {alias.alias: alias.version for alias in aliases})

    def files(self, version: ModelVersion) -> "_Served":
        """Those of its folder."""
        return _Served(self._folders.of(version.model, version.version, "read"))

    def tag_version(self, version: ModelVersion, given: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        for key, value in given.items():
            body = {"name": version.model, "version": str(version.version), "key": tags.key(key), "value": value}
            post(self._client, f"{REGISTRY}model-versions/set-tag", body)

    def tag_model(self, name: str, given: Mapping[str, str]) -> None:
        """See `ModelRegistry`."""
        for key, value in given.items():
            body = {"name": name, "key": tags.key(key), "value": value}
            post(self._client, f"{REGISTRY}registered-models/set-tag", body)

    def move_alias(self, alias: ModelAlias, holder: int | None) -> bool:
        """Looks just before, as there is no way to do both at once."""
        _, aliases = Catalog(self._client).model(alias.model)
        if next((one.version for one in aliases if one.alias == alias.alias), None) != holder:
            return False
        body = {"name": alias.model, "alias": alias.alias, "version": str(alias.version)}
        post(self._client, f"{REGISTRY}registered-models/alias", body)
        return True


@dataclass(frozen=True, slots=True)
class _Served:
    """See `Files`."""

    folder: Folder

    def list(self) -> tuple[ArtifactFile, ...]:
        """All of them."""
        return self.folder.list()

    def read(self, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one."""
        file.check()
        return self.folder.read(file)
