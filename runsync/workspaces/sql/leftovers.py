"""What a database holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds import left_behind as kinds
from runsync.kinds.category import Category
from runsync.model.not_carried import NotCarried
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.read import numbers
from runsync.workspaces.sql.tables import columns_of
from runsync.workspaces.sql.texts import any_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause

WHY = "this version does not carry them"
NAMES = 20

# Of rows with an experiment those of the experiments in question are counted, of the others all in the workspace.
_TABLES = {
    kinds.GATEWAY_ENDPOINTS: "endpoints",
    kinds.GATEWAY_SECRETS: "secrets",
    kinds.GUARDRAILS: "guardrails",
    kinds.BUDGET_POLICIES: "budget_policies",
}
_JOBS = "jobs"
OPTIMIZE_PROMPTS = "optimize_prompts"
"""The name of the jobs that people start; MLflow makes others for itself (3.17)."""


def left_behind(database: Database, experiment_ids: Sequence[str]) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any."""
    from sqlalchemy import column, inspect, table

    with database.reading() as connection, any_text(connection, "replace"):  # names are only told
        found = columns_of(inspect(connection), (*_TABLES.values(), _JOBS))
        tables = {name: table(name, *(column(c["name"], c["type"]) for c in some)) for name, some in found.items()}
        count = _Counter(connection, tables, numbers(experiment_ids), database.address.workspace)
        return [
            *(found for kind, name in _TABLES.items() for found in count.kind(kind, name)),
            *count.prompt_optimization_jobs(),
        ]


class _Counter:
    def __init__(self, connection: "Connection", tables: "Any", experiment_ids: Sequence[int], workspace: str) -> None:
        self._connection = connection
        self._tables = tables
        self._experiment_ids = experiment_ids
        self._workspace = workspace or DEFAULT_WORKSPACE

    def kind(self, kind: Category, name: str) -> list[NotCarried]:
        """Rows of one table."""
        table = self._tables.get(name)
        if table is None:
            return []
        return self._counted(kind, table, [*self._here(table)])

    def prompt_optimization_jobs(self) -> list[NotCarried]:
        """Those of the MLflow workspace; none where the table of jobs is older than their names."""
        table = self._tables.get(_JOBS)
        if table is None or "job_name" not in table.c:
            return []
        here = [table.c.job_name == OPTIMIZE_PROMPTS, *self._here(table)]
        return self._counted(kinds.PROMPT_OPTIMIZATION_JOBS, table, here)

    def _here(self, table: "TableClause") -> list[Any]:
        here = [table.c.workspace == self._workspace] if "workspace" in table.c else []
        if "experiment_id" in table.c:
            from sqlalchemy import bindparam, or_

            ids: Any = bindparam("ids", self._experiment_ids, expanding=True, literal_execute=True)
            here.append(or_(table.c.experiment_id.in_(ids), table.c.experiment_id.is_(None)))
        return here

    def _counted(self, kind: Category, table: "TableClause", here: list[Any]) -> list[NotCarried]:
        from sqlalchemy import func, select

        number = self._connection.execute(select(func.count()).select_from(table).where(*here)).scalar_one()
        if not number:
            return []
        named = select(table.c.name).where(*here).order_by(table.c.name).limit(NAMES) if "name" in table.c else None
        names = () if named is None else tuple(filter(None, self._connection.execute(named).scalars()))
        return [kind.left(number, WHY, names)]
