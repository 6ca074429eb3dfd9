"""runsync prune"""

import click

from runsync.cli import consent, options
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.cli.prune_text import lines, plan


@click.command(epilog="Example: runsync prune s3://backups/mlflow --yes --retry-lock 30m")
@click.argument("bundle")
@options.dry_run
@consent.yes
@options.retry_lock
@options.s3
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, dry_run: bool, yes: bool, retry_lock: float, as_json: bool) -> int:
    """Delete data that no snapshot of a bundle needs.

    Deletes what forgotten snapshots and interrupted exports left behind, and merges small or mostly outdated parts into
    new ones. Nothing else may write to the bundle meanwhile. If a manifest or part cannot be read, nothing is deleted
    (exit code 12).
    """
    from runsync.bundle.prune import prune

    access = options.access(ctx)
    with shown("prune", as_json) as progress:
        if not dry_run and consent.must_ask(yes, "prune deletes files"):
            consent.ask(plan(prune(bundle, dry_run=True, access=access, progress=progress)))
        report = prune(bundle, dry_run=dry_run, retry_lock=retry_lock, access=access, progress=progress)
    return finish(report, as_json, lines(report))
