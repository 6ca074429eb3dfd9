"""Guardrails of the AI gateway: scorers that look at what goes into endpoints and what comes out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.document import Document
from runsync.kinds.gateway import GatewayKind
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS
from runsync.kinds.kind import Key, Resolve
from runsync.kinds.scorers import SCORERS

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange


@dataclass(frozen=True, slots=True)
class Guarded:
    """An endpoint that a guardrail is on; those with a lower `execution_order` run first (None: none was told).
    `created_at` is in epoch milliseconds."""

    endpoint_id: str
    execution_order: int | None = None
    created_by: str = ""
    created_at: int | None = None


@dataclass(frozen=True, slots=True)
class Guardrail(Document):
    """`stage` is BEFORE or AFTER a call, `action` VALIDATION or SANITIZATION, which the endpoint `action_endpoint_id`
    does ("" for none). Times are in epoch milliseconds."""

    guardrail_id: str
    name: str
    scorer_id: str
    scorer_version: int
    stage: str
    action: str
    action_endpoint_id: str = ""
    endpoints: tuple[Guarded, ...] = ()
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.guardrail_id,)

    @property
    def orders(self) -> dict[str, int | None]:
        """When it runs on each endpoint that it is on."""
        return {one.endpoint_id: one.execution_order for one in self.endpoints}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Guardrail":
        """See `Entity`."""
        return cls(**{**document, "endpoints": tuple(Guarded(**one) for one in document["endpoints"])})


class _Guardrails(GatewayKind[Guardrail]):
    name = "guardrails"
    noun = "guardrail"
    entity = Guardrail
    requires = (GATEWAY_ENDPOINTS.name, SCORERS.name)
    id_field = "guardrail_id"

    def place(self, item: Guardrail) -> Key:
        """Names are not unique."""
        return (item.name, item.scorer_id, str(item.scorer_version), item.stage, item.action)

    def rewritten(self, item: Guardrail, resolve: Resolve) -> Guardrail | None:
        """It goes with its scorer. An endpoint that is not there stays named by its old id."""

        def there(id: str) -> str:
            return resolve(GATEWAY_ENDPOINTS.name, id) or id

        moved = super().rewritten(item, resolve)
        scorer = resolve(SCORERS.name, item.scorer_id)
        if moved is None or scorer is None:
            return None
        on = sorted((replace(one, endpoint_id=there(one.endpoint_id)) for one in item.endpoints), key=_id)
        acting = item.action_endpoint_id and there(item.action_endpoint_id)
        return replace(moved, scorer_id=scorer or item.scorer_id, endpoints=tuple(on), action_endpoint_id=acting)

    def joined(self, item: Guardrail, there: Guardrail) -> Guardrail:
        """It stays on the endpoints that a workspace has put it on."""
        more = (one for one in there.endpoints if one.endpoint_id not in item.orders)
        return replace(item, endpoints=tuple(sorted((*item.endpoints, *more), key=_id)))

    def lacks(self, wanted: Guardrail, there: Guardrail) -> Iterator["FieldChange"]:
        """A workspace may have put it on more endpoints."""
        from runsync.model.comparison import FieldChange

        yield from super().lacks(replace(wanted, endpoints=()), replace(there, endpoints=()))
        has = there.orders
        for id, order in wanted.orders.items():
            if id not in has or has[id] != order:
                yield FieldChange(f"endpoints.{id}", str(order), str(has[id]) if id in has else "missing")


def _id(one: Guarded) -> str:
    return one.endpoint_id


GUARDRAILS = _Guardrails()
