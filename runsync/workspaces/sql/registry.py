"""What the model registry tells of a run."""

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
