"""runsync experiments list"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish, tell_unread
from runsync.cli.tables import table, terminal_width
from runsync.cli.text import many
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.runs.experiments_list import ExperimentsReport


@click.command(epilog="Example: runsync experiments list prod --experiment 'churn*' --state active")
@click.argument("where")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME",
    help="Only this experiment: a name, id or glob. Repeatable.",
)
@click.option(
    "--state",
    type=click.Choice(["active", "deleted", "all"]),
    default="all",
    show_default=True,
    help="Lifecycle stage of the experiments.",
)
@click.option(
    "--counts",
    is_flag=True,
    help="Also count the runs. On a server this reads all of them; a bundle always shows the counts.",
)
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(
    ctx: click.Context,
    /,
    where: str,
    experiments: tuple[str, ...],
    state: str,
    counts: bool,
    workers: int,
    as_json: bool,
) -> int:
    """List experiments.

    Lists the experiments of a workspace or bundle, oldest first. What cannot be read is listed on stderr, and the exit
    code is then 3.
    """
    from runsync.runs.experiments_list import list_experiments

    report = list_experiments(
        where, experiments=experiments, state=state, counts=counts, workers=workers, access=options.access(ctx)
    )
    code = finish(report, as_json, _lines(report), is_data=True)
    tell_unread(report.unreadable)
    return code


def _lines(report: "ExperimentsReport") -> Iterator[str]:
    if not report.experiments:
        yield "No experiments."
        return
    counts = report.runs
    heads = ("id", "name", "state", "created", "updated")
    rows = [heads if counts is None else (*heads, "runs")]
    for e in report.experiments:
        row = (e.experiment_id, e.name, e.lifecycle_stage, iso(e.creation_time), iso(e.last_update_time))
        rows.append(row if counts is None else (*row, f"{counts.get(e.experiment_id, 0):,}"))
    yield from table(rows)
    if terminal_width() is not None:
        yield f"{many(len(report.experiments), 'experiment')} of {report.place.address}"
