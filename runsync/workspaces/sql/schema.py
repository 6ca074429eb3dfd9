"""MLflow's backend schema as a database has it: which version, which tables, which columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runsync.errors import WrongUsage
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Table

NEEDED = ("experiments", "runs", "params", "tags", "metrics", "latest_metrics", "experiment_tags")
"""What every database has since MLflow 1.30."""
FURTHER = (
    *("datasets", "inputs", "input_tags", "logged_models", "model_versions", "registered_models"),
    *("entity_associations", "logged_model_metrics"),
)

WRITABLE = {
    "0584bdc529eb": "2.22",
    "400f98739977": "3.0",
    "dc11669786a5": "3.17",
}
"""Revisions that this version writes, which its tests write, and the MLflow release that made them."""


@dataclass(frozen=True, slots=True)
class Schema:
    """`tables` are those that runsync reads or writes; `names` all there are."""

    revision: str
    tables: "Mapping[str, Table]"
    names: frozenset[str]

    def table(self, name: str) -> "Table | None":
        """None where this version of the schema does not have it."""
        return self.tables.get(name)

    def has(self, table: str, column: str) -> bool:
        """Whether there is such a column."""
        found = self.tables.get(table)
        return found is not None and column in found.c


def reflect(database: Database) -> Schema:
    """Looks at what is there. Raises WrongUsage when it is no database of MLflow."""
    from sqlalchemy import MetaData, inspect

    with database.reading() as connection:
        names = frozenset(inspect(connection).get_table_names())
        _check(names, database.address)
        metadata = MetaData()
        wanted = [name for name in (*NEEDED, *FURTHER) if name in names]
        metadata.reflect(connection, only=wanted, resolve_fks=False)
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""
    return Schema(revision, {name: metadata.tables[name] for name in wanted}, names)


def _check(names: frozenset[str], address: DatabaseAddress) -> None:
    if not names - {"alembic_version"}:
        raise WrongUsage(f"{address.printable} is empty: {how_to_initialise(address)}")
    missing = sorted({*NEEDED, "alembic_version"} - names)
    if missing:
        raise WrongUsage(
            f"{address.printable} is no database of MLflow 1.30 or newer: it has no table {', '.join(missing)}"
        )


def how_to_initialise(address: DatabaseAddress) -> str:
    """What to do with a database that has no tables yet."""
    return f"initialise it with --init, or with MLflow 3: mlflow db upgrade {address.for_mlflow}"
