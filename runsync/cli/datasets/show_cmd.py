"""runsync datasets show"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish
from runsync.cli.pairs import INDENT, pairs, section
from runsync.cli.tables import NOTHING, bold, terminal_width
from runsync.cli.text import many
from runsync.model.identity import own_tags_removed
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.datasets.show import DatasetReport
    from runsync.kinds.evaluation_datasets import DatasetRecord

SHOWN = 10
"""Records."""
LINES, LONGEST = 3, 1000
"""Of a value: lines on a terminal, else characters."""


@click.command(epilog="Example: runsync datasets show prod golden")
@click.argument("where")
@click.argument("dataset")
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, dataset: str, workers: int, as_json: bool) -> int:
    """Show an evaluation dataset.

    DATASET is an id, or a name that only one has. Shows its experiments, tags and first records; with --json all
    records.
    """
    from runsync.datasets.show import show_dataset

    report = show_dataset(where, dataset, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "DatasetReport") -> Iterator[str]:
    item = report.dataset.dataset
    yield bold(f"evaluation dataset {item.name}")
    head = {"id": item.dataset_id, "experiments": ", ".join(report.dataset.experiments) or NOTHING}
    head |= {"created": iso(item.created_at), "updated": iso(item.updated_at), "created by": item.created_by or NOTHING}
    yield from pairs(head)
    tags = own_tags_removed(item.tags)
    yield from section(f"Tags ({len(tags)})", pairs(dict(sorted(tags.items()))))
    yield from section(f"Records ({len(report.records):,})", _records(report))


def _records(report: "DatasetReport") -> Iterator[str]:
    for record in islice(report.records, SHOWN):
        yield INDENT + record.record_id
        yield from (INDENT + line for line in pairs(_told(record)))
    if (more := len(report.records) - SHOWN) > 0:
        yield f"{INDENT}… and {many(more, 'more record')}: --json, or runsync datasets get"


def _told(record: "DatasetRecord") -> dict[str, str]:
    width = terminal_width()
    told = {name: getattr(record, name) for name in ("inputs", "outputs", "expectations", "source")}
    told["tags"] = dict(record.tags) or None
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in told.items() if value is not None}
    longest = LONGEST if width is None else LINES * width
    return {name: text if len(text) <= longest else f"{text[:longest]}…" for name, text in texts.items()}
