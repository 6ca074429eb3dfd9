"""Versions of registered models in the database."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds.logged_models import LOGGED_MODELS
from runsync.kinds.model_versions import MODEL_VERSIONS, NO_STAGE, READY, Home, ModelVersion
from runsync.kinds.registries import Sort
from runsync.model.selection import RUNS
from runsync.workspaces.direct.homes import at_home, homes
from runsync.workspaces.direct.models import DELETED, Recorded
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.registered_models import TABLES, names_of_models

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

PAGE = 1000
FIELDS = (
    *("name", "version", "source", "run_id", "run_link", "description", "current_stage", "status", "status_message"),
    *("user_id", "creation_time", "last_updated_time"),
)
NAMES = 100
"""Registered models whose versions are read by one statement, if they are not too many."""


def read_model_versions(part: Part, names: Collection[str] | None, sort: Sort) -> Iterator[Recorded[ModelVersion]]:
    """See `ModelStore.model_versions`."""
    if not part.has(*TABLES):
        return
    for rows in _pages(part, names_of_models(part, sort) if names is None else sorted(names), names is not None):
        with part.reading() as connection:
            tags = _tags(part, connection, rows)
            read = [_version(row, tags) for row in rows]
            there = _there(part, connection, read)
        yield from (at_home(one, there) for one in read)


def _pages(part: Part, names: Sequence[str], with_deleted: bool) -> "Iterator[Sequence[Row[Any]]]":
    """In the order of names and numbers."""
    from sqlalchemy import and_, func, or_, select

    table = part.table("model_versions")
    location = [table.c.storage_location] if "storage_location" in table.c else []
    asked = select(*(table.c[name] for name in FIELDS), *location).where(*part.here(table)).limit(PAGE)
    asked = asked.order_by(table.c.name, table.c.version)
    if not with_deleted:
        asked = asked.where(func.coalesce(table.c.current_stage, NO_STAGE) != DELETED)
    for start in range(0, len(names), NAMES):
        rest: list[ColumnElement[bool]] = []
        while True:
            with part.reading() as connection:
                rows = connection.execute(asked.where(table.c.name.in_(names[start : start + NAMES]), *rest)).all()
            if rows:
                yield rows
            if len(rows) < PAGE:
                break
            name, number = rows[-1].name, rows[-1].version
            rest = [or_(table.c.name > name, and_(table.c.name == name, table.c.version > number))]


def _tags(part: Part, connection: "Connection", rows: "Sequence[Row[Any]]") -> Mapping[tuple[str, int], dict[str, str]]:
    from sqlalchemy import select

    tags = part.table("model_version_tags")
    names, numbers = {row.name for row in rows}, [row.version for row in rows]
    asked = select(tags.c.name, tags.c.version, tags.c.key, tags.c.value).where(*part.here(tags))
    asked = asked.where(tags.c.name.in_(sorted(names)), tags.c.version.between(min(numbers), max(numbers)))
    found: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for name, number, key, value in connection.execute(asked):
        found[name, number][key] = value or ""
    return found


def _version(row: "Row[Any]", tags: Mapping[tuple[str, int], dict[str, str]]) -> Recorded[ModelVersion]:
    item = ModelVersion(
        row.name,
        row.version,
        row.source or "",
        Home(),
        row.run_id or "",
        row.run_link or "",
        row.description or "",
        tags.get((row.name, row.version), {}),
        row.current_stage or NO_STAGE,
        row.status or READY,
        row.status_message or "",
        row.user_id or "",
        row.creation_time,
        row.last_updated_time,
    )
    return Recorded(item, getattr(row, "storage_location", None) or item.source)


def _there(part: Part, connection: "Connection", read: Sequence[Recorded[ModelVersion]]) -> Mapping[str, set[str]]:
    """The homes of these that are there, by kind."""
    from sqlalchemy import select

    asked = homes(read)
    found = {RUNS: _ids(part, connection, part.table("runs"), "run_uuid", asked[RUNS])}
    if part.has("logged_models"):
        models = part.table("logged_models")
        found[LOGGED_MODELS.name] = _ids(part, connection, models, "model_id", asked[LOGGED_MODELS.name])
    versions = part.table("model_versions")
    names = {id.rpartition("/")[0] for id in asked[MODEL_VERSIONS.name]}
    columns = select(versions.c.name, versions.c.version).where(
        *part.here(versions), versions.c.current_stage != DELETED
    )
    rows = part.rows(connection, columns, versions.c.name, names)
    return {**found, MODEL_VERSIONS.name: {f"{name}/{number}" for name, number in rows}}


def _ids(part: Part, connection: "Connection", table: "Table", column: str, ids: Collection[str]) -> set[str]:
    """Those that are there and not deleted for good, in experiments of this workspace."""
    from sqlalchemy import select

    experiments = part.table("experiments")
    asked = select(table.c[column]).select_from(
        table.join(experiments, table.c.experiment_id == experiments.c.experiment_id)
    )
    if table.name == "logged_models":
        asked = asked.where(table.c.lifecycle_stage != "deleted")
    rows = part.rows(connection, asked.where(*part.here(experiments)), table.c[column], ids)
    return {id for (id,) in rows}
