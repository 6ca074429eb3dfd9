"""The part of a database that one MLflow workspace has."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runsync.workspaces.sql.address import DEFAULT_WORKSPACE, MYSQL
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.one_key import require_rows
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.texts import any_text
from runsync.workspaces.sql.upsert import upsert

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

    @contextmanager
    def reading(self) -> "Iterator[Connection]":
        """Text that is not UTF-8 comes as surrogates."""
        with self.database.reading() as connection, any_text(connection):
            yield connection

    def rows(
        self, connection: "Connection", asked: "Select[Any]", column: "ColumnElement[Any]", values: Collection[str]
    ) -> Iterator[Any]:
        """Rows in which a column has one of these values, however many they are."""
        for some in parts(sorted(values)):
            yield from connection.execute(asked.where(column.in_(some)))

    def all_rows(self, asked: "Select[Any]") -> "Sequence[Row[Any]]":
        """What one statement finds."""
        with self.reading() as connection:
            return connection.execute(asked).all()

    def fitting(self, table: "Table", row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of this workspace, with the columns that this version of the schema has."""
        return {name: value for name, value in row.items() if name in table.c} | self.home(table)

    def upsert(
        self,
        connection: "Connection",
        table: "Table",
        key: Sequence[str],
        rows: Sequence[Mapping[str, Any]],
        updated: Sequence[str],
    ) -> None:
        """Writes rows that are known by `key` within this workspace; of those that are there, these columns. Raises
        RequestRefused where two of them are one to MySQL."""
        if rows:
            connection.execute(upsert(self.database.kind, table, updated), [{**r, **self.home(table)} for r in rows])
            if self.database.kind == MYSQL:
                require_rows(connection, table, key, rows, self.here(table))

    def update(
        self, connection: "Connection", table: "Table", key: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Sets all columns that rows name, of those with the same key."""
        from sqlalchemy import bindparam

        if rows:
            names = [name for name in rows[0] if name not in {*key, "workspace"}]
            statement = table.update().where(*(table.c[n] == bindparam(f"of_{n}") for n in key), *self.here(table))
            statement = statement.values({name: bindparam(f"new_{name}") for name in names})
            connection.execute(
                statement,
                [{f"of_{n}": row[n] for n in key} | {f"new_{n}": row[n] for n in names} for row in rows],
            )

    def delete(
        self, connection: "Connection", table: "Table", key: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Deletes the rows with these keys; missing rows are fine."""
        from sqlalchemy import bindparam

        if rows:
            statement = table.delete().where(*(table.c[n] == bindparam(f"of_{n}") for n in key), *self.here(table))
            connection.execute(statement, [{f"of_{n}": row[n] for n in key} for row in rows])
