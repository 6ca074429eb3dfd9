"""Whether a database lets itself be written to: asked by statements that write nothing."""

from typing import TYPE_CHECKING

from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import COLUMNS, LATER, Schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def require_rights(database: Database, schema: Schema) -> None:
    """Raises AccessDenied where rows must not be added or changed, WorkspaceUnreachable where it is locked."""
    with database.writing() as connection:
        for name in {**COLUMNS, **LATER}:
            table = schema.table(name)
            if table is not None:
                _try(connection, table)


def _try(connection: "Connection", table: "Table") -> None:
    from sqlalchemy import false, select

    first = next(iter(table.c))
    connection.execute(table.insert().from_select(list(table.c), select(*table.c).where(false())))
    connection.execute(table.update().where(false()).values({first: first}))
    connection.execute(table.delete().where(false()))
