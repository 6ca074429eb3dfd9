"""runsync datasets get"""

from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.text import many

if TYPE_CHECKING:
    from runsync.datasets.get import DatasetGetReport


@click.command(epilog="Example: runsync datasets get prod golden --into golden.jsonl")
@click.argument("where")
@click.argument("dataset")
@click.option("--into", required=True, metavar="FILE", help="File for the records; one that is there is replaced.")
@options.dry_run
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context, /, where: str, dataset: str, into: str, dry_run: bool, workers: int, as_json: bool
) -> int:
    """Write the records of an evaluation dataset to a file.

    DATASET is an id, or a name that only one has. The file gets one record a line, as JSON (JSON Lines).
    """
    from runsync.datasets.get import get_dataset

    access = options.access(ctx)
    report = get_dataset(where, dataset, into=into, dry_run=dry_run, workers=workers, access=access)
    return finish(report, as_json, [_line(report)])


def _line(report: "DatasetGetReport") -> str:
    done = "Would write" if report.dry_run else "Wrote"
    return f"{done} {many(report.records, 'record')} of {report.name} to {report.into}"
