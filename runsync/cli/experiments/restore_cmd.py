"""runsync experiments restore"""

import click

from runsync.cli import change_text, consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync experiments restore prod churn")
@click.argument("where")
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@change_text.most
@click.option(
    "--from",
    "from_bundle",
    metavar="BUNDLE",
    help="Select the experiments in this bundle, and import those that the server has purged.",
)
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
    from_bundle: str | None,
    yes: bool,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Restore deleted experiments.

    EXPERIMENT is a name, an id or a glob. MLflow restores all runs of an experiment with it. Runs that had been deleted
    before are deleted again if runsync deleted the experiment and so knows them; otherwise this is reported.
    """
    from runsync.runs.experiments import restore_experiments

    asks = consent.must_ask(yes or dry_run, "experiments restore changes the workspace")
    with shown("restore", as_json) as progress:
        how = change_text.how(ctx, progress, workers, dry_run, most, asks)
        report = restore_experiments(where, experiments, from_bundle=from_bundle, how=how)
    return finish(report, as_json, change_text.lines(report))
