"""Registered models of a server, and their aliases, which its list of models tells with them, as sources."""

from collections.abc import Iterator, Sequence
from typing import Any

from runsync.contract.entities import WithoutFiles
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.registered_models import IS_PROMPT, REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.listing import Listing
from runsync.workspaces.rest.server import API

PAGE = 1000
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


def list_models(client: Client, listing: Listing[Any]) -> Iterator[Told]:
    """All registered models but prompts."""

    def send(care: Care, most: Json) -> dict[str, Any]:
        return client.get(f"{API}/registered-models/search", care=care, **most)

    for model, aliases in listing.each("registered_models", send, registered_model):
        if model.tags.get(IS_PROMPT, "").lower() != "true":
            yield model, aliases


def _name(document: Json) -> str:
    return str(document.get("name"))


class RegisteredModelSource(WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listing = Listing(client, REGISTERED_MODELS, PAGE, _name)

    def list(self, scope: Scope) -> Iterator[RegisteredModel]:
        """See `EntitySource`."""
        told = (model for model, _ in list_models(self._client, self._listing))
        return (model for model in told if REGISTERED_MODELS.meant(model, scope) is not None)

    def complete(self, item: RegisteredModel) -> RegisteredModel:
        """A listing tells all."""
        return item

    def read(self, item: RegisteredModel) -> tuple[RegisteredModel, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell."""
        return self._listing.left()


class ModelAliasSource(WithoutFiles):
    """See `EntitySource`."""

    is_exact = False

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listing = Listing(client, MODEL_ALIASES, PAGE, _name)

    def list(self, scope: Scope) -> Iterator[ModelAlias]:
        """See `EntitySource`."""
        told = (alias for _, aliases in list_models(self._client, self._listing) for alias in aliases)
        return (alias for alias in told if MODEL_ALIASES.meant(alias, scope) is not None)

    def complete(self, item: ModelAlias) -> ModelAlias:
        """A listing tells all."""
        return item

    def read(self, item: ModelAlias) -> tuple[ModelAlias, Iterator[bytes]]:
        """It has no bytes."""
        return item, iter(())

    def left_behind(self, scope: Scope) -> Sequence[NotCarried]:
        """What the server does not tell of models is told with those."""
        return ()
