"""A comparison as CSV: a row a run."""

from runsync.model import numbers
from runsync.model.run_table import DETAILS, Row
from runsync.model.times import iso
from runsync.runs.compare import CompareReport
from runsync.runs.formats import csv_line

_TIMES = ("start_time", "end_time")


def to_csv(report: CompareReport, diff_only: bool = False, safe: bool = False) -> str:
    """Columns: the details, then params.*, metrics.*, tags.*; with `diff_only` the run ids and what differs.

    Times are ISO 8601 in UTC, the duration is in milliseconds; what a run has not is an empty cell. For
    `safe` see `csv_line`.
    """
    rows = [row for row in report.rows if row.differs or not diff_only or row.key == "run_id"]
    columns = [[_title(row), *(_cell(row, value) for value in row.values)] for row in rows]
    return b"".join(csv_line(cells, safe) for cells in zip(*columns, strict=True)).decode()


def _title(row: Row) -> str:
    return row.key if row.group == DETAILS else f"{row.group}.{row.key}"


def _cell(row: Row, value: str | float | int | None) -> str:
    if value is None:
        return ""
    if row.group == DETAILS and row.key in _TIMES and isinstance(value, int):
        return iso(value)
    return str(numbers.to_json(value) if isinstance(value, float) else value)
