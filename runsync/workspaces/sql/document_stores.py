"""The kinds that are documents, as a database has them."""

from collections.abc import Mapping
from typing import Any

from runsync.kinds.budget_policies import BUDGET_POLICIES
from runsync.kinds.document import DocumentKind
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS
from runsync.kinds.gateway_models import GATEWAY_MODELS
from runsync.kinds.guardrails import GUARDRAILS
from runsync.kinds.issues import ISSUES
from runsync.kinds.label_schemas import LABEL_SCHEMAS
from runsync.kinds.mcp_servers import MCP_SERVERS
from runsync.kinds.review_queues import REVIEW_QUEUES
from runsync.kinds.scorers import SCORERS
from runsync.kinds.webhooks import WEBHOOKS
from runsync.workspaces.documents import Stores
from runsync.workspaces.sql.budget_policies import BudgetPolicies
from runsync.workspaces.sql.documents import Shape, SqlDocuments
from runsync.workspaces.sql.evaluation_datasets import EvaluationDatasets
from runsync.workspaces.sql.gateway_endpoints import GatewayEndpoints
from runsync.workspaces.sql.gateway_models import GatewayModels
from runsync.workspaces.sql.guardrails import Guardrails
from runsync.workspaces.sql.issues import Issues
from runsync.workspaces.sql.label_schemas import LabelSchemas
from runsync.workspaces.sql.mcp_servers import MCPServers
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.review_queues import ReviewQueues
from runsync.workspaces.sql.scorers import Scorers
from runsync.workspaces.sql.webhooks import Webhooks

SHAPES: Mapping[DocumentKind[Any], Shape[Any]] = {
    SCORERS: Scorers(),
    ISSUES: Issues(),
    LABEL_SCHEMAS: LabelSchemas(),
    MCP_SERVERS: MCPServers(),
    EVALUATION_DATASETS: EvaluationDatasets(),
    REVIEW_QUEUES: ReviewQueues(),
    WEBHOOKS: Webhooks(),
    GATEWAY_MODELS: GatewayModels(),
    GATEWAY_ENDPOINTS: GatewayEndpoints(),
    GUARDRAILS: Guardrails(),
    BUDGET_POLICIES: BudgetPolicies(),
}


def stores(part: Part) -> Stores:
    """Those that this version of the schema has tables for."""
    return {kind: SqlDocuments(kind, part, shape) for kind, shape in SHAPES.items() if part.has(shape.table)}
