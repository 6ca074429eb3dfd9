"""runsync traces list"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import completion, options
from runsync.cli.finish import finish, tell_unread
from runsync.cli.tables import NOTHING, table, terminal_width
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.traces.listing import TracesReport

_PREVIEW = 200
"""Characters of a request that are shown."""


@click.command(
    epilog="Example: runsync traces list prod --filter \"status = 'ERROR' AND timestamp > 7d ago\" --limit 20"
)
@click.argument("where")
@click.option(
    "--filter",
    "filter_",
    metavar="EXPR",
    default="",
    help="Only traces that match, in MLflow's trace search syntax: \"span.type = 'TOOL'\" (see docs/filters.md).",
)
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.experiments,
    help="Only traces of this experiment: a name, id or glob. Repeatable.",
)
@click.option(
    "--order-by",
    multiple=True,
    metavar="FIELD",
    help='Sort by a field, such as "execution_time_ms DESC". Repeatable. Default: newest first.',
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="List only the first N traces. Default: all.")
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    filter_: str,
    experiments: tuple[str, ...],
    order_by: tuple[str, ...],
    limit: int | None,
    workers: int,
    as_json: bool,
) -> int:
    """List traces.

    Lists the traces of a workspace or bundle, newest first: those of active experiments. Traces without a value to sort
    by come last. What cannot be read is listed on stderr, and the exit code is then 3.
    """
    from runsync.traces.listing import list_traces

    report = list_traces(
        where,
        filter=filter_,
        experiments=experiments,
        order_by=order_by,
        limit=limit,
        workers=workers,
        access=options.access(ctx),
    )
    code = finish(report, as_json, _lines(report), is_data=True)
    tell_unread(report.unreadable)
    return code


def _lines(report: "TracesReport") -> Iterator[str]:
    from runsync.kinds.trace_filter import TRACE_NAME
    from runsync.model.times import duration, iso
    from runsync.runs.columns import ago

    if not report.traces:
        yield "No traces."
        return
    is_shown = terminal_width() is not None
    now = int(time.time() * 1000)
    rows = [("trace_id", "began", "took", "state", "name", "experiment", "request")]
    for trace in report.traces:
        home = report.experiments.get(trace.experiment_id)
        took = NOTHING if trace.execution_duration is None else duration(trace.execution_duration)
        rows.append(
            (
                trace.trace_id,
                ago(trace.request_time, now) if is_shown else iso(trace.request_time, "milliseconds"),
                took,
                trace.state,
                trace.tags.get(TRACE_NAME) or NOTHING,
                home.name if home is not None else trace.experiment_id,
                (trace.request_preview or NOTHING)[:_PREVIEW],
            )
        )
    yield from table(rows, whole=(0,))
    if is_shown:
        yield f"{many(len(report.traces), 'trace')} of {report.place.address}"
