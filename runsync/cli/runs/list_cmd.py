"""runsync runs list"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from runsync.cli import options
from runsync.cli.finish import finish, tell_hints, tell_unread
from runsync.cli.output import csv_safe, format_of, opened, output
from runsync.cli.tables import GAP, NARROWEST, table, terminal_width, widths_of
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.model.fields import Field
    from runsync.model.run import Run
    from runsync.runs.listing import Listing, RunsReport

FORMATS = ("table", "csv", "json", "jsonl", "parquet")
SHORT_ID = 8


@click.command(epilog="Example: runsync runs list prod --experiment churn --order-by 'metrics.auc DESC' --limit 20")
@click.argument("where")
@options.selecting("active")
@click.option(
    "--order-by",
    multiple=True,
    metavar="FIELD",
    help='Sort by a field, such as "metrics.auc DESC". Repeatable. Default: newest first.',
)
@click.option(
    "--columns", metavar="FIELDS", help="Columns to show, such as run_id,name,params.lr,metrics.auc,tags.`my tag`."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="List only the first N runs. Default: all.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Output format. Default: from the name of --output, otherwise a table.",
)
@output
@csv_safe
@options.s3
@options.workers
@options.wait
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

    Lists the runs of a workspace or bundle, newest first. Runs without a value to sort by come last. Without --columns,
    table and csv show what every run has, then metrics and params, the most common first: all of them in csv and in a
    pipe, as many as fit on a terminal. On a terminal, ids are shortened to 8 characters, which every command on runs
    accepts, and start times are shown as how long ago.

    jsonl is one run document per line; csv has the columns of --columns. Both are written run by run if the server can
    sort (by start time it always can). parquet has params, tags and metrics as maps (in DuckDB: params['lr']), or one
    column per field of --columns. csv has names and params unchanged; spreadsheets run values that begin with = + - or
    @ as formulas: use --csv-safe if you open the file in one.

    Runs and experiments that cannot be read are listed on stderr, and the exit code is then 3.
    """
    from runsync.runs.columns import parse_columns

    chosen = parse_columns(columns) if columns is not None else ()
    format_ = "json" if as_json else format_ or format_of(output, FORMATS)
    asked: dict[str, Any] = {
        "selection": options.selected(selection),
        "order_by": order_by,
        "limit": limit,
        "workers": workers,
        "access": options.access(ctx),
    }
    if format_ in ("table", "json"):
        return _list_whole(where, asked, output, format_, chosen)
    return _list_run_by_run(where, asked, output, format_, chosen, csv_safe)


def _list_whole(where: str, asked: dict[str, Any], output: str | None, format_: str, chosen: "Sequence[Field]") -> int:
    from runsync.runs.listing import list_runs

    report = list_runs(where, **asked)
    if output is None:
        finish(report, format_ == "json", _lines(report, chosen), is_data=True)
    else:
        _save(report, output, format_, chosen)
    tell_unread(report.unreadable)
    tell_hints(report.notes)
    return report.exit_code


def _list_run_by_run(
    where: str, asked: dict[str, Any], output: str | None, format_: str, chosen: "Sequence[Field]", csv_safe: bool
) -> int:
    from runsync.runs.listing import open_runs

    with opened(output, binary=format_ == "parquet") as file, open_runs(where, **asked) as listing:
        _write(file, listing, format_, chosen, csv_safe)
        hints = listing.hints()
    tell_unread(listing.unreadable)
    tell_hints(hints)
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

    lines = [json_text(report.to_document())] if format_ == "json" else _lines(report, chosen)
    with opened(output) as file:
        file.writelines(f"{line}\n".encode(errors="backslashreplace") for line in lines)


def _lines(report: "RunsReport", chosen: "Sequence[Field]") -> Iterator[str]:
    if not report.runs:
        yield "No runs."
        return
    if chosen:
        yield from table(_Rows(report, chosen))
    else:
        from runsync.runs.columns import FIRST, commonest

        fields = (*FIRST, *commonest(report.runs))
        fitting = fields
        if (width := terminal_width()) is not None:
            fitting = fields[: _fitting(widths_of(_Rows(report, fields, short=True)), width, len(FIRST))]
        yield from table(_Rows(report, fitting, short=width is not None))
        if left := len(fields) - len(fitting):
            yield f"({many(left, 'more column')} of metrics and params: --columns, or --format csv)"
    if terminal_width() is not None:
        yield f"{many(len(report.runs), 'run')} of {report.place.address}"


class _Rows:
    """The lines of the table, made each time they are gone through: with a column for each param they may be long."""

    def __init__(self, report: "RunsReport", fields: "Sequence[Field]", short: bool = False) -> None:
        self._report = report
        self._fields = fields
        self._heads = [str(field) for field in fields]
        self._short = short
        self._now = int(time.time() * 1000)

    def __iter__(self) -> Iterator[Sequence[str]]:
        yield self._heads
        yield from map(self._row, self._report.runs)

    def _row(self, run: "Run") -> Sequence[str]:
        from runsync.model.fields import values_of
        from runsync.runs.columns import ago, read

        home = self._report.experiments.get(run.experiment_id)
        cells = [read(f, v) for f, v in zip(self._fields, values_of(self._fields, run, home), strict=True)]
        if self._short:
            cells[self._heads.index("run_id")] = run.run_id[:SHORT_ID]
            started = "–" if run.start_time is None else ago(run.start_time, self._now)
            cells[self._heads.index("start_time")] = started
        return cells


def _fitting(widths: Sequence[int], limit: int, first: int) -> int:
    """How many columns to show: the first ones, and of the others those that fit beside them."""
    taken = sum(min(w, NARROWEST) + len(GAP) for w in widths[:first])
    shown = first
    while shown < len(widths) and taken + widths[shown] <= limit:
        taken += widths[shown] + len(GAP)
        shown += 1
    return shown
