"""MLflow's backend schema as a database has it: which version, which tables, which columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runsync.errors import WrongUsage
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.no_tables import empty
from runsync.workspaces.sql.tables import Tables, look_at

if TYPE_CHECKING:
    from sqlalchemy import Table

VERSIONS = "alembic_version"

COLUMNS = {
    "experiments": (
        "experiment_id",
        "name",
        "artifact_location",
        "lifecycle_stage",
        "creation_time",
        "last_update_time",
    ),
    "experiment_tags": ("experiment_id", "key", "value"),
    "runs": (
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
        *("end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    ),
    "params": ("run_uuid", "key", "value"),
    "tags": ("run_uuid", "key", "value"),
    "metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
    "latest_metrics": ("run_uuid", "key", "value", "timestamp", "step", "is_nan"),
}
"""What every database has since MLflow 1.30, and runsync reads and writes."""
LATER = {
    "experiments": ("workspace",),
    "datasets": (
        *("dataset_uuid", "experiment_id", "name", "digest", "dataset_source_type", "dataset_source"),
        *("dataset_schema", "dataset_profile"),
    ),
    "inputs": ("input_uuid", "source_type", "source_id", "destination_type", "destination_id", "step"),
    "input_tags": ("input_uuid", "name", "value"),
    "logged_models": (
        *("model_id", "experiment_id", "name", "artifact_location", "creation_timestamp_ms"),
        *("last_updated_timestamp_ms", "status", "lifecycle_stage", "model_type", "source_run_id", "status_message"),
    ),
    "logged_model_params": ("model_id", "experiment_id", "param_key", "param_value"),
    "logged_model_tags": ("model_id", "experiment_id", "tag_key", "tag_value"),
    "logged_model_metrics": (
        *("model_id", "metric_name", "metric_timestamp_ms", "metric_step", "metric_value", "experiment_id", "run_id"),
        *("dataset_uuid", "dataset_name", "dataset_digest"),
    ),
    "registered_models": ("workspace", "name", "creation_time", "last_updated_time", "description"),
    "registered_model_tags": ("workspace", "name", "key", "value"),
    "registered_model_aliases": ("workspace", "name", "alias", "version"),
    "model_versions": (
        *("workspace", "name", "version", "creation_time", "last_updated_time", "description", "user_id"),
        *("current_stage", "source", "storage_location", "run_id", "run_link", "status", "status_message"),
    ),
    "model_version_tags": ("workspace", "name", "version", "key", "value"),
    "trace_info": (
        *("request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status", "client_request_id"),
        *("request_preview", "response_preview", "trace_name", "session_id", "input_tokens", "output_tokens"),
        *("total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "input_cost", "output_cost"),
        *("cache_creation_input_tokens_above_1hr", "total_cost"),
    ),
    "trace_tags": ("request_id", "key", "value"),
    "trace_request_metadata": ("request_id", "key", "value"),
    "trace_metrics": ("request_id", "key", "value"),
    "spans": (
        *("trace_id", "experiment_id", "span_id", "parent_span_id", "name", "type", "status", "start_time_unix_nano"),
        *("end_time_unix_nano", "content", "dimension_attributes", "input_cost", "output_cost", "total_cost"),
        *("model_name", "model_provider"),
    ),
    "span_metrics": ("trace_id", "span_id", "key", "value"),
    "assessments": (
        *("assessment_id", "trace_id", "name", "assessment_type", "value", "error", "created_timestamp", "source_type"),
        *("last_updated_timestamp", "source_id", "run_id", "span_id", "rationale", "overrides", "valid"),
        *("assessment_metadata", "experiment_id", "trace_timestamp_ms", "aggregate_value", "is_numeric_value"),
    ),
    "entity_associations": (
        *("association_id", "source_type", "source_id", "destination_type", "destination_id", "created_time"),
    ),
    "sql_trace_rollup_rebuild_queue": ("experiment_id", "rollup_day", "rollup_family"),
    "scorers": ("experiment_id", "scorer_name", "scorer_id"),
    "scorer_versions": ("scorer_id", "scorer_version", "serialized_scorer", "creation_time"),
    "online_scoring_configs": (
        *("online_scoring_config_id", "scorer_id", "sample_rate", "experiment_id", "filter_string"),
    ),
    "issues": (
        *("issue_id", "experiment_id", "name", "description", "status", "severity", "root_causes", "source_run_id"),
        *("categories", "created_timestamp", "last_updated_timestamp", "created_by"),
    ),
    "label_schemas": (
        *("schema_id", "experiment_id", "name", "type", "instruction", "enable_comment", "input_type", "input_config"),
        *("created_by", "created_time", "last_update_time", "is_default"),
    ),
    "evaluation_datasets": (
        *("dataset_id", "name", "schema", "profile", "digest", "created_time", "last_update_time", "created_by"),
        *("last_updated_by", "workspace"),
    ),
    "evaluation_dataset_tags": ("dataset_id", "key", "value"),
    "evaluation_dataset_records": (
        *("dataset_record_id", "dataset_id", "inputs", "outputs", "expectations", "tags", "source", "source_id"),
        *("source_type", "created_time", "last_update_time", "created_by", "last_updated_by", "input_hash"),
    ),
    "review_queues": (
        *("queue_id", "experiment_id", "name", "queue_type", "created_by", "creation_time_ms", "last_update_time_ms"),
        "name_key",
    ),
    "review_queue_items": (
        *("queue_id", "item_type", "item_id", "status", "completed_by", "completed_time_ms", "creation_time_ms"),
        "last_update_time_ms",
    ),
    "review_queue_users": ("queue_id", "user_id"),
    "review_queue_label_schemas": ("queue_id", "schema_id"),
    "mcp_servers": (
        *("workspace", "name", "display_name", "description", "icons", "created_by", "last_updated_by", "created_at"),
        "last_updated_at",
    ),
    "mcp_server_versions": (
        *("workspace", "name", "version", "version_major", "version_minor", "version_patch"),
        *("version_prerelease_sort_key", "server_json", "status", "tools", "source", "connect_options", "created_by"),
        *("last_updated_by", "created_at", "last_updated_at"),
    ),
    "mcp_server_tags": ("workspace", "name", "key", "value"),
    "mcp_server_version_tags": ("workspace", "name", "version", "key", "value"),
    "mcp_server_aliases": ("workspace", "name", "alias", "version"),
    "mcp_access_endpoints": (
        *("id", "workspace", "server_name", "server_version", "server_alias", "url", "transport_type", "created_by"),
        *("last_updated_by", "created_at", "last_updated_at"),
    ),
    "webhooks": (
        *("webhook_id", "name", "description", "url", "status", "secret", "creation_timestamp"),
        *("last_updated_timestamp", "deleted_timestamp", "workspace"),
    ),
    "webhook_events": ("webhook_id", "entity", "action"),
    "endpoints": (
        *("endpoint_id", "name", "created_by", "created_at", "last_updated_by", "last_updated_at", "routing_strategy"),
        *("fallback_config_json", "experiment_id", "usage_tracking", "workspace"),
    ),
    "model_definitions": (
        *("model_definition_id", "name", "secret_id", "provider", "model_name", "created_by", "created_at"),
        *("last_updated_by", "last_updated_at", "workspace"),
    ),
    "endpoint_model_mappings": (
        *("mapping_id", "endpoint_id", "model_definition_id", "weight", "linkage_type", "fallback_order"),
        *("created_by", "created_at"),
    ),
    "endpoint_tags": ("endpoint_id", "key", "value"),
    "budget_policies": (
        *("budget_policy_id", "budget_unit", "budget_amount", "duration_unit", "duration_value", "target_scope"),
        *("budget_action", "created_by", "created_at", "last_updated_by", "last_updated_at", "workspace"),
        "target_value",
    ),
    "guardrails": (
        *("guardrail_id", "name", "scorer_id", "scorer_version", "stage", "action", "action_endpoint_id"),
        *("created_by", "created_at", "last_updated_by", "last_updated_at", "workspace"),
    ),
    "guardrail_configs": (
        *("endpoint_id", "guardrail_id", "execution_order", "created_by", "created_at", "workspace"),
    ),
    "endpoint_bindings": (
        *("endpoint_id", "resource_type", "resource_id", "created_at", "created_by", "last_updated_at"),
        *("last_updated_by", "display_name"),
    ),
}
"""What came later, or may lack columns, and is read and written where it is there."""
READ_ALONE = (
    *("sql_trace_metric_daily_rollups", "sql_span_cost_daily_rollups", "sql_assessment_daily_rollups"),
    "secrets",
)
"""What is never written."""

WRITABLE = (
    "0584bdc529eb",  # MLflow 2.22
    *("400f98739977", "6953534de441", "bda7b8c39065", "cbc13b556ace", "770bee3ae1dd", "a1b2c3d4e5f6", "de4033877273"),
    *("1a0cddfcaa16", "534353b11cbc", "71994744cf8e", "3da73c924c2f", "bf29a5ff90ea", "1bd49d398cd23", "b7c8d9e0f1a2"),
    *("5d2d30f0abce", "c9d4e5f6a7b8", "2c33131f4dae", "d3e4f5a6b7c8", "d0e1f2a3b4c5", "c8d9e0f1a2b3", "1b5f0d9ad7c1"),
    *("e1f2a3b4c5d6", "76601a5f987d", "c3d6457b6d8a", "a5b4c3d2e1f0", "ae8bbe7743c9", "7d34483879f0", "da6fb0208061"),
    *("89d3d66ed43f", "b7e4c1a90f23", "a8b9c0d1e2f3", "c1d2e3f4a5b6", "c3d9e7f1a2b4", "6f8d9c3b2a1e", "1971f2d9a75b"),
    *("17e22815139b", "b7e2c1a4d9f3", "75868b020152"),
    "dc11669786a5",  # MLflow 3.17
)
"""Revisions, oldest first, that this version writes into: tests write into each of them."""
OLDER = (
    *("97727af70f4d", "3500859a5d39", "7f2a7d5fae7d", "2d6e25af4d3e", "acf3f17fdcc7", "867495a8f9d4", "5b0e9adcef9c"),
    *("4465047574b1", "f5a4f2784254"),
)
"""Revisions that are only read, MLflow 1.30 the first."""


@dataclass(frozen=True, slots=True)
class Schema:
    """`tables` are those that runsync reads or writes; `names` all there are."""

    revision: str
    tables: Tables
    names: frozenset[str]

    def table(self, name: str) -> "Table | None":
        """None where this version of the schema does not have it."""
        return self.tables.get(name)


def reflect(database: Database) -> Schema:
    """Looks at what is there. Raises WrongUsage when it is no database of MLflow."""
    from sqlalchemy import inspect

    with database.reading() as connection:
        inspector = inspect(connection)
        names = frozenset(inspector.get_table_names())
        _require_tables(names, database.address)
        tables = look_at(inspector, [*COLUMNS, *LATER, *READ_ALONE])
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""
    there = {(name, column["name"]) for name in COLUMNS for column in tables.columns[name]}
    lacking = [f"{name}.{column}" for name, some in COLUMNS.items() for column in some if (name, column) not in there]
    if lacking:
        raise WrongUsage(
            f"{database.address.printable} is older than MLflow 1.30 (it has no {lacking[0]}): make a copy of it, then"
            f" upgrade it with a newer MLflow: mlflow db upgrade {database.address.for_mlflow}"
        )
    return Schema(revision, tables, names)


def require_writable(schema: Schema, address: DatabaseAddress) -> None:
    """Raises WrongUsage unless tests cover the writing of this version, with the way out."""
    upgrade = f"mlflow db upgrade {address.for_mlflow}"
    if schema.revision in OLDER:
        raise WrongUsage(
            f"{address.printable} has the schema of an MLflow before 2.22 (revision {schema.revision}), which is only"
            f" read: make a copy of it, then upgrade it with MLflow 2.22 or newer: {upgrade}"
        )
    required = [
        f"{name}.{column['name']}"
        for name in {**COLUMNS, **LATER}
        if name in schema.tables
        for column in schema.tables.written(name)
        if column["name"] not in {*COLUMNS.get(name, ()), *LATER.get(name, ())}
        and not (column["nullable"] or column["default"] is not None)
    ]
    if schema.revision not in WRITABLE or required:
        what = f"revision {schema.revision}" + (f", which wants {required[0]}" if required else "")
        raise WrongUsage(
            f"{address.printable} has a schema that this runsync does not know ({what}), so it is only read: take a"
            f" newer runsync; if the schema is the older one, {upgrade}"
        )


def _require_tables(names: frozenset[str], address: DatabaseAddress) -> None:
    if not names - {VERSIONS}:
        raise empty(address)
    missing = sorted({*COLUMNS, VERSIONS} - names)
    if missing:
        raise WrongUsage(
            f"{address.printable} is no database of MLflow 1.30 or newer: it has no table {', '.join(missing)}"
        )
