"""runsync datasets list"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.tables import NOTHING, table, terminal_width
from runsync.cli.text import many
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.datasets.listing import DatasetsReport


@click.command(epilog="Example: runsync datasets list prod --dataset 'golden*'")
@click.argument("where")
@click.option(
    "--dataset", "datasets", multiple=True, metavar="NAME", help="Only this dataset: a name or glob. Repeatable."
)
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, datasets: tuple[str, ...], workers: int, as_json: bool) -> int:
    """List evaluation datasets.

    Lists the evaluation datasets of a workspace or bundle by name, with how many records each has, the experiments it
    belongs to, and when it was last updated.
    """
    from runsync.datasets.listing import list_datasets

    report = list_datasets(where, datasets=datasets, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "DatasetsReport") -> Iterator[str]:
    if not report.datasets:
        yield "No evaluation datasets."
        return
    rows = [("id", "name", "records", "experiments", "updated")]
    for listed in report.datasets:
        item = listed.dataset
        records = NOTHING if listed.records is None else f"{listed.records:,}"
        experiments = ", ".join(listed.experiments) or NOTHING
        rows.append((item.dataset_id, item.name, records, experiments, iso(item.updated_at)))
    yield from table(rows)
    if terminal_width() is not None:
        yield f"{many(len(report.datasets), 'evaluation dataset')} of {report.place.address}"
