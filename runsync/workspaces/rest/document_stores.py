"""The kinds that are documents, as MLflow's own server has them."""

from runsync.kinds.budget_policies import BUDGET_POLICIES
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
from runsync.workspaces.http import Client
from runsync.workspaces.rest.budget_policies import ServerBudgetPolicies
from runsync.workspaces.rest.evaluation_datasets import ServerEvaluationDatasets
from runsync.workspaces.rest.gateway_endpoints import ServerGatewayEndpoints
from runsync.workspaces.rest.gateway_models import ServerGatewayModels
from runsync.workspaces.rest.guardrails import ServerGuardrails
from runsync.workspaces.rest.issues import ServerIssues
from runsync.workspaces.rest.label_schemas import ServerLabelSchemas
from runsync.workspaces.rest.mcp_servers import ServerMCPServers
from runsync.workspaces.rest.review_queues import ServerReviewQueues
from runsync.workspaces.rest.scorers import ServerScorers
from runsync.workspaces.rest.webhooks import ServerWebhooks


def stores(client: Client) -> Stores:
    """What of it a server really has is seen when it is asked."""
    return {
        SCORERS: ServerScorers(client),
        ISSUES: ServerIssues(client),
        LABEL_SCHEMAS: ServerLabelSchemas(client),
        MCP_SERVERS: ServerMCPServers(client),
        EVALUATION_DATASETS: ServerEvaluationDatasets(client),
        REVIEW_QUEUES: ServerReviewQueues(client),
        WEBHOOKS: ServerWebhooks(client),
        GATEWAY_MODELS: ServerGatewayModels(client),
        GATEWAY_ENDPOINTS: ServerGatewayEndpoints(client),
        GUARDRAILS: ServerGuardrails(client),
        BUDGET_POLICIES: ServerBudgetPolicies(client),
    }
