"""What a database holds beside experiments and runs, counted so that a report can name what stays behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runsync.kinds import left_behind as kinds
from runsync.kinds.category import Category
from runsync.kinds.registered_models import IS_PROMPT
from runsync.model.not_carried import NotCarried
from runsync.workspaces.sql.address import DEFAULT_WORKSPACE
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.read import numbers
from runsync.workspaces.sql.schema import columns_of
from runsync.workspaces.sql.texts import any_text

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause

WHY = "this version carries experiments, runs and models"
NAMES = 20

# Rows with an experiment are counted for the experiments in question, the others for the MLflow workspace.
_TABLES = {
    kinds.TRACES: "trace_info",
    kinds.SCORERS: "scorers",
    kinds.ISSUES: "issues",
    kinds.LABEL_SCHEMAS: "label_schemas",
    kinds.REVIEW_QUEUES: "review_queues",
    kinds.WEBHOOKS: "webhooks",
    kinds.GATEWAY_ENDPOINTS: "endpoints",
    kinds.GATEWAY_SECRETS: "secrets",
    kinds.GUARDRAILS: "guardrails",
    kinds.BUDGET_POLICIES: "budget_policies",
    kinds.MCP_SERVERS: "mcp_servers",
}
_OTHERS = ("registered_models", "registered_model_tags", "assessments", "evaluation_datasets")


def left_behind(database: Database, experiment_ids: Sequence[str]) -> list[NotCarried]:
    """One NotCarried for each kind of which there is any."""
    from sqlalchemy import column, table

    with database.reading() as connection, any_text(connection, "replace"):  # names are only told
        found = columns_of(connection, (*_TABLES.values(), *_OTHERS, "entity_associations"))
        tables = {name: table(name, *(column(c["name"], c["type"]) for c in some)) for name, some in found.items()}
        count = _Counter(connection, tables, numbers(experiment_ids), database.address.workspace)
        return [
            *count.prompts(),
            *(found for kind, name in _TABLES.items() for found in count.kind(kind, name)),
            *count.assessments(),
            *count.evaluation_datasets(),
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

    def prompts(self) -> list[NotCarried]:
        """Registered models that are prompts."""
        from sqlalchemy import select

        models, tags = self._tables.get("registered_models"), self._tables.get("registered_model_tags")
        if models is None or tags is None:
            return []
        prompts = select(tags.c.name).where(tags.c.key == IS_PROMPT, tags.c.value == "true", *self._here(tags))
        return self._counted(kinds.PROMPTS, models, [models.c.name.in_(prompts), *self._here(models)], models.c.name)

    def assessments(self) -> list[NotCarried]:
        """Those of the traces of these experiments."""
        from sqlalchemy import select

        table, traces = self._tables.get("assessments"), self._tables.get("trace_info")
        if table is None or traces is None:
            return []
        here = table.c.trace_id.in_(select(traces.c.request_id).where(*self._here(traces)))
        return self._counted(kinds.ASSESSMENTS, table, [here])

    def evaluation_datasets(self) -> list[NotCarried]:
        """Those that belong to these experiments, and those that belong to none."""
        from sqlalchemy import String, cast, or_, select

        table, links = self._tables.get("evaluation_datasets"), self._tables.get("entity_associations")
        if table is None:
            return []
        here = [*self._here(table)]
        if links is not None:
            linked = select(links.c.source_id).where(
                links.c.source_type == "evaluation_dataset", links.c.destination_type == "experiment"
            )
            ids = [str(number) for number in self._experiment_ids]
            ours = linked.where(cast(links.c.destination_id, String(36)).in_(ids))
            here.append(or_(table.c.dataset_id.in_(ours), table.c.dataset_id.not_in(linked)))
        return self._counted(kinds.EVALUATION_DATASETS, table, here, table.c.name)

    def _here(self, table: "TableClause") -> list[Any]:
        if "experiment_id" in table.c:
            from sqlalchemy import bindparam

            ids: Any = bindparam("ids", self._experiment_ids, expanding=True, literal_execute=True)
            return [table.c.experiment_id.in_(ids)]
        return [table.c.workspace == self._workspace] if "workspace" in table.c else []

    def _counted(self, kind: Category, table: "TableClause", here: list[Any], name: Any = None) -> list[NotCarried]:
        from sqlalchemy import func, select

        number = self._connection.execute(select(func.count()).select_from(table).where(*here)).scalar_one()
        if not number:
            return []
        names: tuple[str, ...] = ()
        if name is not None:
            names = tuple(self._connection.execute(select(name).where(*here).order_by(name).limit(NAMES)).scalars())
        return [kind.left(number, WHY, names)]
