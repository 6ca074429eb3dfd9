"""runsync export"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown
from runsync.transfer.options import ExportOptions


@click.command(epilog="Example: runsync export http://localhost:5000 backup --experiment 'churn*' --since 30d")
@click.argument("source")
@click.argument("bundle")
@options.selection
@options.expected
@options.kinds
@options.of(ExportOptions, artifacts=options.artifact_root, accept=options.s3)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, source: str, bundle: str, as_json: bool, **given: Any) -> int:
    """Export a workspace into a bundle.

    Exports everything, deleted runs and experiments too, unless you select less. SOURCE is a server
    (http(s)://host:port, with ?workspace=NAME if needed), a database such as sqlite:///mlflow.db or postgresql://…, a
    file store such as ./mlruns, databricks://PROFILE, the ARN of an MLflow server on Amazon SageMaker, an azureml://
    tracking URI (experimental), or a name from runsync.toml.

    BUNDLE is a folder or s3://bucket/prefix, and is created if it does not exist. Exporting into it again adds a
    snapshot and reads only what changed. An interrupted export continues where it stopped.
    """
    from runsync.transfer.export import export

    with shown("export", as_json) as progress:
        report = export(
            source,
            bundle,
            **options.gathered(ctx, given),
            progress=progress,
        )
    return finish_transfer(report, as_json)
