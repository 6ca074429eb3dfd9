"""Endpoints of the AI gateway in the database, with the models that they route to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.gateway_endpoints import PRIMARY, EndpointModel, GatewayEndpoint, in_order
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape
from runsync.workspaces.sql.gateway import authors, by, kept, require
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MODELS, _TAGS = "endpoint_model_mappings", "endpoint_tags"
_LATER: Mapping[str, Mapping[str, Any]] = {
    "routing_strategy": {"routing_strategy": ""},
    "fallback_config_json": {"fallback_strategy": "", "fallback_attempts": None},
    "usage_tracking": {"usage_tracking": False, "usage_experiment_id": ""},
}
"""Columns that came after MLflow 3.8: how an endpoint reads that has nothing in them."""
_TOO_OLD = "the target is of an MLflow that has no place for it"


class GatewayEndpoints(Shape[GatewayEndpoint]):
    """See `Shape`. Who is bound to an endpoint is written with the scorers that are."""

    table = "endpoints"
    id = "endpoint_id"
    children = (Child(_MODELS, "endpoint_id", ("mapping_id",)), Child(_TAGS, "endpoint_id", ("key",)))

    def item(self, row: Row, children: Rows) -> GatewayEndpoint:
        """See `Shape`."""
        fallback = _told(row.get("fallback_config_json"))
        home = row.get("experiment_id")
        return GatewayEndpoint(
            endpoint_id=row["endpoint_id"],
            name=row["name"] or "",
            models=in_order(map(_model, children[_MODELS])),
            routing_strategy=row.get("routing_strategy") or "",
            fallback_strategy=fallback.get("strategy") or "",
            fallback_attempts=fallback.get("max_attempts"),
            usage_tracking=bool(row.get("usage_tracking")),
            usage_experiment_id="" if home is None else str(home),
            tags={tag["key"]: tag["value"] or "" for tag in children[_TAGS]},
            **authors(row),
        )

    def rows(self, item: GatewayEndpoint) -> Rows:
        """See `Shape`."""
        id, home = item.endpoint_id, item.usage_experiment_id
        row = {
            "endpoint_id": id,
            "name": item.name or None,
            "routing_strategy": item.routing_strategy or None,
            "fallback_config_json": _fallback(item),
            "usage_tracking": item.usage_tracking,
            "experiment_id": int(home) if home else None,
            **by(item),
        }
        models = [_mapping(id, one) for one in item.models]
        tags = [{"endpoint_id": id, "key": key, "value": value} for key, value in item.tags.items()]
        return {self.table: [row], _MODELS: models, _TAGS: tags}

    def fitted(
        self, part: Part, connection: "Connection", items: Sequence[GatewayEndpoint]
    ) -> Sequence[Fitted[GatewayEndpoint]]:
        """See `Shape`. An older MLflow has no fallbacks, and leaves no traces."""
        columns = part.table(self.table).c
        lacking = [name for name in _LATER if name not in columns]
        weighed = (
            replace(item, models=tuple(replace(one, weight=kept(part, one.weight)) for one in item.models))
            for item in items
        )
        return [_fit(item, lacking) for item in weighed]

    def prepared(self, part: Part, connection: "Connection", item: GatewayEndpoint) -> GatewayEndpoint:
        """See `Shape`."""
        ids = (one.model_definition_id for one in item.models)
        require(part, connection, "model_definitions", "model_definition_id", ids, "model definition")
        return item


def _fit(item: GatewayEndpoint, lacking: Sequence[str]) -> Fitted[GatewayEndpoint]:
    fit, problems = item, []
    for name in lacking:
        less = replace(fit, **_LATER[name])
        problems += [Problem("piece", name.replace("_", " "), _TOO_OLD)] if less != fit else []
        fit = less
    is_too_old = "routing_strategy" in lacking and bool(item.fallbacks)
    return Fitted(fit, tuple(problems), f"{_TOO_OLD}: fallbacks" if is_too_old else "")


def _model(row: Row) -> EndpointModel:
    told = (row["mapping_id"], row["model_definition_id"], row.get("linkage_type") or PRIMARY, row["weight"])
    return EndpointModel(*told, row.get("fallback_order"), row["created_by"] or "", row["created_at"])


def _mapping(endpoint_id: str, one: EndpointModel) -> Row:
    return {
        "mapping_id": one.mapping_id,
        "endpoint_id": endpoint_id,
        "model_definition_id": one.model_definition_id,
        "linkage_type": one.linkage,
        "weight": one.weight,
        "fallback_order": one.fallback_order,
        "created_by": one.created_by or None,
        "created_at": one.created_at or 0,
    }


def _told(fallback: str | None) -> dict[str, Any]:
    """MLflow takes what is no JSON for nothing, too."""
    try:
        told = json.loads(fallback or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _fallback(item: GatewayEndpoint) -> str | None:
    """As `SqlAlchemyGatewayStoreMixin.create_gateway_endpoint` writes it."""
    if not (item.fallback_strategy or item.fallbacks) and item.fallback_attempts is None:
        return None
    told = {"strategy": item.fallback_strategy or None, "max_attempts": item.fallback_attempts}
    return json.dumps({**told, "model_definition_ids": item.fallbacks})
