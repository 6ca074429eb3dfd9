"""Budget policies of the AI gateway in the database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runsync.errors import RequestRefused
from runsync.kinds.budget_policies import BudgetPolicy
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.documents import Row, Rows, Shape
from runsync.workspaces.sql.gateway import authors, by, kept
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection

_TARGET = "target_value"
_CUT = Problem("piece", "budget amount", "a database of this kind keeps six digits")


class BudgetPolicies(Shape[BudgetPolicy]):
    """See `Shape`."""

    table = "budget_policies"
    id = "budget_policy_id"
    children = ()

    def item(self, row: Row, children: Rows) -> BudgetPolicy:
        """See `Shape`."""
        return BudgetPolicy(
            budget_policy_id=row["budget_policy_id"],
            budget_unit=row["budget_unit"],
            budget_amount=row["budget_amount"],
            duration_unit=row["duration_unit"],
            duration_value=row["duration_value"],
            target_scope=row["target_scope"],
            budget_action=row["budget_action"],
            target=row.get(_TARGET) or "",
            **authors(row),
        )

    def rows(self, item: BudgetPolicy) -> Rows:
        """See `Shape`."""
        row = {
            "budget_policy_id": item.budget_policy_id,
            "budget_unit": item.budget_unit,
            "budget_amount": item.budget_amount,
            "duration_unit": item.duration_unit,
            "duration_value": item.duration_value,
            "target_scope": item.target_scope,
            "budget_action": item.budget_action,
            _TARGET: item.target or None,
            **by(item),
        }
        return {self.table: [row]}

    def fitted(
        self, part: Part, connection: "Connection", items: Sequence[BudgetPolicy]
    ) -> Sequence[Fitted[BudgetPolicy]]:
        """See `Shape`."""

        def fit(item: BudgetPolicy) -> Fitted[BudgetPolicy]:
            there = replace(item, budget_amount=kept(part, item.budget_amount))
            return Fitted(there, () if there == item else (_CUT,))

        return [fit(item) for item in items]

    def prepared(self, part: Part, connection: "Connection", item: BudgetPolicy) -> BudgetPolicy:
        """See `Shape`. Without its target a policy would be one of nothing."""
        if item.target and _TARGET not in part.table(self.table).c:
            raise RequestRefused(f"the target is of an MLflow that has no budgets of {item.target_scope}")
        return item
