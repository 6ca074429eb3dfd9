"""runsync experiments show"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runsync.cli import options
from runsync.cli.finish import finish, tell_unread
from runsync.cli.pairs import pairs, section
from runsync.cli.tables import NOTHING, bold, folded, terminal_width
from runsync.model.times import iso

if TYPE_CHECKING:
    from runsync.runs.experiments_list import ExperimentReport

NOTES = "mlflow.note.content"


@click.command(epilog="Example: runsync experiments show prod churn")
@click.argument("where")
@click.argument("experiment")
@options.s3
@options.workers
@options.wait
@options.json
@click.pass_context
def command(ctx: click.Context, /, where: str, experiment: str, workers: int, as_json: bool) -> int:
    """Show an experiment.

    EXPERIMENT is a name, an id, or a glob that matches one. Shows its description, tags, times, where its artifacts
    are, how many runs it has by status, and how many logged models.
    """
    from runsync.runs.experiments_list import show_experiment

    report = show_experiment(where, experiment, workers=workers, access=options.access(ctx))
    code = finish(report, as_json, _lines(report), is_data=True)
    tell_unread(report.unreadable)
    return code


def _lines(report: "ExperimentReport") -> Iterator[str]:
    e = report.experiment
    yield bold(f"experiment {e.name}")
    yield from pairs(
        {
            "id": e.experiment_id,
            "state": e.lifecycle_stage,
            "created": iso(e.creation_time),
            "updated": iso(e.last_update_time),
            "artifacts": e.artifact_location,
            "newest run": iso(report.newest),
            "logged models": NOTHING if report.logged_models is None else f"{report.logged_models:,}",
        }
    )
    notes = e.tags.get(NOTES, "")
    yield from section("Description", folded(notes, terminal_width(), "  ") if notes else ())
    counts = {status: f"{count:,}" for status, count in report.statuses.items()}
    counts |= {"deleted": f"{report.deleted:,}"} if report.deleted else {}
    yield from section(f"Runs ({sum(report.statuses.values()) + report.deleted:,})", pairs(counts))
    tags = {key: value for key, value in sorted(e.tags.items()) if key != NOTES}
    yield from section(f"Tags ({len(tags)})", pairs(tags))
