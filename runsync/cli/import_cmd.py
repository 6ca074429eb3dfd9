"""runsync import"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync import backup http://localhost:5001 --rename churn=churn-old --dry-run")
@click.argument("bundle")
@click.argument("target")
@options.selection
@options.expected
@options.kinds
@options.naming
@options.artifacts
@options.into_workspace
@options.of_kinds("import")
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
    bundle: str,
    target: str,
    rename: tuple[str, ...],
    prefix: str,
    no_artifacts: bool,
    no_tags: bool,
    verify_artifacts: bool,
    restore_deleted: bool,
    init: bool,
    id_map: str | None,
    retry_lock: str,
    accept: tuple[str, ...],
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
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
            selection=options.selected(**selection),
            rename=options.renames(rename),
            prefix=prefix,
            artifacts=not no_artifacts,
            tags=not no_tags,
            verify_artifacts=verify_artifacts,
            restore_deleted=restore_deleted,
            init=init,
            accept=accept,
            workers=workers,
            dry_run=dry_run,
            id_map=id_map,
            retry_lock=options.seconds(retry_lock),
            access=options.access(ctx),
            progress=progress,
            **options.given_of_kinds(ctx),
        )
    return finish_transfer(report, as_json)
