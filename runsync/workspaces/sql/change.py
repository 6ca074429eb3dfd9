"""Changes of runs that are there: only the columns and rows in question are written, all in one transaction.

A server may change the same run in the same moment: what it wrote is not undone.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.workspaces.direct.store import Change
from runsync.workspaces.sql.address import MYSQL
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.one_key import require_run_tags
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.upsert import remove_tags, set_texts

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def change_runs(database: Database, schema: Schema, changes: Sequence[Change]) -> None:
    """See `DirectStore.change_runs`. Raises Unfit where a tag would change the value of another."""
    runs, tags = schema.tables["runs"], schema.tables["tags"]
    names = [{"asked": c.run_id, "name": c.name} for c in changes if c.name is not None]
    stages = [
        {"asked": c.run_id, "lifecycle_stage": c.lifecycle_stage, "deleted_time": c.deleted_time}
        for c in changes
        if c.lifecycle_stage is not None
    ]

    def change(connection: "Connection") -> None:
        _update(connection, runs, names)
        _update(connection, runs, stages)
        set_texts(connection, database.kind, tags, {c.run_id: c.all_tags for c in changes})
        remove_tags(connection, tags, {c.run_id: c.untagged for c in changes})
        if database.kind == MYSQL:
            require_run_tags(connection, tags, {c.run_id: c.all_tags for c in changes})

    database.transact(change)


def _update(connection: "Connection", runs: "Table", rows: Sequence[Mapping[str, Any]]) -> None:
    from sqlalchemy import bindparam

    if rows:
        values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "asked"}
        connection.execute(runs.update().where(runs.c.run_uuid == bindparam("asked")).values(values), list(rows))
