"""runsync traces delete"""

import click

from runsync.cli import change_text, completion, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(
    epilog="Example: runsync traces delete prod --older-than 90d --filter \"status = 'OK'\" --backup attic --dry-run"
)
@click.argument("where")
@click.argument("traces", nargs=-1, metavar="[TRACE]...")
@click.option(
    "--filter",
    "filter_",
    metavar="EXPR",
    default="",
    help="Only traces that match, in MLflow's trace search syntax (see docs/filters.md).",
)
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.experiments,
    help="Only traces of this experiment: a name, id or glob. Repeatable.",
)
@click.option("--older-than", metavar="TIME", help="Only traces that began before: 90d (days ago), 2026-11-01.")
@change_text.most
@click.option(
    "--backup",
    metavar="BUNDLE",
    help="Export the traces into this bundle first; delete only if all of them were exported.",
)
@consent.yes
@options.workers
@options.dry_run
@options.s3
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    traces: tuple[str, ...],
    filter_: str,
    experiments: tuple[str, ...],
    older_than: str | None,
    most: int | None,
    backup: str | None,
    yes: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Delete traces for good.

    TRACE is an id; or select traces with the options, of which all must be met. They are deleted with their spans and
    assessments, and no command brings them back, but for an import of the bundle that --backup names. Only traces of
    active experiments are looked at. Running it again finishes an interrupted delete. Without a terminal to ask on,
    --yes is required.
    """
    from runsync.model.times import parse_time
    from runsync.traces.delete import delete_traces

    asks = consent.must_ask(yes or dry_run, "traces delete deletes traces for good")
    with shown("delete", as_json) as progress:
        report = delete_traces(
            where,
            traces,
            filter=filter_,
            experiments=experiments,
            before=parse_time(older_than) if older_than else None,
            backup=backup,
            how=change_text.how(ctx, progress, workers, dry_run, most, asks),
        )
    return finish(report, as_json, change_text.lines(report))
