"""Guardrails of a server's AI gateway."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from runsync.kinds.guardrails import GUARDRAILS, Guarded, Guardrail
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, listed, number, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.gateway import ServerGateway, authors

_FIXED = "MLflow cannot change it"


@wire.strict
def guardrail(document: Json) -> Guardrail:
    """One of gateway/guardrails. Raises OddAnswer."""
    scorer = part(document, "scorer")
    return Guardrail(
        guardrail_id=identifier(document, "guardrail_id"),
        name=text(document, "name"),
        scorer_id=identifier(scorer, "scorer_id"),
        scorer_version=number(scorer, "scorer_version"),
        stage=text(document, "stage"),
        action=text(document, "action"),
        action_endpoint_id=text(document, "action_endpoint_id", ""),
        **authors(document),
    )


@wire.strict
def guarded(document: Json) -> tuple[str, Guarded]:
    """The id of a guardrail, and an endpoint that it is on. Raises OddAnswer."""
    order = None if document.get("execution_order") is None else number(document, "execution_order")
    author, moment = text(document, "created_by", ""), wire.moment(document, "created_at")
    return identifier(document, "guardrail_id"), Guarded(identifier(document, "endpoint_id"), order, author, moment)


class ServerGuardrails(ServerGateway[Guardrail]):
    """See `DocumentStore`. One can be put on endpoints, and is else as it was made."""

    family = "guardrails"
    listed_as = "guardrails"

    def __init__(self, client: Client) -> None:
        super().__init__(GUARDRAILS, client)

    def made(self, document: Json) -> Guardrail:
        """See `ServerGateway`."""
        return guardrail(document)

    def all(self) -> Iterator[Guardrail]:
        """See `ServerGateway`. A server tells the name of the endpoint that acts in place of its id (3.17)."""
        found = list(super().all())
        if not found:
            return
        endpoints = listed(self.get("gateway/endpoints/list"), "endpoints")
        ids = {text(one, "name", ""): identifier(one, "endpoint_id") for one in endpoints}
        on: dict[str, list[Guarded]] = defaultdict(list)
        for id in sorted(ids.values()):
            for one in listed(self.get("gateway/guardrails/list-for-endpoint", endpoint_id=id), "configs"):
                told, where = guarded(one)
                on[told].append(where)
        for item in found:
            acting = ids.get(item.action_endpoint_id, item.action_endpoint_id)
            yield replace(item, action_endpoint_id=acting, endpoints=tuple(on[item.guardrail_id]))

    def create(self, wanted: Guardrail) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        body = {"name": wanted.name, "scorer_id": wanted.scorer_id, "scorer_version": wanted.scorer_version}
        body |= {"stage": wanted.stage, "action": wanted.action}
        body |= {"action_endpoint_id": wanted.action_endpoint_id} if wanted.action_endpoint_id else {}
        id = identifier(part(self.act("create", body, once=True), "guardrail"), "guardrail_id")
        self._put_on(id, wanted, replace(wanted, endpoints=()))
        return id, ()

    def change(self, wanted: Guardrail, there: Guardrail) -> Sequence[Problem]:
        """See `DocumentStore`."""
        self._put_on(there.guardrail_id, wanted, there)
        fixed = (change.field for change in GUARDRAILS.lacks(replace(wanted, endpoints=()), there))
        return [Problem("guardrail", name, _FIXED) for name in fixed]

    def _put_on(self, id: str, wanted: Guardrail, there: Guardrail) -> None:
        has = there.orders
        for endpoint_id, order in wanted.orders.items():
            body: dict[str, object] = {"endpoint_id": endpoint_id, "guardrail_id": id}
            body |= {} if order is None else {"execution_order": order}
            if endpoint_id not in has:
                self.act("add-to-endpoint", body, once=True)
            elif has[endpoint_id] != order:
                self.act("update-config", body, method="PATCH")
