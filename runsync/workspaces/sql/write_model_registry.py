"""Registered models, their versions and aliases into the database."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.model_versions import READY, ModelVersion
from runsync.kinds.registered_models import RegisteredModel
from runsync.model.times import now
from runsync.workspaces.direct.models import DELETED, Write
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.upsert import in_order, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]
REDACTED = {
    "current_stage": DELETED,
    "source": "REDACTED-SOURCE-PATH",
    "run_id": "REDACTED-RUN-ID",
    "run_link": "REDACTED-RUN-LINK",
}
"""What MLflow leaves of a version that was deleted."""


def write_registered_models(part: Part, connection: "Connection", writes: Sequence[Write[RegisteredModel]]) -> None:
    """See `ModelStore.write_registered_models`."""
    _write(part, connection, "registered_models", ("name",), [(one, _model(one.item)) for one in writes])
    tags = part.table("registered_model_tags")
    rows = [
        {"name": one.item.name, "key": key, "value": value} for one in writes for key, value in in_order(one.item.tags)
    ]
    part.upsert(connection, tags, ("name", "key"), rows, ("value",))
    untagged = [{"name": one.item.name, "key": key} for one in writes for key in one.untagged]
    part.delete(connection, tags, ("name", "key"), untagged)
    _keep_numbers(part, connection, [one.item for one in writes])


def _keep_numbers(part: Part, connection: "Connection", models: Sequence[RegisteredModel]) -> None:
    """MLflow gives a new version the number after the greatest one, deleted ones too. What it leaves of a deleted one
    (`SqlAlchemyStore.delete_model_version`) is written for the last one that the source gave out."""
    from sqlalchemy import func, select

    versions = part.table("model_versions")
    asked = select(versions.c.name, func.max(versions.c.version)).where(*part.here(versions))
    wanted = {model.name: model for model in models if model.last_version}
    found = part.rows(connection, asked.group_by(versions.c.name), versions.c.name, wanted.keys())
    greatest = {row[0]: row[1] for row in found}
    rows = [
        part.fitting(
            versions,
            {
                "name": name,
                "version": model.last_version,
                "creation_time": model.updated_at,
                "last_updated_time": model.updated_at,
                "status": READY,
                **REDACTED,
            },
        )
        for name, model in wanted.items()
        if greatest.get(name, 0) < model.last_version
    ]
    if rows:
        connection.execute(versions.insert(), rows)


def write_model_versions(part: Part, connection: "Connection", writes: Sequence[Write[ModelVersion]]) -> None:
    """See `ModelStore.write_model_versions`."""
    _write(part, connection, "model_versions", ("name", "version"), [(one, _version(one)) for one in writes])
    tags = part.table("model_version_tags")
    rows = [
        {"name": one.item.model, "version": one.item.version, "key": key, "value": value}
        for one in writes
        for key, value in in_order(one.item.tags)
    ]
    part.upsert(connection, tags, ("name", "version", "key"), rows, ("value",))
    untagged = [
        {"name": one.item.model, "version": one.item.version, "key": key} for one in writes for key in one.untagged
    ]
    part.delete(connection, tags, ("name", "version", "key"), untagged)


def write_model_aliases(part: Part, connection: "Connection", aliases: Sequence[ModelAlias]) -> None:
    """See `ModelStore.write_model_aliases`."""
    table = part.table("registered_model_aliases")
    rows = [{"name": a.model, "alias": a.alias, "version": a.version} for a in aliases]
    part.upsert(connection, table, ("name", "alias"), rows, ("version",))


def move_model_alias(part: Part, connection: "Connection", alias: ModelAlias, holder: int | None) -> bool:
    """See `ModelStore.move_model_alias`."""
    from sqlalchemy import select

    table = part.table("registered_model_aliases")
    here = (table.c.name == alias.model, table.c.alias == alias.alias, *part.here(table))
    if holder is not None:
        moved = table.update().where(*here, table.c.version == holder).values(version=alias.version)
        return connection.execute(moved).rowcount == 1
    row = {"name": alias.model, "alias": alias.alias, "version": alias.version, **part.home(table)}
    connection.execute(upsert(part.database.kind, table), [row])  # one that is there stays
    there = connection.execute(select(table.c.version).where(*here).with_for_update()).scalar()
    return bool(there == alias.version)


def set_tags(
    part: Part, connection: "Connection", table: str, at: Mapping[str, str | int], tags: Mapping[str, str]
) -> None:
    """Of a registered model or a version, which `at` names."""
    rows = [{**at, "key": key, "value": value} for key, value in in_order(tags)]
    part.upsert(connection, part.table(table), (*at, "key"), rows, ("value",))


def delete_model_version(part: Part, connection: "Connection", name: str, number: str) -> None:
    """See `ModelStore.delete`. What MLflow leaves of it stays."""
    here = {"name": name, "version": int(number)}
    _delete(part, connection, "registered_model_aliases", here)
    _delete(part, connection, "model_version_tags", here)
    emptied = {"description": None, "user_id": None, "status_message": None, "last_updated_time": now()}
    table = part.table("model_versions")
    part.update(connection, table, ("name", "version"), [part.fitting(table, {**here, **REDACTED, **emptied})])


def delete_registered_model(part: Part, connection: "Connection", name: str) -> None:
    """See `ModelStore.delete`."""
    for table in (
        *("registered_model_aliases", "model_version_tags", "model_versions"),
        *("registered_model_tags", "registered_models"),
    ):
        _delete(part, connection, table, {"name": name})


def delete_model_alias(part: Part, connection: "Connection", name: str, alias: str) -> None:
    """See `ModelStore.delete`."""
    _delete(part, connection, "registered_model_aliases", {"name": name, "alias": alias})


def _delete(part: Part, connection: "Connection", name: str, here: Row) -> None:
    part.delete(connection, part.table(name), tuple(here), [here])


def _write(
    part: Part, connection: "Connection", name: str, key: Sequence[str], rows: Sequence[tuple[Write[Any], Row]]
) -> None:
    """Inserts what is new, and changes what is there."""
    table = part.table(name)
    new = [part.fitting(table, row) for one, row in rows if one.there is None]
    if new:
        connection.execute(table.insert(), new)
    part.update(connection, table, key, [part.fitting(table, row) for one, row in rows if one.there is not None])


def _model(item: RegisteredModel) -> Row:
    return {
        "name": item.name,
        "creation_time": item.created_at,
        "last_updated_time": item.updated_at,
        "description": item.description or None,
    }


def _version(one: Write[ModelVersion]) -> Row:
    item = one.item
    return {
        "name": item.model,
        "version": item.version,
        "creation_time": item.created_at,
        "last_updated_time": item.updated_at,
        "description": item.description or None,
        "user_id": item.user_id or None,
        "current_stage": item.stage,
        "source": item.source,
        "storage_location": one.location,
        "run_id": item.run_id or None,
        "run_link": item.run_link or None,
        "status": item.status,
        "status_message": item.status_message or None,
    }
