"""Inserts that meet a row which is there already, which each dialect spells in its own way; and params and tags."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.model.identity import PREFIX
from runsync.workspaces.sql.address import MYSQL, SQLITE

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select, Table


def upsert(kind: str, table: "Table", updated: Sequence[str] = ()) -> Any:
    """An insert that sets these columns of a row with the same primary key; without any, that row stays as it is."""
    key = [column.name for column in table.primary_key.columns]
    if kind == MYSQL:
        from sqlalchemy.dialects import mysql

        made = mysql.insert(table)
        # Not IGNORE, which would also cut what is too long.
        return made.on_duplicate_key_update({name: made.inserted[name] for name in updated or key[:1]})
    insert: Any
    if kind == SQLITE:
        from sqlalchemy.dialects import sqlite

        insert = sqlite.insert(table)
    else:
        from sqlalchemy.dialects import postgresql

        insert = postgresql.insert(table)
    if not updated:
        return insert.on_conflict_do_nothing(index_elements=key)
    return insert.on_conflict_do_update(index_elements=key, set_={name: insert.excluded[name] for name in updated})


def as_committed(kind: str, rows: "Select[Any]") -> "Select[Any]":
    """With rows that others committed since this transaction began, which MySQL shows to readers with a lock."""
    return rows.with_for_update(read=True) if kind == MYSQL else rows


def in_order(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Ours first, then by name: to the collation that MySQL has by default "lr" and "LR" are one key, and the first one
    of them stays."""
    return sorted(texts.items(), key=lambda item: (not item[0].startswith(PREFIX), item[0]))


def set_texts(connection: "Connection", kind: str, table: "Table", texts: Mapping[str, Mapping[str, str]]) -> None:
    """Params or tags by run id: those that are there get the new value."""
    rows = [
        {"run_uuid": run_id, "key": key, "value": value}
        for run_id, pairs in texts.items()
        for key, value in in_order(pairs)
    ]
    if rows:
        connection.execute(upsert(kind, table, ("value",)), rows)


def remove_tags(connection: "Connection", table: "Table", keys: Mapping[str, Sequence[str]]) -> None:
    """Tags by run id; one that is not there is no fault."""
    from sqlalchemy import bindparam

    rows = [{"run": run_id, "tag": key} for run_id, some in keys.items() for key in some]
    if rows:
        here = (table.c.run_uuid == bindparam("run"), table.c.key == bindparam("tag"))
        connection.execute(table.delete().where(*here), rows)
