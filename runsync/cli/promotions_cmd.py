"""runsync promotions"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish

if TYPE_CHECKING:
    from runsync.promotion.history import Record
    from runsync.promotion.promotions import PromotionsReport


@click.command(epilog="Example: runsync promotions prod churn")
@click.argument("target")
@click.argument("model")
@options.s3
@options.workers
@options.unattended
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, target: str, model: str, workers: int, as_json: bool) -> int:
    """List what was promoted to a model, and rolled back.

    Tells when, by whom, from where, from which commit, with which digest and gates, and from which version to which the
    alias moved. It all stands in tags of the registry.
    """
    from runsync.promotion.promotions import promotions

    report = promotions(target, model, workers=workers, access=options.access(ctx))
    return finish(report, as_json, _lines(report), is_data=True)


def _lines(report: "PromotionsReport") -> Iterator[str]:
    if not report.records:
        yield f"Nothing was promoted to {report.model}."
    for record in report.records:
        yield from _of_one(record)
    yield from (f"Not read: tag {key}" for key in report.unread)


def _of_one(record: "Record") -> Iterator[str]:
    before = str(record.holder) if record.holder is not None else "none"
    after = str(record.version) if record.version is not None else "refused"
    told = [f"{record.at}  {record.action}  {record.alias}: {before} → {after}  {record.model} from {record.source}"]
    told += [f"by {record.by}"] if record.by else []
    yield "  ".join(told)
    for name, value in (("commit", record.commit), ("pipeline", record.pipeline), ("digest", record.digest)):
        if value:
            yield f"    {name} {value}"
    for gate in record.gates:
        yield f"    {'passed' if gate.passed else 'refused'}: {gate.expression} ({gate.told})"
    if record.forced:
        yield f"    forced: {record.forced}"
