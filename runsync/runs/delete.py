"""Deleting runs, with what hangs below them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from runsync.errors import RunsyncError, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED
from runsync.model.protocol import Editor
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.times import now
from runsync.runs.change import DELETE, UNCHANGED, Change, ChangeReport, How, carry_out, item_of
from runsync.runs.choose import children_first, chosen_runs, nested_in, refuse_everything, with_runs
from runsync.transfer.export import export
from runsync.transfer.places import open_editor


def delete_selected_runs(
    where: str,
    selection: Selection | None = None,
    *,
    runs: Sequence[str] = (),
    children: bool = True,
    max_runs: int | None = None,
    backup: str | Path | None = None,
    how: How | None = None,
) -> ChangeReport:
    """Deletes the runs of a selection, and of `runs` (ids, beginnings of ids, or names); the server keeps them, as
    deleted, until its administrator purges them.

    With `children` all that is nested in them goes too, at any depth. `max_runs` takes the oldest ones only. `backup`
    names a bundle: what will go is exported there first, and nothing is deleted unless that export is whole. Running it
    again finishes what was stopped.

    Raises WrongUsage for a selection of everything, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    selection, how = selection or Selection(), how or How()
    if max_runs is not None and children:
        raise WrongUsage("--max-runs counts runs one by one, without their children: say --no-children with it")
    if not runs:
        refuse_everything(selection, "delete")
    with open_editor(where, access=how.access, workers=how.workers) as (source, editor):
        homes = source.experiments(Selection())
        selection = with_runs(source, selection, runs, homes)
        asked = {
            "selection": selection.to_document(),
            "children": children,
            "max": how.most,
            "max_runs": max_runs,
            "backup": None if backup is None else str(backup),
        }
        report = ChangeReport("runs delete", source.place, how.dry_run, asked)
        chosen = chosen_runs(source, selection, homes)
        if max_runs is not None:
            chosen = [run for run in chosen if run.lifecycle_stage == ACTIVE][:max_runs]
        nested = nested_in(source, chosen, homes) if children else []
        _delete(report, editor, chosen, nested, {e.experiment_id: e.name for e in homes}, where, backup, how)
        report.requests = editor.requests
    return report


def _delete(
    report: ChangeReport,
    editor: Editor,
    chosen: Sequence[Run],
    nested: Sequence[Run],
    homes: dict[str, str],
    where: str,
    backup: str | Path | None,
    how: How,
) -> None:
    children = {run.run_id for run in nested}

    def change(run: Run) -> Change:
        item = item_of(run, DELETE, homes.get(run.experiment_id, ""), run.run_id in children)
        return Change(item, deletion(editor, run))

    everything = (*chosen, *nested)
    gone = [change(run).item for run in everything if run.lifecycle_stage == DELETED]
    report.items += [replace(item, action=UNCHANGED) for item in gone]
    going = [run for run in everything if run.lifecycle_stage != DELETED]
    wanted = Selection(runs=tuple(run.run_id for run in going))
    waves = [[change(run) for run in wave] for wave in children_first(going)]
    carry_out(report, waves, how, backup_first(report, where, backup, wanted, how))


def backup_first(
    report: ChangeReport, where: str, backup: str | Path | None, selection: Selection, how: How
) -> Callable[[], None] | None:
    """What exports a selection, and raises RunsyncError unless all of it arrived; None where none was asked for."""
    if backup is None:
        return None

    def act() -> None:
        report.backup = export(
            where, backup, selection=selection, workers=how.workers, access=how.access, progress=how.progress
        )
        if report.backup.exit_code:
            why = report.backup.stopped or f"{len(report.backup.failed) + len(report.backup.problems)} things failed"
            raise RunsyncError(f"the backup is not whole ({why}): nothing was deleted")

    return act


def deletion(editor: Editor, run: Run) -> Callable[[], None]:
    """What deletes a run."""
    return lambda: editor.delete_run(run.run_id, now())
