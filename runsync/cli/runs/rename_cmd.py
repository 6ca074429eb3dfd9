"""runsync runs rename"""

import click

from runsync.cli import change_text, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync runs rename prod 3f2a91c0 'churn, final'")
@click.argument("where")
@click.argument("run")
@click.argument("name")
@options.workers
@options.dry_run
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, run: str, name: str, workers: int, dry_run: bool, as_json: bool) -> int:
    """Rename a run.

    RUN is an id or its beginning, a name, or EXPERIMENT/NAME.
    """
    from runsync.runs.label import rename_run

    with shown("rename", as_json) as progress:
        report = rename_run(where, run, name, how=change_text.how(ctx, progress, workers, dry_run))
    return finish(report, as_json, change_text.lines(report))
