"""The kinds of models in Unity Catalog as sources."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync.contract.entities import OneByOne, WithoutFiles
from runsync.kinds.model_versions import MODEL_VERSIONS, ModelVersion
from runsync.kinds.registered_models import REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile
from runsync.workspaces.databricks.unity.folders import Folders
from runsync.workspaces.databricks.unity.registry import Catalog
from runsync.workspaces.rest.registered_models import Told


class CatalogModels(OneByOne, WithoutFiles):
    """Registered models; see `EntitySource`."""

    is_exact = False
    are_none = False

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def all(self) -> Iterator[Told]:
        """With their aliases."""
        return self._catalog.models(self._catalog.names())

    def get(self, name: str) -> RegisteredModel:
        """One of them. Raises RequestRefused."""
        return self._catalog.model(name)[0]

    def list(self, scope: Scope) -> Iterator[RegisteredModel]:
        """See `EntitySource`. Where only some are meant, only those are asked for."""
        names = self._catalog.names()
        some = [name for name in names if name in scope.named(REGISTERED_MODELS.name)] if scope.is_narrow else names
        return (model for model, _ in self._catalog.models(some))

    def complete(self, item: RegisteredModel) -> RegisteredModel:
        """All is told by then."""
        return item

    def read(self, item: RegisteredModel) -> tuple[RegisteredModel, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What is not told."""
        return self._catalog.left(REGISTERED_MODELS)


class CatalogVersions(OneByOne):
    """Versions, whose files are their own; see `EntitySource`."""

    is_exact = False

    def __init__(self, catalog: Catalog, folders: Folders) -> None:
        self._catalog = catalog
        self._folders = folders

    def all(self) -> Iterator[ModelVersion]:
        """Of all models."""
        return self._catalog.versions(self._catalog.names())

    def of_model(self, name: str) -> Iterator[ModelVersion]:
        """Of one."""
        return self._catalog.versions([name])

    def list(self, scope: Scope) -> Iterator[ModelVersion]:
        """See `EntitySource`."""
        return (found for found in self.all() if MODEL_VERSIONS.meant(found, scope) is not None)

    def complete(self, item: ModelVersion) -> ModelVersion:
        """With its files. Raises RequestRefused."""
        return replace(item, artifacts=self._folders.of(item.model, item.version, "read").list())

    def read(self, item: ModelVersion) -> tuple[ModelVersion, Iterator[bytes]]:
        """It has files."""
        return item, iter(())

    def read_file(self, item: ModelVersion, file: ArtifactFile) -> Iterator[bytes]:
        """See `EntitySource`."""
        file.check()
        return self._folders.of(item.model, item.version, "read").read(file)

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What is not told."""
        return self._catalog.left(MODEL_VERSIONS)
