"""Review queues of experiments: traces that people are to look at, with the questions that they answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.document import Document, DocumentKind
from runsync.kinds.kind import Key, Resolve
from runsync.kinds.label_schemas import LABEL_SCHEMAS
from runsync.kinds.traces import TRACES

if TYPE_CHECKING:
    from runsync.model.comparison import FieldChange

PENDING = "pending"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A trace in a queue. `completed_by` is who looked at it, "" for nobody. Times are in epoch milliseconds."""

    item_id: str
    item_type: str = "trace"
    status: str = PENDING
    completed_by: str = ""
    completed_at: int | None = None
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def told(self) -> str:
        """What became of it."""
        return f"{self.status} by {self.completed_by}" if self.completed_by else self.status


@dataclass(frozen=True, slots=True)
class ReviewQueue(Document):
    """`queue_type` is user or custom; one of a user asks all questions of its experiment, the others those of
    `schema_ids`. Times are in epoch milliseconds."""

    queue_id: str
    experiment_id: str
    name: str
    queue_type: str = "custom"
    users: tuple[str, ...] = ()
    schema_ids: tuple[str, ...] = ()
    items: tuple[QueueItem, ...] = ()
    created_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None
    origin: str = ""

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.queue_id,)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "ReviewQueue":
        """See `Entity`."""
        items = tuple(QueueItem(**item) for item in document["items"])
        lists = {name: tuple(document[name]) for name in ("users", "schema_ids")}
        return cls(**{**document, **lists, "items": items})

    @property
    def by_id(self) -> dict[str, QueueItem]:
        """Its items."""
        return {item.item_id: item for item in self.items}


class _ReviewQueues(DocumentKind[ReviewQueue]):
    name = "review-queues"
    noun = "review queue"
    entity = ReviewQueue
    requires = (LABEL_SCHEMAS.name, TRACES.name)
    goes_with_experiments = True
    id_field = "queue_id"
    set_by_servers = ("created_by", "created_at", "updated_at")

    def place(self, item: ReviewQueue) -> Key:
        """An experiment has each name once, however it is written."""
        return (item.experiment_id, item.name.lower())

    def rewritten(self, item: ReviewQueue, resolve: Resolve) -> ReviewQueue | None:
        """A label schema or a trace that is not there stays named by its old id."""
        there = super().rewritten(item, resolve)
        if there is None:
            return None
        schemas = (resolve(LABEL_SCHEMAS.name, id) or id for id in item.schema_ids)
        items = (replace(one, item_id=resolve(TRACES.name, one.item_id) or one.item_id) for one in item.items)
        ordered = tuple(sorted(items, key=lambda one: one.item_id))
        return replace(there, schema_ids=tuple(sorted(schemas)), items=ordered)

    def changes(self, old: ReviewQueue, new: ReviewQueue) -> Iterator["FieldChange"]:
        """Items one by one."""
        yield from super().changes(replace(old, items=()), replace(new, items=()))
        before, after = old.by_id, new.by_id
        for id in sorted(before.keys() | after.keys()):
            if before.get(id) != after.get(id):
                yield _changed(id, before.get(id), after.get(id))

    def lacks(self, wanted: ReviewQueue, there: ReviewQueue) -> Iterator["FieldChange"]:
        """A workspace may have more items, and sets their times."""
        yield from super().lacks(replace(wanted, items=()), replace(there, items=()))
        has = there.by_id
        for one in wanted.items:
            other = has.get(one.item_id)
            if other is None or other.told != one.told:
                yield _changed(one.item_id, one, other)


def _changed(id: str, old: QueueItem | None, new: QueueItem | None) -> "FieldChange":
    from runsync.model.comparison import FieldChange

    return FieldChange(f"items.{id}", old.told if old else "missing", new.told if new else "missing")


REVIEW_QUEUES = _ReviewQueues()
