"""Endpoints of a server's AI gateway."""

from collections.abc import Sequence
from typing import Any

from runsync.errors import RequestRefused
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS, PRIMARY, EndpointModel, GatewayEndpoint, in_order
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.gateway import ServerGateway, authors, by


@wire.strict
def endpoint(document: Json) -> GatewayEndpoint:
    """One of gateway/endpoints. Raises OddAnswer."""
    fallback = part(document, "fallback_config")
    return GatewayEndpoint(
        endpoint_id=identifier(document, "endpoint_id"),
        name=text(document, "name", ""),
        models=in_order(map(_model, listed(document, "model_mappings"))),
        routing_strategy=text(document, "routing_strategy", ""),
        fallback_strategy=text(fallback, "strategy", ""),
        fallback_attempts=_number(fallback, "max_attempts"),
        usage_tracking=bool(document.get("usage_tracking")),
        usage_experiment_id=text(document, "experiment_id", ""),
        tags=wire.pairs(document, "tags"),
        **authors(document),
    )


def _model(document: Json) -> EndpointModel:
    return EndpointModel(
        mapping_id=identifier(document, "mapping_id"),
        model_definition_id=identifier(document, "model_definition_id"),
        linkage=text(document, "linkage_type", PRIMARY),
        weight=float(document.get("weight", 0.0)),
        fallback_order=_number(document, "fallback_order"),
        created_by=text(document, "created_by", ""),
        created_at=wire.moment(document, "created_at"),
    )


def _number(document: Json, name: str) -> int | None:
    return None if document.get(name) is None else number(document, name)


class ServerGatewayEndpoints(ServerGateway[GatewayEndpoint]):
    """See `DocumentStore`."""

    family = "endpoints"
    listed_as = "endpoints"

    def __init__(self, client: Client) -> None:
        super().__init__(GATEWAY_ENDPOINTS, client)

    def made(self, document: Json) -> GatewayEndpoint:
        """See `ServerGateway`."""
        return endpoint(document)

    def create(self, wanted: GatewayEndpoint) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        answer = self.act("create", {**_settable(wanted), **by(wanted.created_by)}, once=True)
        id = identifier(part(answer, "endpoint"), "endpoint_id")
        return id, self._set_tags(id, wanted, {})

    def change(self, wanted: GatewayEndpoint, there: GatewayEndpoint) -> Sequence[Problem]:
        """See `DocumentStore`. Tags that only the target has stay."""
        self.act("update", {"endpoint_id": there.endpoint_id, **_settable(wanted)})
        return self._set_tags(there.endpoint_id, wanted, there.tags)

    def _set_tags(self, id: str, wanted: GatewayEndpoint, there: Json) -> Sequence[Problem]:
        problems = []
        for key, value in wanted.tags.items():
            if there.get(key) != value:
                try:
                    self.act("set-tag", {"endpoint_id": id, "key": key, "value": value})
                except RequestRefused as error:
                    if error.may_pass:
                        raise
                    problems.append(Problem("tag", key, str(error)))
        return problems


def _settable(item: GatewayEndpoint) -> dict[str, Any]:
    body: dict[str, Any] = {"name": item.name, "usage_tracking": item.usage_tracking}
    body["model_configs"] = [_config(one) for one in item.models]
    fallback: dict[str, Any] = {"strategy": item.fallback_strategy} if item.fallback_strategy else {}
    fallback |= {} if item.fallback_attempts is None else {"max_attempts": item.fallback_attempts}
    body |= {"fallback_config": fallback} if fallback else {}
    body |= {"routing_strategy": item.routing_strategy} if item.routing_strategy else {}
    body |= {"experiment_id": item.usage_experiment_id} if item.usage_experiment_id else {}
    return body


def _config(one: EndpointModel) -> dict[str, Any]:
    order = {} if one.fallback_order is None else {"fallback_order": one.fallback_order}
    told = {"model_definition_id": one.model_definition_id, "linkage_type": one.linkage, "weight": one.weight}
    return {**told, **order}
