"""runsync runs restore"""

from typing import Any

import click

from runsync.cli import change_text, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs restore prod --experiment churn --deleted-since 2h --dry-run")
@click.argument("where")
@click.argument("runs_named", nargs=-1, metavar="[RUN]...")
@options.selection
@click.option(
    "--deleted-since",
    metavar="TIME",
    help="Only runs deleted at or after this time (nested runs by their own time). Runs whose time is unknown are "
    "skipped and reported.",
)
@click.option("--no-children", is_flag=True, help="Do not restore their nested runs.")
@change_text.limit("Only N runs, those deleted first; 10000 at most.")
@change_text.most
@click.option(
    "--from",
    "from_bundle",
    metavar="BUNDLE",
    help="Select the runs in this bundle, and import those that the server has purged.",
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
    deleted_since: str | None,
    no_children: bool,
    limit: int | None,
    most: int | None,
    from_bundle: str | None,
    yes: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Restore deleted runs.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME; or select runs with the options. Nested runs are restored
    too. MLflow servers do not tell when a run was deleted, so the time is known only for runs that runsync deleted (and
    on Databricks).

    With --from, runs are selected in a bundle: in all of its snapshots, or in one with BUNDLE@ID. Runs that the server
    has purged are imported again, with new ids.
    """
    from runsync.model.times import parse_time
    from runsync.runs.restore import restore_selected_runs

    asks = consent.must_ask(yes or dry_run, "runs restore changes the workspace")
    with shown("restore", as_json) as progress:
        report = restore_selected_runs(
            where,
            options.selected(selection, runs_named),
            deleted_since=parse_time(deleted_since) if deleted_since else None,
            children=not no_children,
            limit=limit,
            from_bundle=from_bundle,
            how=change_text.how(ctx, progress, workers, dry_run, most, asks),
        )
    return finish(report, as_json, change_text.lines(report))
