"""The part of a database that one MLflow workspace has."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Select, Table


@dataclass(frozen=True, slots=True)
class Part:
    """`schema` is that of the whole database."""

    database: Database
    schema: Schema

    @property
    def workspace(self) -> str:
        """Its name."""
        return self.database.address.workspace or DEFAULT_WORKSPACE

    def table(self, name: str) -> "Table":
        """One that is there."""
        return self.schema.tables[name]

    def has(self, *names: str) -> bool:
        """Whether this version of the schema has these tables."""
        return all(self.schema.table(name) is not None for name in names)

    def here(self, table: "Table") -> "list[ColumnElement[bool]]":
        """What restricts a table to this workspace."""
        return [table.c.workspace == self.workspace] if "workspace" in table.c else []

    def home(self, table: "Table") -> dict[str, Any]:
        """What a new row of it has for that."""
        return {"workspace": self.workspace} if "workspace" in table.c else {}

    def rows(
        self, connection: "Connection", asked: "Select[Any]", column: "ColumnElement[Any]", values: Collection[str]
    ) -> "Iterator[Row[Any]]":
        """Rows in which a column has one of these values, however many they are."""
        for some in parts(sorted(values)):
            yield from connection.execute(asked.where(column.in_(some)))

    def all_rows(self, asked: "Select[Any]") -> "Sequence[Row[Any]]":
        """What one statement finds."""
        with self.database.reading() as connection:
            return connection.execute(asked).all()
