"""runsync sync"""

from typing import Any

import click

from runsync.cli import options
from runsync.cli.finish import finish_transfer
from runsync.cli.progress import shown


@click.command(epilog="Example: runsync sync dev prod --experiment 'churn*' --delete --max-delete 25 --dry-run")
@click.argument("source")
@click.argument("target")
@options.selection
@options.expected
@options.kinds
@options.naming
@options.artifacts
@options.into_workspace
@options.of_kinds("sync")
@options.source_artifacts
@click.option("--thorough", is_flag=True, help="Also compare runs that look unchanged since the last sync.")
@click.option("--delete", is_flag=True, help="Also delete copies of what has been deleted from the source.")
@click.option(
    "--max-delete",
    default="10%",
    show_default=True,
    metavar="N",
    help="Fail, before writing anything, if more than this would be deleted: a percentage of the copies or a number "
    "of runs.",
)
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
    target: str,
    rename: tuple[str, ...],
    prefix: str,
    no_artifacts: bool,
    no_tags: bool,
    verify_artifacts: bool,
    restore_deleted: bool,
    init: bool,
    id_map: str | None,
    source_artifacts: str,
    thorough: bool,
    delete: bool,
    max_delete: str,
    accept: tuple[str, ...],
    workers: int,
    dry_run: bool,
    as_json: bool,
    **selection: Any,
) -> int:
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
            selection=options.selected(**selection),
            rename=options.renames(rename),
            prefix=prefix,
            artifacts=not no_artifacts,
            tags=not no_tags,
            verify_artifacts=verify_artifacts,
            restore_deleted=restore_deleted,
            init=init,
            accept=accept,
            source_artifacts=source_artifacts,
            thorough=thorough,
            delete=delete,
            max_delete=max_delete,
            workers=workers,
            dry_run=dry_run,
            id_map=id_map,
            access=options.access(ctx),
            progress=progress,
            **options.given_of_kinds(ctx),
        )
    return finish_transfer(report, as_json)
