"""runsync runs untag"""

from typing import Any

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs untag prod --tag reviewed --experiment churn")
@click.argument("where")
@click.argument("runs_named", nargs=-1, metavar="[RUN]...")
@click.option("--tag", "keys", multiple=True, metavar="KEY", help="Tag to remove. Repeatable.")
@options.selecting("active")
@click.option("--all", "everything", is_flag=True, help="All runs of the workspace, without a selection.")
@options.workers
@options.dry_run
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    runs_named: tuple[str, ...],
    keys: tuple[str, ...],
    everything: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Remove tags from runs.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME; or select runs with the options. Runs without the tags
    are skipped.
    """
    from runsync.runs.choose import refuse_everything
    from runsync.runs.label import untag_runs

    if not keys:
        raise click.UsageError("say which tags to take away: --tag KEY (a word after WHERE is a run)")
    chosen = options.selected(selection, runs_named)
    if not everything:
        refuse_everything(chosen, "untag", "RUN, --all")
    with shown("untag", as_json) as progress:
        report = untag_runs(where, keys, chosen, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
