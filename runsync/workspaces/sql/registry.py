"""What the model registry and logged models tell of a run."""

from runsync.errors import ABSENT, RequestRefused
from runsync.model.run import ModelVersion
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.schema import Schema
from runsync.workspaces.sql.texts import any_text


def model_versions(database: Database, schema: Schema, run_id: str) -> tuple[ModelVersion, ...]:
    """Versions of registered models that were made of a run, by name and number."""
    from sqlalchemy import select

    table = schema.table("model_versions")
    if table is None:
        return ()
    asked = select(table.c.name, table.c.version, table.c.current_stage).where(table.c.run_id == run_id)
    if "workspace" in table.c:
        asked = asked.where(table.c.workspace == (database.address.workspace or DEFAULT_WORKSPACE))
    with database.reading() as connection, any_text(connection, "replace"):
        rows = connection.execute(asked.order_by(table.c.name, table.c.version)).all()
    # A version that was deleted stays as a row.
    return tuple(
        ModelVersion(name, str(version), "" if stage in {None, "None"} else stage)
        for name, version, stage in rows
        if stage != "Deleted_Internal"
    )


def model_folder(database: Database, schema: Schema, model_id: str) -> tuple[str, str]:
    """Name and artifact root (URI) of a logged model. Raises RequestRefused where there is none."""
    from sqlalchemy import select

    table = schema.table("logged_models")
    row = None
    if table is not None:
        with database.reading() as connection:
            here = (table.c.model_id == model_id, table.c.lifecycle_stage != "deleted")
            row = connection.execute(select(table.c.name, table.c.artifact_location).where(*here)).first()
    if row is None:
        raise RequestRefused(f"there is no logged model {model_id}", 404, ABSENT)
    return row[0], row[1]
