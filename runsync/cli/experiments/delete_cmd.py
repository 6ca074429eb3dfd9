"""runsync experiments delete"""

import click

from runsync.cli import change_text, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments delete prod 'scratch-*' --backup attic --dry-run")
@click.argument("where")
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@change_text.most
@click.option(
    "--backup",
    metavar="BUNDLE",
    help="Export the experiments into this bundle first; delete only if all of them were exported.",
)
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

    EXPERIMENT is a name, an id or a glob. The server keeps deleted experiments until its administrator purges them.
    Without a terminal to ask on, --yes is required. With --backup, an experiment that has traces or other kinds that
    runsync does not copy is not deleted, unless --accept names them.
    """
    from runsync.runs.experiments import delete_experiments

    asks = consent.must_ask(yes or dry_run, "experiments delete deletes experiments")
    with shown("delete", as_json) as progress:
        how = change_text.how(ctx, progress, workers, dry_run, most, asks)
        report = delete_experiments(where, experiments, backup=backup, accept=accept, how=how)
    return finish(report, as_json, change_text.lines(report))
