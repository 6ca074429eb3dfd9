"""Whatever MLflow has an endpoint or a table for is carried, or named in docs/left-behind.md. A new release of MLflow
that brings another kind fails here."""

import json
import re
import sqlite3
import subprocess
from contextlib import closing

import pytest
from conftest import MLFLOW
from support import forks

from runsync.kinds.left_behind import CATEGORIES

CORE = "experiments and runs"
NOTHING_KEPT = "keeps nothing of its own: it computes, serves, or is about the server"
WORKSPACES = "MLflow workspaces: an address names one"

ENDPOINTS = {
    "artifacts": CORE,
    "experiments": CORE,
    "metrics": CORE,
    "runs": CORE,
    "datasets": "evaluation-datasets",
    "gateway/budgets": "budget-policies",
    "gateway/endpoints": "gateway-endpoints",
    "gateway/guardrails": "guardrails",
    "gateway/model-definitions": "gateway-model-definitions",
    "gateway/secrets": "gateway-secrets",
    "get-online-trace-details": NOTHING_KEPT,
    "issues": "issues",
    "jobs": "prompt-optimization-jobs",
    "label-schemas": "label-schemas",
    "logged-models": "logged-models",
    "mcp-servers": "mcp-servers",
    "model-versions": "model-versions",
    "prompt-optimization": "prompt-optimization-jobs",
    "registered-models": "registered-models",
    "review-queues": "review-queues",
    "scorers": "scorers",
    "server-info": NOTHING_KEPT,
    "traces": "traces",
    "unified-traces": "traces",
    "webhooks": "webhooks",
    "workspaces": WORKSPACES,
}
"""Families of endpoints below `/api/N.0/mlflow/`: what they are about."""

OTHER_ROUTES = {
    "/": NOTHING_KEPT,
    "ajax-api": "the same again, for the page",
    "api/N/mlflow-artifacts": CORE,
    "build": NOTHING_KEPT,
    "gateway": NOTHING_KEPT,
    "get-artifact": CORE,
    "graphql": CORE,
    "health": NOTHING_KEPT,
    "model-versions": "model-versions",
    "static-files": NOTHING_KEPT,
    "v1": "traces",
    "version": NOTHING_KEPT,
}

TABLES = {
    "alembic_version": NOTHING_KEPT,
    "assessments": "assessments",
    "budget_policies": "budget-policies",
    "datasets": CORE,
    "endpoint_bindings": "gateway-endpoints",
    "endpoint_model_mappings": "gateway-endpoints",
    "endpoint_tags": "gateway-endpoints",
    "endpoints": "gateway-endpoints",
    "entity_associations": "evaluation-datasets",
    "evaluation_dataset_records": "evaluation-datasets",
    "evaluation_dataset_tags": "evaluation-datasets",
    "evaluation_datasets": "evaluation-datasets",
    "experiment_tags": CORE,
    "experiments": CORE,
    "guardrail_configs": "guardrails",
    "guardrails": "guardrails",
    "input_tags": CORE,
    "inputs": CORE,
    "issues": "issues",
    "job_locks": NOTHING_KEPT,
    "jobs": "prompt-optimization-jobs",
    "label_schemas": "label-schemas",
    "latest_metrics": CORE,
    "logged_model_metrics": "logged-models",
    "logged_model_params": "logged-models",
    "logged_model_tags": "logged-models",
    "logged_models": "logged-models",
    "mcp_access_endpoints": "mcp-servers",
    "mcp_server_aliases": "mcp-servers",
    "mcp_server_tags": "mcp-servers",
    "mcp_server_version_tags": "mcp-servers",
    "mcp_server_versions": "mcp-servers",
    "mcp_servers": "mcp-servers",
    "metrics": CORE,
    "model_definitions": "gateway-model-definitions",
    "model_version_tags": "model-versions",
    "model_versions": "model-versions",
    "online_scoring_configs": "scorers",
    "params": CORE,
    "registered_model_aliases": "model-aliases",
    "registered_model_tags": "registered-models",
    "registered_models": "registered-models",
    "review_queue_items": "review-queues",
    "review_queue_label_schemas": "review-queues",
    "review_queue_users": "review-queues",
    "review_queues": "review-queues",
    "runs": CORE,
    "scheduler_leases": NOTHING_KEPT,
    "scorer_versions": "scorers",
    "scorers": "scorers",
    "secrets": "gateway-secrets",
    "span_metrics": "traces",
    "spans": "traces",
    "sql_assessment_daily_rollups": NOTHING_KEPT,
    "sql_span_cost_daily_rollups": NOTHING_KEPT,
    "sql_trace_metric_daily_rollups": NOTHING_KEPT,
    "sql_trace_rollup_rebuild_queue": NOTHING_KEPT,
    "tags": CORE,
    "trace_info": "traces",
    "trace_metrics": "traces",
    "trace_request_metadata": "traces",
    "trace_tags": "traces",
    "webhook_events": "webhooks",
    "webhooks": "webhooks",
    "workspaces": WORKSPACES,
}

ASK_FOR_ROUTES = """
import json
from mlflow.server import app
from mlflow.server.fastapi_app import create_fastapi_app

def routes(router, prefix=""):
    for route in router.routes:
        inside = getattr(route, "original_router", None)
        if inside is not None:
            yield from routes(inside, prefix + route.include_context.prefix)
        elif getattr(route, "path", ""):
            yield prefix + route.path

found = {rule.rule for rule in app.url_map.iter_rules()} | set(routes(create_fastapi_app(app)))
print(json.dumps(sorted(found)))
"""


def family(route: str) -> tuple[str, str]:
    """The dictionary and the key that a route is found by."""
    below = re.fullmatch(r"/api/[\d.]+/?mlflow/(gateway/)?([^/]+)(/.*)?", route)
    if below:
        return "endpoint", (below[1] or "") + below[2]
    numbered = re.sub(r"^/api/[\d.]+/", "api/N/", route)
    return "route", "/".join(numbered.split("/")[:3]) if numbered.startswith("api/") else route.split("/")[1] or "/"


@pytest.mark.server
def test_each_endpoint_of_the_newest_mlflow_is_of_a_kind_that_is_known() -> None:
    asked = [str(MLFLOW["3"].with_name("python")), "-c", ASK_FOR_ROUTES]
    told = subprocess.run(asked, capture_output=True, text=True, check=True)
    routes = json.loads(told.stdout.splitlines()[-1])
    found = {family(route) for route in routes}
    known = {("endpoint", key) for key in ENDPOINTS} | {("route", key) for key in OTHER_ROUTES}
    assert found - known == set(), "MLflow has something new: carry it, or name it in runsync/kinds/left_behind.py"
    assert {("endpoint", name) for name in ("traces", "prompt-optimization", "mcp-servers", "runs")} <= found


@pytest.mark.server
def test_each_table_of_the_newest_mlflow_is_of_a_kind_that_is_known() -> None:
    with closing(sqlite3.connect(forks.template(MLFLOW["3"]))) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = {name for name in found if not name.startswith("sqlite_")}
    assert found - TABLES.keys() == set(), "MLflow has something new: carry it, or count it in sql/leftovers.py"
    assert {"runs", "spans", "jobs"} <= found


def test_each_kind_that_mlflow_has_can_be_accepted_by_name() -> None:
    assert {*ENDPOINTS.values(), *TABLES.values()} - {CORE, NOTHING_KEPT, WORKSPACES} <= CATEGORIES.keys()
