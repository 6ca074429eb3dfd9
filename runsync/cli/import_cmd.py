"""runsync import"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown
from runsync.transfer.options import BundleImportOptions


@click.command(epilog="Example: runsync import backup http://localhost:5001 --rename churn=churn-old --dry-run")
@click.argument("bundle")
@click.argument("target")
@options.selection
@options.expected
@options.kinds
@options.of(BundleImportOptions, artifacts=options.artifact_root, accept=options.s3)
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, bundle: str, target: str, as_json: bool, **given: Any) -> int:
    """Import a bundle into a workspace.

    Imports everything in the newest snapshot (or in another: backup@2026-11-01), each run in the state it had. Running
    it again, even after it was killed, writes only what is missing.

    TARGET is a server (http(s)://host:port), a database such as sqlite:///mlflow.db or postgresql://… (which keeps run
    ids and all times), a file store such as ./mlruns, the ARN of an MLflow server on Amazon SageMaker, an azureml://
    tracking URI (experimental), or a name from runsync.toml.
    """
    from runsync.transfer.import_ import import_

    with shown("import", as_json) as progress:
        report = import_(
            bundle,
            target,
            **options.gathered(ctx, given),
            progress=progress,
        )
    return finish_transfer(report, as_json)
