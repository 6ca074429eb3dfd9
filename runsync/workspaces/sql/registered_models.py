"""Registered models in the database."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from runsync.kinds.registered_models import IS_PROMPT, RegisteredModel
from runsync.kinds.registries import Sort
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.texts import is_text

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

TABLES = ("registered_models", "registered_model_tags", "model_versions", "model_version_tags")


def names_of_models(part: Part, sort: Sort) -> list[str]:
    """Of all of a sort, sorted; without names that are not UTF-8, by which nothing can be asked for."""
    return [name for name in _all_names(part, sort) if is_text(name)]


def _all_names(part: Part, sort: Sort) -> list[str]:
    from sqlalchemy import select

    if not part.has(*TABLES):
        return []
    models = part.table("registered_models")
    prompts = _prompts(part)
    is_of_sort = models.c.name.in_(prompts) if sort.are_prompts else models.c.name.not_in(prompts)
    return sorted(row[0] for row in part.all_rows(select(models.c.name).where(*part.here(models), is_of_sort)))


def read_registered_models(part: Part, names: Collection[str] | None, sort: Sort) -> Iterator[RegisteredModel]:
    """See `ModelStore.registered_models`."""
    from sqlalchemy import func, select

    models, tags, versions = (part.table(name) for name in TABLES[:3])
    columns = (models.c.name, models.c.description, models.c.creation_time, models.c.last_updated_time)
    asked_for = _all_names(part, sort) if names is None else sorted(names)
    yield from (RegisteredModel(name) for name in asked_for if not is_text(name))
    for some in parts([name for name in asked_for if is_text(name)]):
        with part.reading() as connection:
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
