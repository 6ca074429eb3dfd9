"""runsync runs list"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.finish import finish, tell_unread
from runsync.cli.output import csv_safe, format_of, opened, output
from runsync.cli.tables import GAP, NARROWEST, columns_of, table, terminal_width
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.model.fields import Field
    from runsync.runs.listing import Listing, RunsReport

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
SHORT_ID = 8


@click.command(epilog="Example: runsync runs list prod --experiment churn --order-by 'metrics.auc DESC' --limit 20")
@click.argument("where")
@options.selection
@click.option(
    "--order-by", multiple=True, metavar="FIELD", help="Such as “metrics.auc DESC”; repeatable. Default: newest first."
)
@click.option("--columns", metavar="FIELDS", help="Such as run_id,name,params.lr,metrics.auc,tags.`my tag`.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N runs. Default: all of them.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="How to print them; else as the name of --output ends, else a table.",
)
@output
@csv_safe
@options.s3
@options.workers
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    order_by: tuple[str, ...],
    columns: str | None,
    limit: int | None,
    format_: str | None,
    output: str | None,
    csv_safe: bool,
    workers: int,
    as_json: bool,
    **selection: Any,
) -> int:
    """List runs.

    Of a workspace or bundle, newest first; those without a value to sort by come last. Without --columns a table and
    csv show what every run has, and then the metrics and params, those that most runs have first: all of them in a
    pipe and in csv, on a terminal as many as fit. On a terminal ids are cut to 8 characters, which every command on
    runs takes for the whole, and the start is told as how long ago it was.

    jsonl is one run document a line, csv what --columns says: both are read and written run by run where the server
    can sort (by start time, always). parquet has params, tags and metrics as maps (in DuckDB: params['lr']), or a
    column for each field of --columns. csv has names and params as they are, and a spreadsheet runs those that begin
    with = + - or @: use --csv-safe for one.

    Runs and experiments that cannot be read, as in a file store, are named on stderr; the exit code is 3 then.
    """
    from runsync.runs.columns import parse_columns

    chosen = parse_columns(columns) if columns is not None else ()
    format_ = "json" if as_json else format_ or format_of(output, FORMATS)
    asked: dict[str, Any] = {
        "selection": options.selected(**selection),
        "order_by": order_by,
        "limit": limit,
        "workers": workers,
        "access": options.access(ctx),
    }
    if format_ in ("table", "json"):
        from runsync.runs.listing import list_runs

        report = list_runs(where, **asked)
        if output is None:
            finish(report, format_ == "json", _lines(report, chosen))
        else:
            _save(report, output, format_, chosen)
        tell_unread(report.unreadable)
        return report.exit_code
    from runsync.runs.listing import open_runs

    with opened(output, binary=format_ == "parquet") as file, open_runs(where, **asked) as listing:
        _write(file, listing, format_, chosen, csv_safe)
    tell_unread(listing.unreadable)
    return listing.exit_code


def _write(file: Any, listing: "Listing", format_: str, chosen: "Sequence[Field]", csv_safe: bool) -> None:
    from runsync.runs import formats

    if format_ == "jsonl":
        formats.write_jsonl(file, listing)
    elif format_ == "parquet":
        formats.write_parquet(file, listing, chosen)
    elif chosen:
        formats.write_csv(file, listing, chosen, csv_safe)
    else:
        from dataclasses import replace

        from runsync.runs.columns import FIRST, commonest

        runs = list(listing.runs)
        held = replace(listing, runs=iter(runs))
        formats.write_csv(file, held, (*FIRST, *commonest(runs)), csv_safe)


def _save(report: "RunsReport", output: str, format_: str, chosen: "Sequence[Field]") -> None:
    from runsync.cli.text import json_text

    text = json_text(report.to_document()) if format_ == "json" else "\n".join(_lines(report, chosen))
    with opened(output) as file:
        file.write(f"{text}\n".encode())


def _lines(report: "RunsReport", chosen: "Sequence[Field]") -> Iterator[str]:
    if not report.runs:
        yield "No runs."
        return
    if chosen:
        yield from table(_rows(report, chosen, short=False))
    else:
        from runsync.runs.columns import FIRST, commonest

        fields = (*FIRST, *commonest(report.runs))
        width = terminal_width()
        rows = _rows(report, fields, short=width is not None)
        fitting = _fitting(rows, width, len(FIRST))
        yield from table([row[:fitting] for row in rows])
        if left := len(fields) - fitting:
            yield f"({left:,} more metrics and params: --columns, or --format csv)"
    if terminal_width() is not None:
        yield f"{many(len(report.runs), 'run')} of {report.place.address}"


def _rows(report: "RunsReport", fields: "Sequence[Field]", short: bool) -> list[list[str]]:
    from runsync.model.fields import value_of
    from runsync.runs.columns import ago, read

    now = int(time.time() * 1000)
    rows = [[str(field) for field in fields]]
    for run in report.runs:
        home = report.experiments.get(run.experiment_id)
        row = {str(field): read(field, value_of(field, run, home)) for field in fields}
        if short:
            row["run_id"] = run.run_id[:SHORT_ID]
            row["start_time"] = ago(run.start_time, now) if run.start_time is not None else "–"
        rows.append(list(row.values()))
    return rows


def _fitting(rows: Sequence[Sequence[str]], width: int | None, first: int) -> int:
    """How many columns to show: the first ones, and of the others those that fit beside them."""
    if width is None:
        return len(rows[0])
    widths = [max(columns_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    taken = sum(min(w, NARROWEST) + len(GAP) for w in widths[:first])
    shown = first
    while shown < len(widths) and taken + widths[shown] <= width:
        taken += widths[shown] + len(GAP)
        shown += 1
    return shown
