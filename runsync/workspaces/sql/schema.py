"""MLflow's backend schema as a database has it: which version, which tables, which columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runsync.errors import WrongUsage
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.no_tables import empty

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table
    from sqlalchemy.engine.interfaces import ReflectedColumn

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
}
"""What came later, or may lack columns, and is read and written where it is there."""

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
    tables: "Mapping[str, Table]"
    names: frozenset[str]

    def table(self, name: str) -> "Table | None":
        """None where this version of the schema does not have it."""
        return self.tables.get(name)


def reflect(database: Database) -> Schema:
    """Looks at what is there. Raises WrongUsage when it is no database of MLflow."""
    from sqlalchemy import Float, inspect

    with database.reading() as connection:
        names = frozenset(inspect(connection).get_table_names())
        _require_tables(names, database.address)
        tables = _tables(connection, [*COLUMNS, *LATER])
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""
    for name, column in (("metrics", "value"), ("latest_metrics", "value"), ("logged_model_metrics", "metric_value")):
        if name in tables:
            tables[name].c[column].type = Float(53)  # MySQL's own type gives decimals of ten digits
    lacking = [f"{name}.{column}" for name, some in COLUMNS.items() for column in some if column not in tables[name].c]
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
        f"{name}.{column.name}"
        for name in {**COLUMNS, **LATER}
        if (table := schema.table(name)) is not None
        for column in table.c
        if column.name not in {*COLUMNS.get(name, ()), *LATER.get(name, ())}
        and not (column.nullable or column.server_default)
    ]
    if schema.revision not in WRITABLE or required:
        what = f"revision {schema.revision}" + (f", which wants {required[0]}" if required else "")
        raise WrongUsage(
            f"{address.printable} has a schema that this runsync does not know ({what}), so it is only read: take a"
            f" newer runsync; if the schema is the older one, {upgrade}"
        )


def columns_of(connection: "Connection", names: Iterable[str]) -> "dict[str, list[ReflectedColumn]]":
    """The columns of the tables that there are. MetaData.reflect asks for indexes and constraints as well, for long."""
    from sqlalchemy import inspect

    found = inspect(connection).get_multi_columns(filter_names=list(names))
    return {name: columns for (_, name), columns in found.items()}


def _tables(connection: "Connection", names: Sequence[str]) -> "dict[str, Table]":
    from sqlalchemy import Column, FetchedValue, MetaData, Table, inspect

    keys = inspect(connection).get_multi_pk_constraint(filter_names=names)
    key_of = {name: key["constrained_columns"] if key else () for (_, name), key in keys.items()}
    metadata = MetaData()
    return {
        name: Table(
            name,
            metadata,
            *(
                Column(
                    column["name"],
                    column["type"],
                    nullable=column["nullable"],
                    primary_key=column["name"] in key_of[name],
                    server_default=None if column["default"] is None else FetchedValue(),
                )
                for column in columns
            ),
        )
        for name, columns in columns_of(connection, names).items()
    }


def _require_tables(names: frozenset[str], address: DatabaseAddress) -> None:
    if not names - {VERSIONS}:
        raise empty(address)
    missing = sorted({*COLUMNS, VERSIONS} - names)
    if missing:
        raise WrongUsage(
            f"{address.printable} is no database of MLflow 1.30 or newer: it has no table {', '.join(missing)}"
        )
