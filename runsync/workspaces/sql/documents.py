"""Objects that are a document and nothing else in the database: a row, and rows of other tables that hang off it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Generic, Protocol

from runsync.errors import RequestRefused
from runsync.kinds.document import D, DocumentKind
from runsync.model.experiment import Experiment
from runsync.model.not_carried import NotCarried
from runsync.model.run import Problem
from runsync.workspaces.direct.sound import Sound
from runsync.workspaces.documents import DocumentStore
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import numbers, parts
from runsync.workspaces.sql.upsert import upsert

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select, Table

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]
"""By the names of tables."""
ROWS_TOGETHER = 500
"""That are written by one call."""


@dataclass(frozen=True, slots=True)
class Child:
    """A table whose rows hang off another one's, which the column `owner` names. `key` tells those of one apart."""

    table: str
    owner: str
    key: tuple[str, ...]


class Shape(Protocol[D]):
    """How one kind lies in the database: in a table, by a column of ids, with its children. A child may be of a later
    version of MLflow than the table."""

    table: str
    id: str
    children: tuple[Child, ...]

    def item(self, row: Row, children: Rows) -> D:
        """The object that rows mean."""

    def rows(self, item: D) -> Rows:
        """The reverse; the row of the table itself among them."""

    def alive(self, table: "Table") -> "Sequence[ColumnElement[bool]]":
        """What restricts the table to those that were not deleted."""
        return ()

    def fitted(self, part: Part, connection: "Connection", items: Sequence[D]) -> Sequence[Fitted[D]]:
        """As they can be here."""
        return [Fitted(item) for item in items]

    def prepared(self, part: Part, connection: "Connection", item: D) -> D:
        """As it is to lie here, before it is written. Raises RequestRefused where it cannot."""
        return item

    def read(self, part: Part, connection: "Connection", items: Sequence[D]) -> Sequence[D]:
        """As they read anywhere."""
        return items


class SqlDocuments(DocumentStore[D], Generic[D]):
    """See `DocumentStore`. Ids and times are kept."""

    keeps_all = True

    def __init__(self, kind: DocumentKind[D], part: Part, shape: Shape[D]) -> None:
        self._part = part
        self._shape = shape
        self._kind = kind
        self._sound = Sound(kind)
        self._children = [child for child in shape.children if part.has(child.table)]

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[D]:
        """See `DocumentStore`."""
        return self._sound.among(iter(self._of([e.experiment_id for e in experiments])))

    def left(self) -> list[NotCarried]:
        """See `DocumentStore`."""
        return self._sound.left({})

    def find(self, wanted: Sequence[D]) -> Iterable[D]:
        """See `DocumentStore`."""
        table = self._part.table(self._shape.table)
        homes = sorted({item.experiment_id for item in wanted if hasattr(item, "experiment_id")})
        found = {item.key: item for item in self._of(homes)}
        ids = [item.key[0] for item in wanted if item.key not in found]
        found.update((item.key, item) for some in parts(ids) for item in self._read(table.c[self._shape.id].in_(some)))
        return found.values()

    def fitted(self, wanted: Sequence[D]) -> Sequence[Fitted[D]]:
        """See `DocumentStore`."""
        with self._part.reading() as connection:
            return self._shape.fitted(self._part, connection, wanted)

    def create(self, wanted: D) -> tuple[str, Sequence[Problem]]:
        """See `DocumentStore`."""
        self._part.database.transact(lambda connection: self._write(connection, wanted))
        return wanted.key[0], self._without_place(wanted)

    def change(self, wanted: D, there: D) -> Sequence[Problem]:
        """See `DocumentStore`."""
        home, other = (getattr(item, "experiment_id", "") for item in (wanted, there))
        if home != other:
            noun = self._kind.noun
            raise RequestRefused(f"its id is that of another {noun} of the target, in experiment {other}: not touched")
        self.create(wanted)
        return self._without_place(wanted)

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""

        def act(connection: "Connection") -> None:
            for child in reversed(self._children):
                table = self._part.table(child.table)
                self._part.delete(connection, table, (child.owner,), [{child.owner: id}])
            table = self._part.table(self._shape.table)
            self._part.delete(connection, table, (self._shape.id,), [{self._shape.id: id}])

        self._part.database.transact(act)

    def refresh(self) -> None:
        """See `DocumentStore`."""
        self._part.database.refresh()

    def _of(self, experiment_ids: Sequence[str]) -> Iterator[D]:
        """Those of experiments; of a kind that lies beside them, all."""
        table = self._part.table(self._shape.table)
        if not hasattr(self._kind.entity, "experiment_id"):
            yield from self._read(*self._part.here(table))
            return
        for some in parts(experiment_ids):
            yield from self._read(table.c.experiment_id.in_(numbers(some)))

    def _read(self, *where: "ColumnElement[bool]") -> Sequence[D]:
        from sqlalchemy import select

        table = self._part.table(self._shape.table)
        with self._part.reading() as connection:
            roots = _rows(connection, select(table).where(*where, *self._shape.alive(table)))
            ids = [root[self._shape.id] for root in roots]
            of: dict[Any, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
            for child in self._children:
                children = self._part.table(child.table)
                order = [children.c[name] for name in child.key]
                for some in parts(ids):
                    asked = select(children).where(children.c[child.owner].in_(some), *self._part.here(children))
                    for row in _rows(connection, asked.order_by(*order)):
                        of[row[child.owner]][child.table].append(row)
            items = [self._shape.item(root, of[root[self._shape.id]]) for root in roots]
            return self._shape.read(self._part, connection, sorted(items, key=lambda item: item.key))

    def _write(self, connection: "Connection", item: D) -> None:
        item = self._shape.prepared(self._part, connection, item)
        rows = self._shape.rows(item)
        self._put(connection, self._shape.table, rows[self._shape.table])
        for child in self._children:
            kept = {tuple(row[name] for name in child.key) for row in rows.get(child.table, ())}
            table = self._part.table(child.table)
            self._drop(connection, table, child, item.key[0], kept)
            self._put(connection, child.table, rows.get(child.table, ()))

    def _put(self, connection: "Connection", name: str, rows: Sequence[Row]) -> None:
        table = self._part.table(name)
        key = {column.name for column in table.primary_key.columns}
        fitting = (_kept(table, self._part.fitting(table, row)) for row in rows)
        for columns, alike in groupby(fitting, key=tuple):
            updated = [column for column in columns if column not in key and column != "workspace"]
            statement = upsert(self._part.database.kind, table, updated)
            while some := list(islice(alike, ROWS_TOGETHER)):
                connection.execute(statement, some)

    def _drop(self, connection: "Connection", table: "Table", child: Child, owner: str, kept: set[Any]) -> None:
        from sqlalchemy import select

        columns = [table.c[name] for name in child.key]
        here = (table.c[child.owner] == owner, *self._part.here(table))
        found = [tuple(row) for row in connection.execute(select(*columns).where(*here))]
        gone = [dict(zip(child.key, row, strict=True)) | {child.owner: owner} for row in found if row not in kept]
        self._part.delete(connection, table, (child.owner, *child.key), gone)

    def _without_place(self, item: D) -> Sequence[Problem]:
        """Rows of tables that this version of the schema does not have."""
        lacking = {child.table for child in self._shape.children} - {child.table for child in self._children}
        why = "the target is of an MLflow that has no place for it"
        rows = self._shape.rows(item)
        return [Problem("piece", name.replace("_", " "), why) for name in sorted(lacking) if rows.get(name)]


def _rows(connection: "Connection", asked: "Select[Any]") -> list[Row]:
    return [dict(row) for row in connection.execute(asked).mappings()]


def _kept(table: "Table", row: Row) -> Row:
    """JSON is text where the database has no type of its own for it (MariaDB)."""
    from sqlalchemy import JSON

    def fit(name: str, value: Any) -> Any:
        is_text = isinstance(value, dict | list) and not isinstance(table.c[name].type, JSON)
        return json.dumps(value) if is_text else value

    return {name: fit(name, value) for name, value in row.items()}
