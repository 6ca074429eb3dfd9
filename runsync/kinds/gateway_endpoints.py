"""Endpoints of the AI gateway, with the models that they route to."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.changed import lacking_entries
from runsync.kinds.document import Document
from runsync.kinds.gateway import GatewayKind
from runsync.kinds.gateway_models import GATEWAY_MODELS
from runsync.kinds.kind import EXPERIMENTS, Key, Resolve

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange

PRIMARY, FALLBACK = "PRIMARY", "FALLBACK"
_DIGITS = 6
"""Of weights: a server has 32 bits for one."""


@dataclass(frozen=True, slots=True)
class EndpointModel:
    """A model definition that an endpoint routes to. `linkage` is PRIMARY or FALLBACK, `fallback_order` None where
    none was told. `created_at` is in epoch milliseconds."""

    mapping_id: str
    model_definition_id: str
    linkage: str = PRIMARY
    weight: float = 1.0
    fallback_order: int | None = None
    created_by: str = ""
    created_at: int | None = None

    @property
    def told(self) -> tuple[str, int, str, float]:
        """All but its id, who made it and when."""
        order = -1 if self.fallback_order is None else self.fallback_order
        return (self.linkage, order, self.model_definition_id, round(self.weight, _DIGITS))


@dataclass(frozen=True, slots=True)
class GatewayEndpoint(Document):
    """`models` are in the order in which they are tried. With `usage_tracking` traces of its calls go to the experiment
    `usage_experiment_id`, "" for none. Times are in epoch milliseconds."""

    endpoint_id: str
    name: str
    models: tuple[EndpointModel, ...] = ()
    routing_strategy: str = ""
    fallback_strategy: str = ""
    fallback_attempts: int | None = None
    usage_tracking: bool = True
    usage_experiment_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.endpoint_id,)

    @property
    def fallbacks(self) -> list[str]:
        """The model definitions that stand in for others."""
        return [one.model_definition_id for one in self.models if one.linkage == FALLBACK]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "GatewayEndpoint":
        """See `Entity`."""
        return cls(**{**document, "models": tuple(EndpointModel(**one) for one in document["models"])})


def in_order(models: Iterable[EndpointModel]) -> tuple[EndpointModel, ...]:
    """First those that are called first."""
    return tuple(sorted(models, key=lambda one: (one.linkage == FALLBACK, one.told)))


class _GatewayEndpoints(GatewayKind[GatewayEndpoint]):
    name = "gateway-endpoints"
    noun = "gateway endpoint"
    entity = GatewayEndpoint
    requires = (EXPERIMENTS, GATEWAY_MODELS.name)
    id_field = "endpoint_id"

    def place(self, item: GatewayEndpoint) -> Key:
        """A workspace has each name once."""
        return (item.name,)

    def rewritten(self, item: GatewayEndpoint, resolve: Resolve) -> GatewayEndpoint | None:
        """A model definition that is not there stays named by its old id."""

        def moved(one: EndpointModel) -> EndpointModel:
            there = resolve(GATEWAY_MODELS.name, one.model_definition_id)
            return replace(one, model_definition_id=there or one.model_definition_id)

        there = super().rewritten(item, resolve)
        home = resolve(EXPERIMENTS, item.usage_experiment_id) if item.usage_experiment_id else ""
        return there and replace(there, models=in_order(map(moved, item.models)), usage_experiment_id=home or "")

    def lacks(self, wanted: GatewayEndpoint, there: GatewayEndpoint) -> Iterator["FieldChange"]:
        """A workspace may have more tags; a server makes an experiment where an endpoint has none for its traces."""
        from runsync.model.comparison import FieldChange

        home = wanted.usage_experiment_id or there.usage_experiment_id
        yield from super().lacks(replace(_bare(wanted), usage_experiment_id=home), _bare(there))
        before, after = ([one.told for one in in_order(item.models)] for item in (wanted, there))
        if before != after:
            yield FieldChange("models", json.dumps(before), json.dumps(after))
        yield from lacking_entries("tags", wanted.tags, there.tags)


def _bare(item: GatewayEndpoint) -> GatewayEndpoint:
    return replace(item, models=(), tags={})


GATEWAY_ENDPOINTS = _GatewayEndpoints()
