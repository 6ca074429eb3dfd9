"""Registered models in the database."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

TABLES = ("registered_models", "registered_model_tags", "model_versions", "model_version_tags")


def names_of_models(part: Part) -> list[str]:
    """Of all that are no prompts, sorted."""
    from sqlalchemy import select

    if not part.has(*TABLES):
        return []
    models = part.table("registered_models")
    asked = select(models.c.name).where(*part.here(models), models.c.name.not_in(_prompts(part)))
    return sorted(row[0] for row in part.all_rows(asked))


def prompts(part: Part, names: Collection[str]) -> set[str]:
    """See `ModelStore.prompts`."""
    if not part.has(*TABLES):
        return set()
    tags = part.table("registered_model_tags")
    with part.database.reading() as connection:
        return {name for (name,) in part.rows(connection, _prompts(part), tags.c.name, names)}


def read_registered_models(part: Part, names: Collection[str] | None) -> Iterator[RegisteredModel]:
    """See `ModelStore.registered_models`."""
    from sqlalchemy import func, select

    models, tags, versions = (part.table(name) for name in TABLES[:3])
    columns = (models.c.name, models.c.description, models.c.creation_time, models.c.last_updated_time)
    for some in parts(names_of_models(part) if names is None else sorted(names)):
        with part.database.reading() as connection:
            tags_of: dict[str, dict[str, str]] = defaultdict(dict)
            asked: Select[Any] = select(tags.c.name, tags.c.key, tags.c.value)
            for name, key, value in connection.execute(asked.where(*part.here(tags), tags.c.name.in_(some))):
                tags_of[name][key] = value or ""
            asked = select(versions.c.name, func.max(versions.c.version)).group_by(versions.c.name)
            found = connection.execute(asked.where(*part.here(versions), versions.c.name.in_(some)))
            last = {row[0]: row[1] for row in found}
            rows = connection.execute(select(*columns).where(*part.here(models), models.c.name.in_(some))).all()
        for name, description, made, updated in sorted(rows, key=lambda row: row.name):
            yield RegisteredModel(name, description or "", tags_of.get(name, {}), made, updated, last.get(name, 0))


def _prompts(part: Part) -> "Select[Any]":
    from sqlalchemy import select

    tags = part.table("registered_model_tags")
    is_prompt: tuple[ColumnElement[bool], ...] = (tags.c.key == IS_PROMPT, tags.c.value == "true")
    return select(tags.c.name).where(*is_prompt, *part.here(tags))
