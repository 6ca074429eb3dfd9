"""Budget policies of a server's AI gateway."""

from collections.abc import Sequence
from typing import Any

from runsync.kinds.budget_policies import BUDGET_POLICIES, BudgetPolicy
from runsync.model.run import Problem
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, identifier, number, part, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.gateway import ServerGateway, authors, by


@wire.strict
def budget_policy(document: Json) -> BudgetPolicy:
    """One of gateway/budgets. Raises OddAnswer."""
    duration = part(document, "duration")
    return BudgetPolicy(
        budget_policy_id=identifier(document, "budget_policy_id"),
        budget_unit=text(document, "budget_unit"),
        budget_amount=float(document.get("budget_amount", 0.0)),
        duration_unit=text(duration, "unit"),
        duration_value=number(duration, "value"),
        target_scope=text(document, "target_scope"),
        budget_action=text(document, "budget_action"),
        target=text(document, "target_value", ""),
        **authors(document),
    )


class ServerBudgetPolicies(ServerGateway[BudgetPolicy]):
    """See `DocumentStore`. One of a user is only for a server with accounts."""

    family = "budgets"
    listed_as = "budget_policies"

    def __init__(self, client: Client) -> None:
        super().__init__(BUDGET_POLICIES, client)

    def made(self, document: Json) -> BudgetPolicy:
        """See `ServerGateway`."""
        return budget_policy(document)

    def create(self, wanted: BudgetPolicy) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        answer = self.act("create", {**_settable(wanted), **by(wanted.created_by)}, once=True)
        return identifier(part(answer, "budget_policy"), "budget_policy_id"), ()

    def change(self, wanted: BudgetPolicy, there: BudgetPolicy) -> Sequence[Problem]:
        """See `DocumentStore`."""
        self.act("update", {"budget_policy_id": there.budget_policy_id, **_settable(wanted)})
        return ()


def _settable(item: BudgetPolicy) -> dict[str, Any]:
    return {
        "budget_unit": item.budget_unit,
        "budget_amount": item.budget_amount,
        "duration": {"unit": item.duration_unit, "value": item.duration_value},
        "target_scope": item.target_scope,
        "budget_action": item.budget_action,
        **({"target_value": item.target} if item.target else {}),
    }
