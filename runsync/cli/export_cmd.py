"""runsync export"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync export http://localhost:5000 backup --experiment 'churn*' --since 30d")
@click.argument("source")
@click.argument("bundle")
@options.selection
@options.expected
@options.kinds
@options.artifacts
@click.option("--thorough", is_flag=True, help="Also read runs that look unchanged since the last snapshot.")
@options.verify_stored
@click.option("--skip-unchanged", is_flag=True, help="Do not make a snapshot if nothing has changed.")
@options.of_kinds("export")
@options.retry_lock
@options.s3
@options.accept
@options.workers
@options.dry_run
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    source: str,
    bundle: str,
    no_artifacts: bool,
    thorough: bool,
    verify_stored: bool,
    skip_unchanged: bool,
    retry_lock: str,
    accept: tuple[str, ...],
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
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
            selection=options.selected(**selection),
            artifacts=not no_artifacts,
            thorough=thorough,
            verify_stored=verify_stored,
            skip_unchanged=skip_unchanged,
            accept=accept,
            retry_lock=options.seconds(retry_lock),
            workers=workers,
            dry_run=dry_run,
            access=options.access(ctx),
            progress=progress,
            **options.given_of_kinds(ctx),
        )
    return finish_transfer(report, as_json)
