"""Registered models of a server, or its prompts, and their aliases, which its list tells with them."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from runsync.contract.entities import OneByOne, WithoutFiles
from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.kinds.registries import OF_MODELS, Sort
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.listing import Listing
from runsync.workspaces.rest.server import API

PAGE = 1000
OF_TAG = {"filter": f"tags.`{IS_PROMPT}` = 'true'"}
"""What lists prompts, and versions of prompts: only a search for the tag finds them."""
Told = tuple[RegisteredModel, tuple[ModelAlias, ...]]


@wire.strict
def registered_model(document: Json) -> Told:
    """A model of registered-models/search or get, with its aliases. Raises OddAnswer."""
    name = identifier(document, "name")
    model = RegisteredModel(
        name=name,
        description=text(document, "description", ""),
        tags=wire.pairs(document, "tags"),
        created_at=wire.moment(document, "creation_timestamp"),
        updated_at=wire.moment(document, "last_updated_timestamp"),
    )
    aliases = (ModelAlias(name, text(a, "alias"), number(a, "version")) for a in listed(document, "aliases"))
    return model, tuple(aliases)


def _name(document: Json) -> str:
    return str(document.get("name"))


class RegisteredModelSource(OneByOne, WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, client: Client, sort: Sort = OF_MODELS) -> None:
        self.are_none = False
        """Whether there was none when they were listed last."""
        self._client = client
        self._sort = sort
        self._listing = Listing(client, sort.models, PAGE, _name, is_by_tag=sort.are_prompts)

    def list(self, scope: Scope) -> Iterator[RegisteredModel]:
        """See `EntitySource`."""
        return (model for model, _ in self.all() if self._sort.models.meant(model, scope) is not None)

    def all(self) -> Iterator[Told]:
        """All of this sort, with their aliases."""

        def send(care: Care, most: Json) -> dict[str, Any]:
            asked = OF_TAG if self._sort.are_prompts else {}
            return self._client.get(f"{API}/registered-models/search", care=care, **asked, **most)

        are_none = True
        for model, aliases in self._listing.each("registered_models", send, registered_model):
            if self._sort.has(model.tags):
                are_none = False
                yield model, aliases
        self.are_none = are_none

    def get(self, name: str) -> RegisteredModel | None:
        """One of them; None where the name is one of the other sort. Raises RequestRefused."""
        answer = self._client.get(f"{API}/registered-models/get", name=name)
        model, _ = registered_model(part(answer, "registered_model"))
        return model if self._sort.has(model.tags) else None

    def complete(self, item: RegisteredModel) -> RegisteredModel:
        """A listing tells all."""
        return item

    def read(self, item: RegisteredModel) -> tuple[RegisteredModel, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    @property
    def lacks_kind(self) -> bool:
        """See `MayLackTheKind`."""
        return self._listing.lacks_kind

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return self._listing.left()


class ToldModels(Protocol):
    """Registered models as a registry lists them."""

    are_none: bool

    def all(self) -> Iterator[Told]:
        """With their aliases."""


class ModelAliasSource(OneByOne, WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, models: ToldModels, sort: Sort = OF_MODELS) -> None:
        self._models = models
        self._kind = sort.aliases

    def list(self, scope: Scope) -> Iterator[ModelAlias]:
        """See `EntitySource`."""
        models = () if self._models.are_none else self._models.all()
        told = (alias for _, aliases in models for alias in aliases)
        return (alias for alias in told if self._kind.meant(alias, scope) is not None)

    def complete(self, item: ModelAlias) -> ModelAlias:
        """A listing tells all."""
        return item

    def read(self, item: ModelAlias) -> tuple[ModelAlias, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell of models is told with those."""
        return ()
