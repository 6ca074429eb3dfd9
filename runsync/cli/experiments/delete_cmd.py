"""runsync experiments delete"""

import click

from runsync.cli import change_text, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments delete prod 'scratch-*' --backup attic --dry-run")
@click.argument("where")
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@change_text.most
@click.option("--backup", metavar="BUNDLE", help="Export them there first; delete only if all of it arrived.")
@options.accept
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
    experiments: tuple[str, ...],
    most: int | None,
    backup: str | None,
    accept: tuple[str, ...],
    yes: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Delete experiments and their runs.

    EXPERIMENT is a name, an id or a glob. The server keeps them, as deleted, until its administrator purges them.
    Without a terminal to ask at it needs --yes. With --backup, traces and other kinds of objects that are not carried
    and go with an experiment keep it from being deleted, unless --accept names them.
    """
    from runsync.runs.experiments import delete_experiments

    asks = consent.must_ask(yes or dry_run, "experiments delete deletes experiments")
    with shown("delete", as_json) as progress:
        how = change_text.how(ctx, progress, workers, dry_run, most, asks)
        report = delete_experiments(where, experiments, backup=backup, accept=accept, how=how)
    return finish(report, as_json, change_text.lines(report))
