"""runsync experiments tag"""

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments tag prod 'churn*' team=growth")
@click.argument("where")
@click.argument("experiment")
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
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
    experiment: str,
    tags: tuple[str, ...],
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Set tags on experiments.

    EXPERIMENT is a name, an id or a glob. Deleted experiments are ignored.
    """
    from runsync.runs.label import tag_experiments

    with shown("tag", as_json) as progress:
        how = change_text.how(ctx, progress, workers, dry_run)
        report = tag_experiments(where, [experiment], change_text.pairs(tags), how=how)
    return finish(report, as_json, change_text.lines(report))
