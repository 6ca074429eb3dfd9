"""What the tables of the AI gateway have in common."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from runsync.errors import RequestRefused
from runsync.workspaces.sql.address import MYSQL
from runsync.workspaces.sql.documents import Row
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Authored(Protocol):
    """What says who made it and when."""

    @property
    def created_by(self) -> str:
        """ "" for nobody."""

    @property
    def updated_by(self) -> str:
        """Likewise."""

    @property
    def created_at(self) -> int | None:
        """In epoch milliseconds."""

    @property
    def updated_at(self) -> int | None:
        """Likewise."""


def authors(row: Row) -> dict[str, Any]:
    """Who made a row and when."""
    return {
        "created_by": row["created_by"] or "",
        "updated_by": row["last_updated_by"] or "",
        "created_at": row["created_at"],
        "updated_at": row["last_updated_at"],
    }


def by(item: Authored) -> Row:
    """The reverse."""
    return {
        "created_by": item.created_by or None,
        "last_updated_by": item.updated_by or None,
        "created_at": item.created_at or 0,
        "last_updated_at": item.updated_at or 0,
    }


def kept(part: Part, value: float) -> float:
    """As a column of MLflow's floats keeps it: MySQL's one tells six digits."""
    return float(f"{value:.6g}") if part.database.kind == MYSQL else value


def require(part: Part, connection: "Connection", table: str, column: str, ids: Iterable[str], what: str) -> None:
    """Raises RequestRefused where a table lacks one of the ids: SQLite would take a row that names none."""
    from sqlalchemy import select

    has = part.table(table).c[column]
    wanted = set(ids)
    lacking = wanted - {row[0] for row in part.rows(connection, select(has), has, wanted)}
    if lacking:
        raise RequestRefused(f"the target does not have the {what} {', '.join(sorted(lacking))}")
