"""runsync runs tag"""

from typing import Any

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs tag prod 3f2a91c0 reviewed=yes 'team=churn 2'")
@click.argument("where")
@click.argument("words", nargs=-1, required=True, metavar="[RUN]... KEY=VALUE...")
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
    words: tuple[str, ...],
    everything: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
    """Set tags on runs.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME; or select runs with the options. A word with "=" in it is
    a tag; name a run that has one in its name with --run. Runs that already have the tags are skipped. Deleted runs
    cannot be tagged: restore them first.
    """
    from runsync.runs.choose import refuse_everything
    from runsync.runs.label import tag_runs

    tags = tuple(word for word in words if "=" in word)
    if not tags:
        raise click.UsageError("say which tags to set: KEY=VALUE")
    chosen = options.selected(selection, tuple(word for word in words if "=" not in word))
    if not everything:
        refuse_everything(chosen, "tag", "RUN, --all")
    with shown("tag", as_json) as progress:
        report = tag_runs(where, change_text.pairs(tags), chosen, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
