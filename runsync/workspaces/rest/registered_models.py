"""Registered models of a server and their aliases, which its list of models tells with them."""

from collections.abc import Iterator, Sequence
from typing import Any

from runsync.contract.entities import WithoutFiles
from runsync.kinds.model_aliases import MODEL_ALIASES, ModelAlias
from runsync.kinds.registered_models import IS_PROMPT, REGISTERED_MODELS, RegisteredModel
from runsync.kinds.scope import Scope
from runsync.model.not_carried import NotCarried
from runsync.workspaces.http import Care, Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, part, text
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


def _is_prompt(model: RegisteredModel) -> bool:
    return model.tags.get(IS_PROMPT, "").lower() == "true"


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
        return (model for model, _ in self.all() if REGISTERED_MODELS.meant(model, scope) is not None)

    def all(self) -> Iterator[Told]:
        """All but prompts, with their aliases."""

        def send(care: Care, most: Json) -> dict[str, Any]:
            return self._client.get(f"{API}/registered-models/search", care=care, **most)

        for model, aliases in self._listing.each("registered_models", send, registered_model):
            if not _is_prompt(model):
                yield model, aliases

    def get(self, name: str) -> RegisteredModel | None:
        """One of them; None where the name is that of a prompt. Raises RequestRefused."""
        answer = self._client.get(f"{API}/registered-models/get", name=name)
        model, _ = registered_model(part(answer, "registered_model"))
        return None if _is_prompt(model) else model

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

    def __init__(self, models: RegisteredModelSource) -> None:
        self._models = models

    def list(self, scope: Scope) -> Iterator[ModelAlias]:
        """See `EntitySource`."""
        told = (alias for _, aliases in self._models.all() for alias in aliases)
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
