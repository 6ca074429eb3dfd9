"""runsync runs untag"""

from typing import Any

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs untag prod reviewed --experiment churn")
@click.argument("where")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
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
    keys: tuple[str, ...],
    everything: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Take tags away from runs.

    From one run with --run ID, from many with a selection. Runs without the tags are left alone.
    """
    from runsync.runs.choose import refuse_everything
    from runsync.runs.label import untag_runs

    chosen = options.selected(**selection)
    if not everything:
        refuse_everything(chosen, "untag", "--all")
    with shown("untag", as_json) as progress:
        report = untag_runs(where, keys, chosen, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
