"""Registered models: the names in a model registry. Their versions and aliases are kinds of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import changed_fields, lacking_entries
from runsync.kinds.kind import Blob, Key, Kind
from runsync.model.identity import own_tags_removed

if TYPE_CHECKING:
    from runsync.kinds.scope import Scope
    from runsync.model.comparison import FieldChange

IS_PROMPT = "mlflow.prompt.is_prompt"
"""The tag of a registered model that is a prompt: no model."""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """Times are epoch milliseconds. `last_version` is the greatest number that it ever gave out, deleted versions too:
    the next one gets the number behind it. 0 where the source does not tell."""

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: int | None = None
    updated_at: int | None = None
    last_version: int = 0

    @property
    def key(self) -> Key:
        """Names are unique within a workspace."""
        return (self.name,)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """It has no bytes."""
        return ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Only its versions name runs."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """The JSON document of `schemas/v1/registered-model.schema.json`."""
        return {name: getattr(self, name) for name in self.__slots__} | {"tags": dict(self.tags)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "RegisteredModel":
        """The reverse, of a valid document."""
        return cls(**document)


class RegisteredModels(Kind[RegisteredModel]):
    """The kind."""

    name = "registered-models"
    noun = "registered model"
    entity = RegisteredModel

    def meant(self, item: RegisteredModel, scope: "Scope") -> RegisteredModel | None:
        """Where only some experiments or runs are meant: those with versions of these runs."""
        return item if not scope.is_narrow or item.name in scope.named(self.name) else None

    def renamed(self, item: RegisteredModel, names: Mapping[str, str]) -> RegisteredModel:
        """It is one of them."""
        return replace(item, name=names.get(item.name, item.name))

    def reuse(self, stored: RegisteredModel, item: RegisteredModel) -> RegisteredModel | None:
        """A listing tells all."""
        return stored if stored == item else None

    def changes(self, old: RegisteredModel, new: RegisteredModel) -> Iterator["FieldChange"]:
        """All but runsync's own tags."""
        yield from changed_fields(old, new, ("description", "created_at", "updated_at"))
        if old.last_version and new.last_version:
            yield from changed_fields(old, new, ("last_version",))
        yield from lacking_entries("tags", own_tags_removed(old.tags), new.tags)
        yield from lacking_entries("tags", dict.fromkeys(new.tags.keys() - old.tags.keys(), "missing"), {})

    def lacks(self, wanted: RegisteredModel, there: RegisteredModel) -> Iterator["FieldChange"]:
        """A workspace sets its own times, and may have more tags and more versions."""
        yield from changed_fields(wanted, there, ("description",))
        if there.last_version and there.last_version < wanted.last_version:
            yield from changed_fields(wanted, there, ("last_version",))
        yield from lacking_entries("tags", own_tags_removed(wanted.tags), there.tags)


REGISTERED_MODELS = RegisteredModels()
