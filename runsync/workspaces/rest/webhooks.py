"""Webhooks of a server."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.webhooks import WEBHOOKS, Webhook, WebhookEvent
from runsync.model.experiment import Experiment
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments
from runsync.workspaces.rest.server import API

PAGE = 100


@wire.strict
def webhook(document: Json) -> Webhook:
    """One of webhooks. Raises OddAnswer."""
    events = (
        WebhookEvent(text(one, "entity", "").lower(), text(one, "action", "").lower())
        for one in listed(document, "events")
    )
    return Webhook(
        webhook_id=identifier(document, "webhook_id"),
        name=text(document, "name"),
        url=text(document, "url"),
        description=text(document, "description", ""),
        events=tuple(sorted(events, key=lambda one: (one.entity, one.action))),
        status=text(document, "status", "ACTIVE"),
        created_at=wire.moment(document, "creation_timestamp"),
        updated_at=wire.moment(document, "last_updated_timestamp"),
    )


class ServerWebhooks(ServerDocuments[Webhook]):
    """See `DocumentStore`. A server takes only addresses by https that lead to the public Internet."""

    api = API

    def __init__(self, client: Client) -> None:
        super().__init__(WEBHOOKS, client)

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[Webhook]:
        """See `DocumentStore`."""
        return self.told(self._all())

    def find(self, wanted: Sequence[Webhook]) -> Iterable[Webhook]:
        """See `DocumentStore`."""
        return self._all()

    def create(self, wanted: Webhook) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        body = {**_settable(wanted), "status": wanted.status}
        return identifier(part(self.send("POST", "webhooks", body, once=True), "webhook"), "webhook_id"), ()

    def change(self, wanted: Webhook, there: Webhook) -> Sequence[Problem]:
        """See `DocumentStore`."""
        self.send("PATCH", f"webhooks/{there.webhook_id}", _settable(wanted))
        return ()

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        try:
            self.send("DELETE", f"webhooks/{id}", {})
        except RequestRefused as error:
            if error.code != ABSENT:
                raise

    def _all(self) -> Iterator[Webhook]:
        return self.each("webhooks", lambda page: self.get("webhooks", max_results=PAGE, **page), webhook)


def _settable(item: Webhook) -> dict[str, Any]:
    events = [{"entity": one.entity.upper(), "action": one.action.upper()} for one in item.events]
    return {"name": item.name, "url": item.url, "description": item.description, "events": events}
