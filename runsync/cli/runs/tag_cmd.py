"""runsync runs tag"""

from typing import Any

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs tag prod reviewed=yes 'team=churn 2' --experiment churn --since 7d")
@click.argument("where")
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@options.selecting("active")
@click.option("--all", "everything", is_flag=True, help="All runs of the workspace: goes without a selection.")
@options.workers
@options.dry_run
@options.unattended
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    tags: tuple[str, ...],
    everything: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Set tags of runs.

    Of one run with --run ID, of many with a selection. Runs that have the tags already are left alone. Deleted runs
    take no tags: restore them first.
    """
    from runsync.runs.choose import refuse_everything
    from runsync.runs.label import tag_runs

    chosen = options.selected(**selection)
    if not everything:
        refuse_everything(chosen, "tag", "--all")
    with shown("tag", as_json) as progress:
        report = tag_runs(where, change_text.pairs(tags), chosen, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
