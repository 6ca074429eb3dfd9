"""runsync experiments rename"""

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments rename prod churn 'churn 2026'")
@click.argument("where")
@click.argument("experiment")
@click.argument("name")
@options.workers
@options.dry_run
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context, /, where: str, experiment: str, name: str, workers: int, dry_run: bool, as_json: bool
) -> int:
    """Rename an experiment.

    EXPERIMENT is a name or an id. No other experiment may have the new name, not even a deleted one.
    """
    from runsync.runs.label import rename_experiment

    with shown("rename", as_json) as progress:
        report = rename_experiment(where, experiment, name, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
