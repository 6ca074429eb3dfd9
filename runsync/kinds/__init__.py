"""What runsync carries, one file a kind: experiments, runs, and kinds of entities (see `kind.Kind`)."""

from graphlib import TopologicalSorter
from typing import Any

from runsync.kinds.budget_policies import BUDGET_POLICIES
from runsync.kinds.carried import Carried, OwnPath
from runsync.kinds.evaluation_datasets import EVALUATION_DATASETS
from runsync.kinds.experiments import EXPERIMENTS
from runsync.kinds.gateway_endpoints import GATEWAY_ENDPOINTS
from runsync.kinds.gateway_models import GATEWAY_MODELS
from runsync.kinds.guardrails import GUARDRAILS
from runsync.kinds.issues import ISSUES
from runsync.kinds.kind import Kind
from runsync.kinds.label_schemas import LABEL_SCHEMAS
from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.mcp_servers import MCP_SERVERS
from runsync.kinds.model_aliases import MODEL_ALIASES
from runsync.kinds.model_versions import MODEL_VERSIONS
from runsync.kinds.notebooks import NOTEBOOKS
from runsync.kinds.permissions import PERMISSIONS
from runsync.kinds.prompts import PROMPT_ALIASES, PROMPT_VERSIONS, PROMPTS
from runsync.kinds.registered_models import REGISTERED_MODELS
from runsync.kinds.review_queues import REVIEW_QUEUES
from runsync.kinds.runs import RUNS
from runsync.kinds.scorers import SCORERS
from runsync.kinds.traces import TRACES
from runsync.kinds.webhooks import WEBHOOKS

_ALL: tuple[Kind[Any], ...] = (
    PERMISSIONS,
    NOTEBOOKS,
    LOGGED_MODELS,
    REGISTERED_MODELS,
    MODEL_VERSIONS,
    MODEL_ALIASES,
    TRACES,
    PROMPTS,
    PROMPT_VERSIONS,
    PROMPT_ALIASES,
    SCORERS,
    ISSUES,
    LABEL_SCHEMAS,
    REVIEW_QUEUES,
    EVALUATION_DATASETS,
    MCP_SERVERS,
    WEBHOOKS,
    GATEWAY_MODELS,
    GATEWAY_ENDPOINTS,
    GUARDRAILS,
    BUDGET_POLICIES,
)
BY_NAME = {kind.name: kind for kind in _ALL}
BY_NOUN = {kind.noun: kind for kind in _ALL}
OWN_PATHS: tuple[OwnPath, ...] = (EXPERIMENTS, RUNS)
"""Those that sources and targets carry by methods of their own."""
_ANY: tuple[Carried, ...] = (*OWN_PATHS, *_ALL)
_CARRIED = {kind.name: kind for kind in _ANY}
CARRIED: tuple[Carried, ...] = tuple(
    _CARRIED[name]
    for name in TopologicalSorter({name: kind.requires for name, kind in _CARRIED.items()}).static_order()
    if name in _CARRIED
)
"""All, in the order in which they are carried: what a kind requires comes before it."""
KINDS: tuple[Kind[Any], ...] = tuple(BY_NAME[kind.name] for kind in CARRIED if kind.name in BY_NAME)
"""Those of entities, likewise."""
NAMES = {kind.noun: kind.name for kind in CARRIED}
"""Of all kinds, by what a single one is called."""
