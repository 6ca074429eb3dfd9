"""Aliases of registered models in the database."""

from collections.abc import Collection, Iterator

from runsync.kinds.model_aliases import ModelAlias
from runsync.kinds.registries import Sort
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import parts
from runsync.workspaces.sql.registered_models import names_of_models

TABLE = "registered_model_aliases"


def read_model_aliases(part: Part, names: Collection[str] | None, sort: Sort) -> Iterator[ModelAlias]:
    """See `ModelStore.model_aliases`."""
    from sqlalchemy import select

    if not part.has(TABLE):
        return
    table = part.table(TABLE)
    asked = select(table.c.name, table.c.alias, table.c.version).where(*part.here(table))
    for some in parts(names_of_models(part, sort) if names is None else sorted(names)):
        rows = part.all_rows(asked.where(table.c.name.in_(some)).order_by(table.c.name, table.c.alias))
        yield from (ModelAlias(row.name, row.alias, row.version) for row in rows)
