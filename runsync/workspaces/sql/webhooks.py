"""Webhooks in the database. A secret is encrypted with a key of its server: it is never read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runsync.kinds.webhooks import Webhook, WebhookEvent
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

_EVENTS = "webhook_events"


class Webhooks(Shape[Webhook]):
    """See `Shape`."""

    table = "webhooks"
    id = "webhook_id"
    children = (Child(_EVENTS, "webhook_id", ("entity", "action")),)

    def item(self, row: Row, children: Rows) -> Webhook:
        """See `Shape`."""
        events = (WebhookEvent(one["entity"], one["action"]) for one in children[_EVENTS])
        return Webhook(
            webhook_id=row["webhook_id"],
            name=row["name"],
            url=row["url"],
            description=row["description"] or "",
            events=tuple(sorted(events, key=lambda one: (one.entity, one.action))),
            status=row["status"],
            created_at=row["creation_timestamp"],
            updated_at=row["last_updated_timestamp"],
        )

    def rows(self, item: Webhook) -> Rows:
        """See `Shape`."""
        row = {
            "webhook_id": item.webhook_id,
            "name": item.name,
            "url": item.url,
            "description": item.description or None,
            "status": item.status,
            "creation_timestamp": item.created_at,
            "last_updated_timestamp": item.updated_at,
        }
        events = [{"webhook_id": item.webhook_id, "entity": e.entity, "action": e.action} for e in item.events]
        return {self.table: [row], _EVENTS: events}

    def alive(self, table: "Table") -> "Sequence[ColumnElement[bool]]":
        """See `Shape`. MLflow leaves a deleted one where it is."""
        return (table.c.deleted_timestamp.is_(None),)
