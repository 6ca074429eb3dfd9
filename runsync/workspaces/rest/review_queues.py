"""Review queues of a server, with their items."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.review_queues import PENDING, REVIEW_QUEUES, QueueItem, ReviewQueue
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments, active
from runsync.workspaces.rest.leftovers import ONE_BY_ONE
from runsync.workspaces.rest.search import chunks

USER = "user"
PAGE = 1000
TOGETHER = 100
"""Items that are added at a time."""


@wire.strict
def review_queue(document: Json) -> ReviewQueue:
    """One of review-queues/list, without its items. Raises OddAnswer."""
    return ReviewQueue(
        queue_id=identifier(document, "queue_id"),
        experiment_id=identifier(document, "experiment_id"),
        name=text(document, "name"),
        queue_type=text(document, "queue_type", "CUSTOM").lower(),
        users=tuple(sorted(document.get("users") or ())),
        schema_ids=tuple(sorted(document.get("schema_ids") or ())),
        created_by=text(document, "created_by", ""),
        created_at=wire.moment(document, "creation_time_ms"),
        updated_at=wire.moment(document, "last_update_time_ms"),
    )


@wire.strict
def queue_item(document: Json) -> QueueItem:
    """One of review-queues/items/list. Raises OddAnswer."""
    return QueueItem(
        item_id=identifier(document, "item_id"),
        item_type=text(document, "item_type", "TRACE").lower(),
        status=text(document, "status", "PENDING").lower(),
        completed_by=text(document, "completed_by", ""),
        completed_at=wire.moment(document, "completed_time_ms"),
        created_at=wire.moment(document, "creation_time_ms"),
        updated_at=wire.moment(document, "last_update_time_ms"),
    )


class ServerReviewQueues(ServerDocuments[ReviewQueue]):
    """See `DocumentStore`. Whether the traces in a queue are there a server does not look."""

    def __init__(self, client: Client) -> None:
        super().__init__(REVIEW_QUEUES, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[ReviewQueue]:
        """See `DocumentStore`. A request for each experiment."""
        if not is_asked:
            self.not_sought(ONE_BY_ONE)
            return iter(())
        return self.told(one for home in active(experiments) for one in self._of(home))

    def complete(self, item: ReviewQueue) -> ReviewQueue:
        """See `DocumentStore`. With its items."""

        def ask(page: Json) -> dict[str, Any]:
            return self.get("review-queues/items/list", queue_id=item.queue_id, max_results=PAGE, **page)

        items = sorted(self.each("items", ask, queue_item), key=lambda one: one.item_id)
        return replace(item, items=tuple(items))

    def find(self, wanted: Sequence[ReviewQueue]) -> Iterable[ReviewQueue]:
        """See `DocumentStore`."""
        homes = sorted({item.experiment_id for item in wanted})
        return [self.complete(one) for home in homes for one in self._of(home)]

    def create(self, wanted: ReviewQueue) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        schemas = self._schemas(wanted)
        lost = sorted(set(wanted.schema_ids) - set(schemas))
        if wanted.queue_type == USER:
            body: Json = {"experiment_id": wanted.experiment_id, "user": wanted.name}
            made = self.send("POST", "review-queues/get-or-create-user", body)
        else:
            body = {
                "experiment_id": wanted.experiment_id,
                "name": wanted.name,
                "queue_type": wanted.queue_type.upper(),
                "users": list(wanted.users),
                "schema_ids": schemas,
            }
            made = self.send("POST", "review-queues/create", body, once=True)
        there = review_queue(part(made, "review_queue"))
        problems = [Problem("label schema of review queue", id, "it is not in the target") for id in lost]
        return there.queue_id, [*problems, *self._fill(wanted, there)]

    def change(self, wanted: ReviewQueue, there: ReviewQueue) -> Sequence[Problem]:
        """See `DocumentStore`. The questions of one with items, and all but the items of a user's, are fixed."""
        body: dict[str, Any] = {"queue_id": there.queue_id}
        if wanted.name != there.name:
            body["name"] = wanted.name
        if wanted.users != there.users:
            body |= {"update_users": True, "users": list(wanted.users)}
        problems = []
        if wanted.schema_ids != there.schema_ids:
            body |= {"update_schema_ids": True, "schema_ids": self._schemas(wanted)}
        if len(body) > 1:
            try:
                self.send("POST", "review-queues/update", body)
            except RequestRefused as error:
                if error.may_pass:
                    raise
                problems.append(Problem("field of review queue", wanted.name, str(error)))
        return [*problems, *self._fill(wanted, there)]

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        self.send("POST", "review-queues/delete", {"queue_id": id})

    def _of(self, experiment_id: str) -> Iterator[ReviewQueue]:
        def ask(page: Json) -> dict[str, Any]:
            return self.get("review-queues/list", experiment_id=experiment_id, max_results=PAGE, **page)

        return self.each("review_queues", ask, review_queue)

    def _schemas(self, wanted: ReviewQueue) -> list[str]:
        """Those of its label schemas that are there: a server refuses a queue for any other."""
        return [id for id in wanted.schema_ids if self._is_there("label-schemas/get", schema_id=id)]

    def _fill(self, wanted: ReviewQueue, there: ReviewQueue) -> list[Problem]:
        """Adds the items that are missing, and gives them their states."""
        has: Mapping[str, QueueItem] = there.by_id
        problems: list[Problem] = []
        new = []
        for one in wanted.items:
            if one.item_id not in has:
                if self._is_there(f"traces/{quote(one.item_id, safe='')}"):
                    new.append(one)
                else:
                    problems.append(Problem("trace of review queue", one.item_id, "it is not in the target"))
        for some in chunks(new, TOGETHER):
            body = {"queue_id": there.queue_id, "item_type": "TRACE", "item_ids": [one.item_id for one in some]}
            self.send("POST", "review-queues/items/add", body)
        lost = {problem.name for problem in problems}
        for one in wanted.items:
            other = has.get(one.item_id) or QueueItem(one.item_id)
            if one.item_id not in lost and one.told != other.told:
                problems += self._set_status(there, one, other)
        return problems

    def _set_status(self, there: ReviewQueue, item: QueueItem, other: QueueItem) -> list[Problem]:
        """A state that is there already is given anew for another person who brought it about."""
        body = {"queue_id": there.queue_id, "item_id": item.item_id}
        if item.status == other.status:
            self.send("POST", "review-queues/items/set-status", {**body, "status": PENDING.upper()})
        by = {"completed_by": item.completed_by} if item.completed_by else {}
        try:
            self.send("POST", "review-queues/items/set-status", {**body, "status": item.status.upper(), **by})
        except RequestRefused as error:
            if error.may_pass:
                raise
            return [Problem("item of review queue", item.item_id, str(error))]
        return []

    def _is_there(self, path: str, **named: str) -> bool:
        try:
            self.get(path, **named)
        except RequestRefused as error:
            if error.code != ABSENT:
                raise
            return False
        return True
