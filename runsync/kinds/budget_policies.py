"""Budget policies of the AI gateway: what may be spent within a time, and what happens then."""

from dataclasses import dataclass, replace

from runsync.kinds.document import Document
from runsync.kinds.gateway import GatewayKind
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS
from runsync.kinds.kind import Key, Resolve

OF_ENDPOINT = "ENDPOINT"


@dataclass(frozen=True, slots=True)
class BudgetPolicy(Document):
    """`budget_amount` is in `budget_unit` (USD), the time is `duration_value` times `duration_unit` (DAYS). It is about
    `target_scope` (GLOBAL, WORKSPACE, ENDPOINT, USER): the last two are named by `target`, an id or a name, else "".
    `budget_action` is ALERT or REJECT. Times are in epoch milliseconds."""

    budget_policy_id: str
    budget_unit: str
    budget_amount: float
    duration_unit: str
    duration_value: int
    target_scope: str
    budget_action: str
    target: str = ""
    created_by: str = ""
    updated_by: str = ""
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def key(self) -> Key:
        """Ids are global."""
        return (self.budget_policy_id,)

    @property
    def name(self) -> str:  # type: ignore[override]
        """It has none: what it says."""
        told = f"{self.budget_amount:g} {self.budget_unit} in {self.duration_value} {self.duration_unit}"
        return f"{self.budget_action} at {told}, {self.target_scope} {self.target}".rstrip()


class _BudgetPolicies(GatewayKind[BudgetPolicy]):
    name = "budget-policies"
    noun = "budget policy"
    entity = BudgetPolicy
    requires = (GATEWAY_ENDPOINTS.name,)
    id_field = "budget_policy_id"

    def place(self, item: BudgetPolicy) -> Key:
        """All that it says but the amount."""
        time = (item.duration_unit, str(item.duration_value))
        return (item.target_scope, item.target, item.budget_action, item.budget_unit, *time)

    def rewritten(self, item: BudgetPolicy, resolve: Resolve) -> BudgetPolicy | None:
        """An endpoint that is not there stays named by its old id."""
        there = super().rewritten(item, resolve)
        if there is None or item.target_scope != OF_ENDPOINT:
            return there
        return replace(there, target=resolve(GATEWAY_ENDPOINTS.name, item.target) or item.target)


BUDGET_POLICIES = _BudgetPolicies()
