"""Restoring deleted runs, and, from a bundle, those that the server has purged."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from runsync.errors import WrongUsage
from runsync.model.experiment import DELETED, Experiment
from runsync.model.protocol import Editor
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.change import (
    FAILED,
    RESTORE,
    UNCHANGED,
    UNDECIDABLE,
    Change,
    ChangeReport,
    How,
    carry_out,
    item_of,
)
from runsync.runs.choose import chosen_runs, nested_in, refuse_everything, with_runs
from runsync.runs.purged import Purged
from runsync.transfer.places import open_editor

NOT_TOLD = "the server does not tell when it was deleted, and runsync did not delete it: restore it by its id"


def restore_selected_runs(
    where: str,
    selection: Selection | None = None,
    *,
    runs: Sequence[str] = (),
    deleted_since: int | None = None,
    children: bool = True,
    max_runs: int | None = None,
    from_bundle: str | Path | None = None,
    how: How | None = None,
) -> ChangeReport:
    """Makes the deleted runs of a selection, and of `runs` (ids, beginnings of ids, or names), active again.

    With `children` all that is nested in them too, at any depth. `deleted_since` (epoch milliseconds) takes only runs
    that were deleted then or later; where the time of a deletion is not told, the run is left and told as undecidable.
    `max_runs` takes those deleted first. With `from_bundle` the selection is that of a bundle (its newest snapshot, or
    `backup@2026-11-01`), and what the workspace has purged is imported from there: a server gives it new ids.

    Raises WrongUsage for a selection of everything, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    selection, how = selection or Selection(), how or How()
    _check(selection, runs, deleted_since, children, max_runs, from_bundle)
    with open_editor(where, access=how.access, workers=how.workers) as (source, editor):
        homes = source.experiments(Selection())
        asked: dict[str, object] = {
            "children": children,
            "deleted_since": deleted_since,
            "max": how.most,
            "max_runs": max_runs,
        }
        asked["from"] = None if from_bundle is None else str(from_bundle)
        report = ChangeReport("runs restore", source.place, how.dry_run, asked)
        purged = None
        if from_bundle is None:
            selection = with_runs(source, selection, runs, homes)
            chosen = chosen_runs(source, selection, homes)
            nested = nested_in(source, chosen, homes) if children and deleted_since is None else []
        else:
            purged = Purged(where, from_bundle, editor, how)
            selection, chosen, nested = purged.look(source, homes, selection, runs, children)
        report.asked["selection"] = selection.to_document()
        if deleted_since is not None:
            chosen = decided(report, editor, chosen, deleted_since, homes)
        if max_runs is not None:
            chosen = [run for run in chosen if run.lifecycle_stage == DELETED][:max_runs]
        changes = restorations(report, editor, chosen, nested, homes)
        changes += purged.changes(report, homes) if purged else []
        carry_out(report, [changes], how, (lambda: purged.bring(report)) if purged else None)
        report.requests = editor.requests
    return report


def decided(
    report: ChangeReport, editor: Editor, runs: Sequence[Run], since: int, homes: Sequence[Experiment]
) -> list[Run]:
    """Of deleted runs those that were deleted at that time or later, by that time; the report tells the others of
    which that is not known."""
    names = {e.experiment_id: e.name for e in homes}
    deleted = [(editor.deleted_at(run), run) for run in runs if run.lifecycle_stage == DELETED]
    report.items += [
        item_of(run, UNDECIDABLE, names.get(run.experiment_id, ""), error=NOT_TOLD) for at, run in deleted if at is None
    ]
    later = [(at, run.run_id, run) for at, run in deleted if at is not None and at >= since]
    return [run for _, _, run in sorted(later, key=lambda one: one[:2])]


def restorations(
    report: ChangeReport,
    editor: Editor,
    chosen: Sequence[Run],
    nested: Sequence[Run],
    homes: Sequence[Experiment],
) -> list[Change]:
    """What makes the runs active again; the report tells which are so already, and which cannot be."""
    places = {e.experiment_id: e for e in homes}
    children = {run.run_id for run in nested}
    changes = []
    for run in (*chosen, *nested):
        home = places.get(run.experiment_id)
        item = item_of(run, RESTORE, home.name if home else "", run.run_id in children)
        if run.lifecycle_stage != DELETED and not editor.is_unfinished(run):
            report.items.append(replace(item, action=UNCHANGED))
        elif home is not None and home.lifecycle_stage == DELETED:
            why = f"its experiment “{home.name}” is deleted: restore that with runsync experiments restore"
            report.items.append(replace(item, action=FAILED, error=why))
        else:
            changes.append(Change(item, partial(editor.restore_run, run)))
    return changes


def _check(
    selection: Selection,
    runs: Sequence[str],
    deleted_since: int | None,
    children: bool,
    max_runs: int | None,
    from_bundle: str | Path | None,
) -> None:
    if not runs and deleted_since is None:
        refuse_everything(selection, "restore")
    if max_runs is not None and children and deleted_since is None:
        raise WrongUsage("--max-runs counts runs one by one, without their children: say --no-children with it")
    if from_bundle is not None and (deleted_since is not None or max_runs is not None):
        raise WrongUsage("--from takes its runs from a bundle, which knows no deletions: leave out --deleted-since")
