"""runsync experiments untag"""

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments untag prod churn team")
@click.argument("where")
@click.argument("experiment")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
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
    keys: tuple[str, ...],
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove tags from experiments.

    EXPERIMENT is a name, an id or a glob. MLflow 2 servers cannot do this.
    """
    from runsync.runs.label import untag_experiments

    with shown("untag", as_json) as progress:
        how = change_text.how(ctx, progress, workers, dry_run)
        report = untag_experiments(where, [experiment], keys, how=how)
    return finish(report, as_json, change_text.lines(report))
