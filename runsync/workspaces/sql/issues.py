"""Issues in the database."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runsync.kinds.issues import Issue
from runsync.model.run import Problem
from runsync.workspaces.fitted import Fitted
from runsync.workspaces.sql.documents import Row, Rows, Shape
from runsync.workspaces.sql.part import Part

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Issues(Shape[Issue]):
    """See `Shape`."""

    table = "issues"
    id = "issue_id"
    children = ()

    def item(self, row: Row, children: Rows) -> Issue:
        """See `Shape`."""
        return Issue(
            issue_id=row["issue_id"],
            experiment_id=str(row["experiment_id"]),
            name=row["name"],
            description=row["description"],
            status=row["status"],
            severity=row["severity"] or "",
            root_causes=_listed(row["root_causes"]),
            categories=_listed(row["categories"]),
            source_run_id=row["source_run_id"] or "",
            created_by=row["created_by"] or "",
            created_at=row["created_timestamp"],
            updated_at=row["last_updated_timestamp"],
        )

    def rows(self, item: Issue) -> Rows:
        """See `Shape`."""
        row = {
            "issue_id": item.issue_id,
            "experiment_id": int(item.experiment_id),
            "name": item.name,
            "description": item.description,
            "status": item.status,
            "severity": item.severity or None,
            "root_causes": json.dumps(item.root_causes) if item.root_causes else None,
            "categories": json.dumps(item.categories) if item.categories else None,
            "source_run_id": item.source_run_id or None,
            "created_by": item.created_by or None,
            "created_timestamp": item.created_at or 0,
            "last_updated_timestamp": item.updated_at or 0,
        }
        return {self.table: [row]}

    def fitted(self, part: Part, connection: "Connection", items: Sequence[Issue]) -> Sequence[Fitted[Issue]]:
        """See `Shape`. A run that it names must be there."""
        from sqlalchemy import select

        column = part.table("runs").c.run_uuid
        named = {item.source_run_id for item in items if item.source_run_id}
        there = {row[0] for row in part.rows(connection, select(column), column, named)}
        return [self._fitted(item, there) for item in items]

    def _fitted(self, item: Issue, there: set[Any]) -> Fitted[Issue]:
        if not item.source_run_id or item.source_run_id in there:
            return Fitted(item)
        why = f"the run {item.source_run_id} that found it is not in the target"
        return Fitted(replace(item, source_run_id=""), (Problem("run of issue", item.name, why),))


def _listed(text: str | None) -> tuple[str, ...]:
    found = json.loads(text) if text else []
    return tuple(map(str, found)) if isinstance(found, list) else ()
