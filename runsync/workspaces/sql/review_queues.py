"""Review queues in the database, with their users, questions and items."""

from runsync.kinds.review_queues import QueueItem, ReviewQueue
from runsync.workspaces.sql.documents import Child, Row, Rows, Shape

_ITEMS, _USERS, _SCHEMAS = "review_queue_items", "review_queue_users", "review_queue_label_schemas"


class ReviewQueues(Shape[ReviewQueue]):
    """See `Shape`."""

    table = "review_queues"
    id = "queue_id"
    children = (
        Child(_ITEMS, "queue_id", ("item_id",)),
        Child(_USERS, "queue_id", ("user_id",)),
        Child(_SCHEMAS, "queue_id", ("schema_id",)),
    )

    def item(self, row: Row, children: Rows) -> ReviewQueue:
        """See `Shape`."""
        items = (
            QueueItem(
                item_id=one["item_id"],
                item_type=one["item_type"],
                status=one["status"],
                completed_by=one["completed_by"] or "",
                completed_at=one["completed_time_ms"],
                created_at=one["creation_time_ms"],
                updated_at=one["last_update_time_ms"],
            )
            for one in children[_ITEMS]
        )
        return ReviewQueue(
            queue_id=row["queue_id"],
            experiment_id=str(row["experiment_id"]),
            name=row["name"],
            queue_type=row["queue_type"],
            users=tuple(sorted(one["user_id"] for one in children[_USERS])),
            schema_ids=tuple(sorted(one["schema_id"] for one in children[_SCHEMAS])),
            items=tuple(sorted(items, key=lambda one: one.item_id)),
            created_by=row["created_by"] or "",
            created_at=row["creation_time_ms"],
            updated_at=row["last_update_time_ms"],
        )

    def rows(self, item: ReviewQueue) -> Rows:
        """See `Shape`. By `name_key` MLflow knows a name however it is written."""
        of: Row = {"queue_id": item.queue_id}
        queue = of | {
            "experiment_id": int(item.experiment_id),
            "name": item.name,
            "name_key": item.name.lower(),
            "queue_type": item.queue_type,
            "created_by": item.created_by or None,
            "creation_time_ms": item.created_at or 0,
            "last_update_time_ms": item.updated_at or 0,
        }
        items = [
            of
            | {
                "item_id": one.item_id,
                "item_type": one.item_type,
                "status": one.status,
                "completed_by": one.completed_by or None,
                "completed_time_ms": one.completed_at,
                "creation_time_ms": one.created_at or 0,
                "last_update_time_ms": one.updated_at or 0,
            }
            for one in item.items
        ]
        return {
            self.table: [queue],
            _ITEMS: items,
            _USERS: [of | {"user_id": user} for user in item.users],
            _SCHEMAS: [of | {"schema_id": id} for id in item.schema_ids],
        }
