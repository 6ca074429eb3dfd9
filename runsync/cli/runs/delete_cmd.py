"""runsync runs delete"""

from typing import Any

import click

from runsync.cli import change_text, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(
    epilog="Example: runsync runs delete prod --experiment churn --until 90d --filter 'metrics.auc < 0.5' "
    "--backup attic --dry-run"
)
@click.argument("where")
@click.argument("runs_named", nargs=-1, metavar="[RUN]...")
@options.selection
@click.option("--no-children", is_flag=True, help="Do not delete their nested runs.")
@change_text.limit("Only the N oldest runs; 10000 at most.")
@change_text.most
@click.option(
    "--backup",
    metavar="BUNDLE",
    help="Export the runs into this bundle first; delete only if all of them were exported.",
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
    runs_named: tuple[str, ...],
    no_children: bool,
    limit: int | None,
    most: int | None,
    backup: str | None,
    yes: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Delete runs.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME; or select runs with the options. Nested runs are deleted
    too. The server keeps deleted runs until its administrator purges them; until then runsync runs restore brings them
    back. Runs that are already deleted are skipped, so running it again finishes an interrupted delete. Without a
    terminal to ask on, --yes is required.
    """
    from runsync.runs.delete import delete_selected_runs

    asks = consent.must_ask(yes or dry_run, "runs delete deletes runs")
    with shown("delete", as_json) as progress:
        report = delete_selected_runs(
            where,
            options.selected(selection, runs_named),
            children=not no_children,
            limit=limit,
            backup=backup,
            how=change_text.how(ctx, progress, workers, dry_run, most, asks),
        )
    return finish(report, as_json, change_text.lines(report))
