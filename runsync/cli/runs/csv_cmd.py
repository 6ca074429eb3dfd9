"""runsync runs csv"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import tell_hints, tell_unread
from runsync.cli.output import csv_safe, opened, output


@click.command(epilog="Example: runsync runs csv prod --experiment churn --output runs.csv")
@click.argument("where")
@options.selecting("active")
@output
@csv_safe
@options.s3
@options.workers
@options.wait
@click.pass_context
def command(
    ctx: click.Context, /, where: str, output: str | None, csv_safe: bool, workers: int, **selection: Any
) -> int:
    """Write runs as CSV, as MLflow's runs page does.

    Columns: Run ID, Name, Source Type, Source Name, User, Status, then all params and all metrics by name (the last
    value of each). A param and a metric of the same name get a column each. Newest run first. What cannot be read is
    listed on stderr, and the exit code is then 3.

    Names and params are written unchanged. Spreadsheets run values that begin with = + - or @ as formulas: use
    --csv-safe if you open the file in one.
    """
    from runsync.runs.csv_page import write_runs_csv

    with opened(output) as file:
        report = write_runs_csv(
            file,
            where,
            selection=options.selected(selection),
            workers=workers,
            access=options.access(ctx),
            safe=csv_safe,
        )
    tell_unread(report.unreadable)
    tell_hints(report.notes)
    return report.exit_code
