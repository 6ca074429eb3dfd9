"""runsync models get"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.fetched_text import fetched_lines
from runsync.cli.finish import finish
from runsync.cli.progress import shown
from runsync.kinds.model_versions import READY

if TYPE_CHECKING:
    from runsync.models.get import ModelGetReport


@click.command(epilog="Example: runsync models get backup churn@champion --into churn-model")
@click.argument("where")
@click.argument("model")
@click.option("--into", default=".", metavar="DIR", show_default=True, help="Folder to download to.")
@click.option(
    "--verify",
    is_flag=True,
    help="Also compare files of the same size and time byte by byte, and download those that differ.",
)
@options.dry_run
@options.artifact_root
@options.s3
@options.workers
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    model: str,
    into: str,
    verify: bool,
    dry_run: bool,
    workers: int,
    as_json: bool,
) -> int:
    """Download a model's files.

    MODEL is NAME/VERSION or NAME@ALIAS of a registered model, NAME for its newest version, or models:/m-… for a logged
    model. The files come from wherever they are: a run, a logged model, or another version. mlflow.pyfunc.load_model
    loads the model from DIR.

    Running it again downloads only what is missing or different, as in artifacts get. Exits with 3 if some files
    failed.
    """
    from runsync.models.get import get_model

    with shown("models get", as_json, "files") as progress:
        report = get_model(
            where,
            model,
            into=into,
            dry_run=dry_run,
            verify=verify,
            workers=workers,
            access=options.access(ctx),
            progress=progress,
        )
    return finish(report, as_json, _lines(report))


def _lines(report: "ModelGetReport") -> Iterator[str]:
    yield from fetched_lines(report)
    if report.status != READY:
        yield f"Note: {report.model} is {report.status}, not {READY}: there may be fewer files than there should"
