"""runsync sync"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown
from runsync.transfer.options import SyncOptions


@click.command(epilog="Example: runsync sync dev prod --experiment 'churn*' --delete --max-delete 25 --dry-run")
@click.argument("source")
@click.argument("target")
@options.selection
@options.expected
@options.kinds
@options.of(SyncOptions, artifacts=options.artifact_root)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, source: str, target: str, as_json: bool, **given: Any) -> int:
    """Copy what is new or changed from one workspace to another.

    Copies directly, with no bundle on disk. Running it again, even after it was killed, copies only what has changed.
    What was deleted from the source stays in the target and is reported; --delete deletes it there too, if it came from
    this source.

    SOURCE and TARGET are servers (http(s)://host:port, with ?workspace=NAME if needed), databases such as
    sqlite:///mlflow.db or postgresql://…, file stores such as ./mlruns, databricks://PROFILE, ARNs of MLflow servers on
    Amazon SageMaker, azureml:// tracking URIs (experimental), or names from runsync.toml.
    """
    from runsync.transfer.sync import sync

    with shown("sync", as_json) as progress:
        report = sync(
            source,
            target,
            **options.gathered(ctx, given),
            progress=progress,
        )
    return finish_transfer(report, as_json)
