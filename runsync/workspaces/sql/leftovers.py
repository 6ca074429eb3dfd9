"""What a database holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runsync.kinds import left_behind as kinds
from runsync.kinds.category import Category
from runsync.model.not_carried import NotCarried
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.tables import columns_of
from runsync.workspaces.sql.texts import any_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause

WHY = "this version does not carry them"
NAMES = 20

_SECRETS = "secrets"
_JOBS = "jobs"
OPTIMIZE_PROMPTS = "optimize_prompts"
"""The name of the jobs that people start; MLflow makes others for itself (3.17)."""


def left_behind(database: Database) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any in the MLflow workspace."""
    from sqlalchemy import column, inspect, table

    with database.reading() as connection, any_text(connection, "replace"):  # names are only told
        found = columns_of(inspect(connection), (_SECRETS, _JOBS))
        tables = {name: table(name, *(column(c["name"], c["type"]) for c in some)) for name, some in found.items()}
        count = _Counter(connection, tables, database.address.workspace or DEFAULT_WORKSPACE)
        return [*count.gateway_secrets(), *count.prompt_optimization_jobs()]


class _Counter:
    def __init__(self, connection: "Connection", tables: "Mapping[str, TableClause]", workspace: str) -> None:
        self._connection = connection
        self._tables = tables
        self._workspace = workspace

    def gateway_secrets(self) -> list[NotCarried]:
        """Of which only names are read."""
        table = self._tables.get(_SECRETS)
        if table is None:
            return []
        return self._counted(kinds.GATEWAY_SECRETS, kinds.NO_SECRETS, table, self._here(table), "secret_name")

    def prompt_optimization_jobs(self) -> list[NotCarried]:
        """None where the table of jobs is older than their names."""
        table = self._tables.get(_JOBS)
        if table is None or "job_name" not in table.c:
            return []
        here = [table.c.job_name == OPTIMIZE_PROMPTS, *self._here(table)]
        return self._counted(kinds.PROMPT_OPTIMIZATION_JOBS, WHY, table, here)

    def _here(self, table: "TableClause") -> list[Any]:
        return [table.c.workspace == self._workspace] if "workspace" in table.c else []

    def _counted(
        self, kind: Category, why: str, table: "TableClause", here: list[Any], name: str = ""
    ) -> list[NotCarried]:
        from sqlalchemy import func, select

        number = self._connection.execute(select(func.count()).select_from(table).where(*here)).scalar_one()
        if not number:
            return []
        column = table.c[name] if name else None
        named = None if column is None else select(column).where(*here).order_by(column).limit(NAMES)
        names = () if named is None else tuple(self._connection.execute(named).scalars())
        return [kind.left(number, why, names)]
