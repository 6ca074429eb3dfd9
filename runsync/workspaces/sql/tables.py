"""The tables of a database as SQLAlchemy has them, each built when it is first asked for: few commands need all."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Inspector, Table
    from sqlalchemy.engine.interfaces import ReflectedColumn
    from sqlalchemy.types import TypeEngine


class Tables(Mapping[str, "Table"]):
    """By name. `columns` are all their columns, computed ones too; `keys` those of each primary key."""

    def __init__(self, columns: "Mapping[str, list[ReflectedColumn]]", keys: Mapping[str, list[str]]) -> None:
        self.columns = columns
        self._keys = keys
        self._built: dict[str, Table] = {}
        self._building = threading.Lock()

    def __getitem__(self, name: str) -> "Table":
        with self._building:
            table = self._built.get(name)
            if table is None:
                table = self._built[name] = self._build(name)
            return table

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def written(self, name: str) -> "list[ReflectedColumn]":
        """The columns of a table that rows are given values for."""
        return [column for column in self.columns[name] if "computed" not in column]

    def _build(self, name: str) -> "Table":
        from sqlalchemy import Column, FetchedValue, MetaData, Table

        keys = self._keys[name]
        columns = [
            Column(
                column["name"],
                _type(column["type"]),
                nullable=column["nullable"],
                primary_key=column["name"] in keys,
                server_default=None if column["default"] is None else FetchedValue(),
            )
            for column in self.written(name)
        ]
        return Table(name, MetaData(), *columns)


def look_at(inspector: "Inspector", names: Iterable[str]) -> Tables:
    """Those of the names that there are."""
    names = list(names)
    keys = {name: key for (_, name), key in inspector.get_multi_pk_constraint(filter_names=names).items()}
    columns = columns_of(inspector, names)
    return Tables(columns, {name: list(key["constrained_columns"]) if (key := keys[name]) else [] for name in columns})


def columns_of(inspector: "Inspector", names: Iterable[str]) -> "dict[str, list[ReflectedColumn]]":
    """The columns of the tables that there are. MetaData.reflect asks for indexes and constraints as well, for long."""
    found = inspector.get_multi_columns(filter_names=list(names))
    return {name: columns for (_, name), columns in found.items()}


def _type(told: "TypeEngine[Any]") -> "TypeEngine[Any]":
    """The type of a column; MySQL's own one of floats gives decimals of ten digits. None is NULL, which to a column of
    JSON is another thing than its null."""
    from sqlalchemy import JSON, Float

    if isinstance(told, JSON):
        told.none_as_null = True
    return Float(53) if isinstance(told, Float) else told
