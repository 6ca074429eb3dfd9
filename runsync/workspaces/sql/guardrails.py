"""Guardrails of the AI gateway in the database, with the endpoints that they are on."""

from typing import TYPE_CHECKING

from runsync.kinds.guardrails import Guarded, Guardrail
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape
from runsync.workspaces.sql.gateway import authors, by, require
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ON = "guardrail_configs"


class Guardrails(Shape[Guardrail]):
    """See `Shape`."""

    table = "guardrails"
    id = "guardrail_id"
    children = (Child(_ON, "guardrail_id", ("endpoint_id",)),)

    def item(self, row: Row, children: Rows) -> Guardrail:
        """See `Shape`."""
        on = (
            Guarded(one["endpoint_id"], one["execution_order"], one["created_by"] or "", one["created_at"])
            for one in children[_ON]
        )
        told = (row["guardrail_id"], row["name"], row["scorer_id"], row["scorer_version"], row["stage"], row["action"])
        return Guardrail(*told, row["action_endpoint_id"] or "", tuple(on), **authors(row))

    def rows(self, item: Guardrail) -> Rows:
        """See `Shape`."""
        row = {
            "guardrail_id": item.guardrail_id,
            "name": item.name,
            "scorer_id": item.scorer_id,
            "scorer_version": item.scorer_version,
            "stage": item.stage,
            "action": item.action,
            "action_endpoint_id": item.action_endpoint_id or None,
            **by(item),
        }
        on = [
            {
                "guardrail_id": item.guardrail_id,
                "endpoint_id": one.endpoint_id,
                "execution_order": one.execution_order,
                "created_by": one.created_by or None,
                "created_at": one.created_at or 0,
            }
            for one in item.endpoints
        ]
        return {self.table: [row], _ON: on}

    def prepared(self, part: Part, connection: "Connection", item: Guardrail) -> Guardrail:
        """See `Shape`."""
        require(part, connection, "scorers", "scorer_id", [item.scorer_id], "scorer")
        acting = [item.action_endpoint_id] if item.action_endpoint_id else []
        require(part, connection, "endpoints", "endpoint_id", [*item.orders, *acting], "gateway endpoint")
        return item
