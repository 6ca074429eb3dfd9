"""Deleting and restoring runs by time, with the names and the limits of Databricks' functions.

Databricks documents `delete_runs(experiment_id, max_timestamp_millis, max_runs)` and `restore_runs(experiment_id,
min_timestamp_millis, max_runs)`; these work on every workspace, which is named first.
"""

import warnings

from runsync.contract.source import Source
from runsync.errors import NothingSelected, RunsyncError, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.run import Run, Unreadable
from runsync.model.selection import Selection
from runsync.model.wording import many
from runsync.runs.change import (
    DELETE,
    FAILED,
    RESTORE,
    UNDECIDABLE,
    Change,
    ChangeReport,
    How,
    carry_out,
    check_most,
    confirm,
    item_of,
)
from runsync.runs.changing import changing
from runsync.runs.choose import runs_of
from runsync.runs.delete import deletion
from runsync.runs.restore import decided, restorations

MOST_RUNS = 10_000


def delete_runs(
    where: str, experiment_id: str, max_timestamp_millis: int, max_runs: int | None = None, *, how: How | None = None
) -> int:
    """Deletes the runs of an experiment that were created (started) at or before a time (epoch milliseconds), and no
    others: children only where they are among them. Gives how many it deleted.

    `max_runs` is positive, at most and by default 10000; the oldest go first. Raises WrongUsage, NothingSelected, and
    RunsyncError when some could not be deleted, after the others were.
    """
    how, most = how or How(), checked(max_runs)
    with changing(where, "runs delete", how, {}) as (source, editor, report):
        experiment = _experiment(source, experiment_id)
        selection = Selection(until=max_timestamp_millis, state=ACTIVE)
        if editor.bulk is not None and not how.dry_run:
            planned = _planned(report, source, selection, experiment, most, how)
            return editor.bulk.delete_runs(experiment_id, max_timestamp_millis, planned) if planned else 0
        runs = _runs(report, source, selection, experiment)
        changes = [Change(item_of(run, DELETE, experiment.name), deletion(editor, run)) for run in runs[:most]]
        carry_out(report, [changes], how)
    return _count(report)


def restore_runs(
    where: str, experiment_id: str, min_timestamp_millis: int, max_runs: int | None = None, *, how: How | None = None
) -> int:
    """Restores the runs of an experiment that were deleted at or after a time (epoch milliseconds). Gives how many.

    Open-source servers do not tell when a run was deleted: there it is known of what runsync deleted. Of the others
    nothing can be decided: they stay deleted, and a warning tells how many they are. `max_runs` is positive, at most
    and by default 10000; those deleted first are first. Raises WrongUsage, NothingSelected, and RunsyncError when some
    could not be restored, after the others were.
    """
    how, most = how or How(), checked(max_runs)
    with changing(where, "runs restore", how, {}) as (source, editor, report):
        experiment = _experiment(source, experiment_id)
        selection = Selection(state=DELETED)
        if editor.bulk is not None and not how.dry_run:
            planned = _planned(report, source, selection, experiment, most, how)
            return editor.bulk.restore_runs(experiment_id, min_timestamp_millis, planned) if planned else 0
        runs = _runs(report, source, selection, experiment)
        chosen = decided(report, editor, runs, min_timestamp_millis, [experiment])
        carry_out(report, [restorations(report, editor, chosen[:most], [], [experiment])], how)
    if unknown := len(report.of(UNDECIDABLE)):
        told = f"{many(unknown, 'deleted run')} of “{experiment.name}” left so: when they were deleted is not known"
        warnings.warn(told, stacklevel=2)
    return _count(report)


def checked(max_runs: int | None) -> int:
    """The most runs of one call. Raises WrongUsage."""
    if max_runs is None:
        return MOST_RUNS
    if isinstance(max_runs, bool) or not isinstance(max_runs, int) or not 1 <= max_runs <= MOST_RUNS:
        raise WrongUsage(f"max_runs is a positive number, at most {MOST_RUNS}, not {max_runs!r}")
    return max_runs


def _experiment(source: Source, experiment_id: str) -> Experiment:
    for experiment in source.experiments(Selection()):
        if experiment.experiment_id == str(experiment_id):
            return experiment
    raise NothingSelected(f"there is no experiment of the id {experiment_id}")


def _runs(report: ChangeReport, source: Source, selection: Selection, experiment: Experiment) -> list[Run]:
    """Oldest first; the report tells of those that cannot be read."""
    unread: list[Unreadable] = []
    runs = runs_of(source, selection, [experiment], unread.append)
    for one in unread:
        if one.kind == "run" or one.id == experiment.experiment_id:
            report.note_unread(one)
    return runs


def _planned(
    report: ChangeReport, source: Source, selection: Selection, experiment: Experiment, most: int, how: How
) -> int:
    """How many runs the workspace may be asked to change: `most`, unless there is a limit or somebody to ask.

    Then it is those that are there. Databricks does not tell when a run was deleted, so before a restoration all
    deleted runs of the experiment count. Raises TooManyChanges, and what `confirm` raises.
    """
    if how.most is None and how.confirm is None:
        return most
    action = DELETE if selection.state == ACTIVE else RESTORE
    runs = _runs(report, source, selection, experiment)[:most]
    planned = [item_of(run, action, experiment.name) for run in runs]
    check_most(report, planned, how)
    confirm(report, planned, how)
    return len(runs)


def _count(report: ChangeReport) -> int:
    done, failed = len(report.changed()), report.of(FAILED)
    if report.stopped:
        raise RunsyncError(f"{report.verb}: stopped after {done} runs: {report.stopped}")
    if failed:
        raise RunsyncError(
            f"{report.verb}: {done} done, {len(failed)} failed, such as {failed[0].id}: {failed[0].error}"
        )
    return done
