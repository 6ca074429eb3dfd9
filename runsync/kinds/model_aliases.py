"""Aliases of registered models: the names by which production loads a version. They are carried last."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields
from runsync.kinds.kind import Blob, Key, Kind
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.registered_models import REGISTERED_MODELS

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange


@dataclass(frozen=True, slots=True)
class ModelAlias:
    """`churn@champion` is version 3, say."""

    model: str
    alias: str
    version: int

    @property
    def key(self) -> Key:
        """An alias names one version."""
        return (self.model, self.alias)

    @property
    def name(self) -> str:
        """As MLflow writes it."""
        return f"{self.model}@{self.alias}"

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """It has no bytes."""
        return ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Only versions name runs."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/model-alias.schema.json`."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ModelAlias":
        """The reverse, of a valid document."""
        return cls(**document)


class ModelAliases(Kind[ModelAlias]):
    """The kind."""

    name = "model-aliases"
    noun = "model alias"
    entity = ModelAlias
    requires = (MODEL_VERSIONS.name,)
    part_of = REGISTERED_MODELS.name

    def meant(self, item: ModelAlias, scope: "Scope") -> ModelAlias | None:
        """Where not all versions are meant: those of the ones that are."""
        is_meant = not scope.is_narrow or f"{item.model}/{item.version}" in scope.named(MODEL_VERSIONS.name)
        return item if is_meant else None

    def renamed(self, item: ModelAlias, names: Mapping[str, str]) -> ModelAlias:
        """It is one of a model."""
        return replace(item, model=names.get(item.model, item.model))

    def reuse(self, stored: ModelAlias, item: ModelAlias) -> ModelAlias | None:
        """A listing tells all."""
        return stored if stored == item else None

    def changes(self, old: ModelAlias, new: ModelAlias) -> Iterator["FieldChange"]:
        """It may name another version."""
        yield from changed_fields(old, new, ("version",))


MODEL_ALIASES = ModelAliases()
