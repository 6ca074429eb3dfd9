"""The CSV that the runs page of a workspace downloads: its columns exactly, params and metrics sorted by name.

A param and a metric of one name have a column each with that name, as there: params stand before metrics.
"""

from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from runsync.bundle.address import Access
from runsync.model import numbers
from runsync.model.run import Run, Unreadable
from runsync.model.selection import Selection
from runsync.runs.formats import csv_line
from runsync.runs.listing import open_runs
from runsync.threads import WORKERS
from runsync.transfer.report import PARTLY_DONE

HEAD = ("Run ID", "Name", "Source Type", "Source Name", "User", "Status")


@dataclass(frozen=True, slots=True)
class CsvReport:
    """How many runs and columns were written, what could not be read, and what may be wrong with the filter."""

    runs: int
    columns: int
    unreadable: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """3 when something could not be read."""
        return PARTLY_DONE if self.unreadable else 0


def write_runs_csv(
    file: IO[bytes],
    where: str,
    *,
    selection: Selection | None = None,
    workers: int = WORKERS,
    access: Access | None = None,
    safe: bool = False,
) -> CsvReport:
    """Writes all runs of a selection, newest first. The head needs every name, so rows wait in a temporary file.

    With `safe`, what a spreadsheet would take for a formula has an apostrophe before it.
    """
    import orjson

    params: set[str] = set()
    metrics: set[str] = set()
    count = 0
    with TemporaryFile() as waiting:
        with open_runs(where, selection=selection, workers=workers, access=access) as listing:
            for run in listing.runs:
                values = {m.key: str(numbers.to_json(m.value)) for m in run.latest_metrics}
                params.update(run.params)
                metrics.update(values)
                row = (_first(run), dict(run.params), values)
                waiting.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
                count += 1
            notes = tuple(listing.hints())
        waiting.seek(0)
        names, keys = sorted(params), sorted(metrics)
        file.write(csv_line((*HEAD, *names, *keys), safe))
        for line in waiting:
            first, given, measured = orjson.loads(line)
            cells = (*first, *(given.get(n, "") for n in names), *(measured.get(k, "") for k in keys))
            file.write(csv_line(cells, safe))
    return CsvReport(count, len(HEAD) + len(names) + len(keys), tuple(listing.unreadable), notes)


def _first(run: Run) -> tuple[str, ...]:
    tags = run.tags
    kind, name = tags.get("mlflow.source.type", ""), tags.get("mlflow.source.name", "")
    return run.run_id, run.name, kind, name, run.user_id or tags.get("mlflow.user", ""), run.status
