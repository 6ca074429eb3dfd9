"""The daily sums of traces that MLflow 3.17 keeps where it is told to (`MLFLOW_SQL_TRACE_ROLLUPS_ENABLED`).

A day of which sums are there has to be added up again once traces of it are written.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from runsync.kinds.traces import Trace
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.upsert import upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

QUEUE = "sql_trace_rollup_rebuild_queue"
FAMILIES = {
    "sql_trace_metric_daily_rollups": "trace_metric",
    "sql_span_cost_daily_rollups": "span_cost",
    "sql_assessment_daily_rollups": "assessment",
}
"""What the queue calls the sums of each table."""


def queue_rebuilds(part: Part, connection: "Connection", items: Sequence[Trace]) -> None:
    """Asks for it, of days of which there are any."""
    from sqlalchemy import select

    if not items or not part.has(QUEUE, *FAMILIES):
        return
    days = {(int(item.experiment_id), day) for item in items for day in _days(item)}
    experiments, first = sorted({number for number, _ in days}), min((day for _, day in days), default=None)
    rows = []
    for name, family in FAMILIES.items():
        table = part.table(name)
        asked = select(table.c.experiment_id, table.c.rollup_day).distinct()
        here = (table.c.experiment_id.in_(experiments), table.c.rollup_day >= first)
        found = {tuple(row) for row in connection.execute(asked.where(*here))}
        keys = sorted(found & days)
        rows += [{"experiment_id": n, "rollup_day": day, "rollup_family": family} for n, day in keys]
    if rows:
        connection.execute(upsert(part.database.kind, part.table(QUEUE)), rows)


def _days(item: Trace) -> set[date]:
    """Of the trace, and of its spans."""
    times = {item.request_time, *(span.start // 1_000_000 for span in item.spans or ())}
    return {datetime.fromtimestamp(time / 1000, UTC).date() for time in times if 0 <= time < 253_402_300_800_000}
