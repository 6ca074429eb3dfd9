"""Whether a database lets itself be written to: asked by statements that write nothing."""

from typing import TYPE_CHECKING

from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import COLUMNS, LATER, Schema

if TYPE_CHECKING:
    from sqlalchemy import Connection


def require_rights(database: Database, schema: Schema) -> None:
    """Raises AccessDenied where rows must not be added or changed, WorkspaceUnreachable where it is locked."""
    with database.writing() as connection:
        for name in {**COLUMNS, **LATER}:
            if name in schema.tables:
                _try(connection, name, [column["name"] for column in schema.tables.written(name)])


def _try(connection: "Connection", table: str, names: list[str]) -> None:
    """As text: SQLAlchemy takes longer to compile the three statements than a database to answer them."""
    quote = connection.dialect.identifier_preparer.quote
    name, columns = quote(table), [quote(column) for column in names]
    listed = ", ".join(columns)
    nothing = "WHERE 1 = 0"
    connection.exec_driver_sql(f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} {nothing}")  # noqa: S608
    connection.exec_driver_sql(f"UPDATE {name} SET {columns[0]} = {columns[0]} {nothing}")  # noqa: S608
    connection.exec_driver_sql(f"DELETE FROM {name} {nothing}")  # noqa: S608
