"""Model definitions of a server's AI gateway.

A server makes none without a secret. One for which it has none gets one that holds nothing and is deleted at once:
MLflow keeps the definition, without any, and does not call it (3.17, `delete_gateway_secret`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.gateway_models import GATEWAY_MODELS, GatewayModel
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.gateway import ServerGateway, authors, by

_EMPTY = "runsync-empty-"
"""How a secret is called that is deleted at once; the name of the definition follows."""
_VALUE = {"api_key": "none"}
_LONGEST = 255
_TAKEN = "RESOURCE_ALREADY_EXISTS"


@wire.strict
def model(document: Json) -> GatewayModel:
    """One of gateway/model-definitions. Raises OddAnswer."""
    told = (identifier(document, "model_definition_id"), text(document, "name"))
    named = (text(document, "provider", ""), text(document, "model_name", ""), text(document, "secret_name", ""))
    return GatewayModel(*told, *named, **authors(document))


class ServerGatewayModels(ServerGateway[GatewayModel]):
    """See `DocumentStore`."""

    family = "model-definitions"
    listed_as = "model_definitions"

    def __init__(self, client: Client) -> None:
        super().__init__(GATEWAY_MODELS, client)

    def made(self, document: Json) -> GatewayModel:
        """See `ServerGateway`."""
        return model(document)

    def fitted(self, wanted: Sequence[GatewayModel]) -> Sequence[Fitted[GatewayModel]]:
        """See `DocumentStore`. With the secrets that are there."""
        secrets = self._secrets() if wanted else {}

        def fit(item: GatewayModel) -> GatewayModel:
            secret = secrets.get(item.secret_name)
            is_usable = secret is not None and item.may_use(text(secret, "provider", ""))
            return item if is_usable else replace(item, secret_name="")

        return [Fitted(fit(item)) for item in wanted]

    def create(self, wanted: GatewayModel) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        if wanted.secret_name:
            return self._create(wanted, self._secret_id(wanted.secret_name)), ()
        empty = self._empty_secret(wanted)
        try:
            return self._create(wanted, empty), ()
        finally:
            self._delete_secret(empty)

    def change(self, wanted: GatewayModel, there: GatewayModel) -> Sequence[Problem]:
        """See `DocumentStore`."""
        body = {"model_definition_id": there.model_definition_id, **_settable(wanted)}
        if wanted.secret_name and wanted.secret_name != there.secret_name:
            body["secret_id"] = self._secret_id(wanted.secret_name)
        self.act("update", body)
        return ()

    def _create(self, wanted: GatewayModel, secret_id: str) -> str:
        body = {**_settable(wanted), "secret_id": secret_id, **by(wanted.created_by)}
        answer = self.act("create", body, once=True)
        return identifier(part(answer, "model_definition"), "model_definition_id")

    def _secrets(self) -> Mapping[str, Json]:
        """What is told of secrets, by their names."""
        return {text(one, "secret_name", ""): one for one in listed(self.get("gateway/secrets/list"), "secrets")}

    def _secret_id(self, name: str) -> str:
        return identifier(self._secrets().get(name, {}), "secret_id")

    def _empty_secret(self, wanted: GatewayModel) -> str:
        """Also that which an import made that was killed before it deleted it."""
        name = f"{_EMPTY}{wanted.name}"[:_LONGEST]
        body: dict[str, Any] = {"secret_name": name, "secret_value": _VALUE, "provider": wanted.provider}
        try:
            return identifier(part(self.send("POST", "gateway/secrets/create", body, once=True), "secret"), "secret_id")
        except RequestRefused as error:
            if error.code != _TAKEN:
                raise
            return self._secret_id(name)

    def _delete_secret(self, secret_id: str) -> None:
        try:
            self.send("DELETE", "gateway/secrets/delete", {"secret_id": secret_id})
        except RequestRefused as error:
            if error.code != ABSENT:
                raise


def _settable(item: GatewayModel) -> dict[str, str]:
    return {"name": item.name, "provider": item.provider, "model_name": item.model_name}
