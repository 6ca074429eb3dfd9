"""Deleting runs, with what hangs below them."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from runsync.contract.editor import Editor
from runsync.errors import RequestRefused, RunsyncError
from runsync.kinds.left_behind import counted, is_known
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import DELETED_AT
from runsync.model.named import BY_ID
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.times import now
from runsync.model.wording import many
from runsync.runs import at_once
from runsync.runs.change import DELETE, UNCHANGED, Change, ChangeReport, How, Item, Together, carry_out, item_of
from runsync.runs.changing import changing, refuse_limit, with_runs
from runsync.runs.choose import children_first, first, look, refuse_everything
from runsync.transfer.export import export
from runsync.transfer.report import TransferReport


def delete_selected_runs(
    where: str,
    selection: Selection | None = None,
    *,
    runs: Sequence[str] = (),
    children: bool = True,
    limit: int | None = None,
    backup: str | Path | None = None,
    how: How | None = None,
) -> ChangeReport:
    """Deletes the runs of a selection, and of `runs` (ids, beginnings of ids, or names); the server keeps them, as
    deleted, until its administrator purges them.

    With `children` all that is nested in them goes too, at any depth. `limit` takes the oldest ones only. `backup`
    names a bundle: what will go is exported there first, and nothing is deleted unless that export is whole. Running it
    again finishes what was stopped. What a selection says by nothing but experiments and `until` is left to the
    workspace where that deletes by time (Databricks), many runs in a request.

    Raises WrongUsage for a selection of everything, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    selection, how = with_runs(selection, runs), how or How()
    refuse_limit(limit, children)
    refuse_everything(selection, "delete")
    asked = {"children": children, "max_changes": how.most, "limit": limit, "backup": backup and str(backup)}
    with changing(where, "runs delete", how, asked) as (source, editor, report):
        homes = source.experiments(Selection())
        listed_at = now()
        meant = look(report, source, homes, selection, ACTIVE, children)
        report.asked["selection"] = meant.selection.to_document()
        going, changes = _changes(report, editor, first(meant.runs, limit, ACTIVE), meant.nested, homes)
        together: list[Together] = []
        if editor.bulk is not None and limit is None and _is_by_time(meant.selection):
            plan = partial(at_once.Plan, source, editor.bulk, report)
            together = _together(plan, editor, changes, going, meant.selection, homes, listed_at)
            if together:
                report.notes.append(f"the workspace keeps deleted runs for {editor.bulk.keeps_days} days")
        wanted = Selection(runs=tuple(BY_ID + run_id for run_id in changes))
        waves = [[changes[run.run_id] for run in wave] for wave in children_first(going)]
        carry_out(report, waves, how, backup_first(report, where, backup, wanted, how), together)
    return report


def _changes(
    report: ChangeReport, editor: Editor, chosen: Sequence[Run], nested: Sequence[Run], homes: Sequence[Experiment]
) -> tuple[list[Run], dict[str, Change]]:
    """The runs that are to go, and what deletes each, by id; the report tells which are gone already."""
    names = {e.experiment_id: e.name for e in homes}
    children = {run.run_id for run in nested}
    going: list[Run] = []
    changes: dict[str, Change] = {}
    for run in (*chosen, *nested):
        item = item_of(run, DELETE, names.get(run.experiment_id, ""), run.run_id in children)
        if run.lifecycle_stage == DELETED:
            report.items.append(replace(item, action=UNCHANGED))
        else:
            going.append(run)
            changes[run.run_id] = Change(item, deletion(editor, run))
    return going, changes


def _is_by_time(selection: Selection) -> bool:
    """Whether it is about all runs of some experiments up to a time."""
    return replace(selection, experiments=(), until=None) == Selection()


def _together(
    plan: Callable[[Experiment, Mapping[str, Item]], at_once.Plan],
    editor: Editor,
    changes: Mapping[str, Change],
    going: Sequence[Run],
    selection: Selection,
    homes: Sequence[Experiment],
    listed_at: int,
) -> list[Together]:
    """What the workspace deletes itself. Of other experiments only children are planned: there it is not asked."""
    until = listed_at if selection.until is None else selection.until
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in going:
        runs[run.experiment_id].append(run)
    found = []
    for experiment in selection.choose(homes):
        theirs = runs[experiment.experiment_id]
        if theirs and experiment.lifecycle_stage == ACTIVE:
            items = {run.run_id: changes[run.run_id].item for run in theirs}
            since = min(run.start_time or 0 for run in theirs)
            act = partial(at_once.delete, plan(experiment, items), since, until, listed_at)
            noted = [run.run_id for run in theirs if editor.is_unfinished(run)]
            found.append(Together(frozenset(items), partial(_act, editor, noted, act)))
    return found


def _act(editor: Editor, noted: Sequence[str], act: Callable[[], list[Item]]) -> list[Item]:
    """The workspace alone will know when they were deleted: the time of an earlier deletion is taken away before."""
    for run_id in noted:
        with suppress(RequestRefused):
            editor.untag_run(run_id, [DELETED_AT])
    return act()


def backup_first(
    report: ChangeReport,
    where: str,
    backup: str | Path | None,
    selection: Selection,
    how: How,
    accept: Iterable[str] = (),
    goes_with: Container[str] = (),
) -> Callable[[], None] | None:
    """What exports a selection, and raises RunsyncError unless all of it arrived; None where none was asked for.

    `goes_with` are kinds that go with what is deleted: those that are not in `accept` must not stay behind.
    """
    if backup is None:
        return None

    def act() -> None:
        report.backup = export(
            where,
            backup,
            selection=selection,
            accept=accept,
            workers=how.workers,
            access=how.access,
            progress=how.progress,
        )
        if why := report.backup.stopped or _lacking(report.backup, goes_with):
            raise RunsyncError(f"the backup is not whole ({why}): nothing was deleted")

    return act


def _lacking(backup: TransferReport, goes_with: Container[str]) -> str:
    """What the backup has not of what is to go; "" where it has all."""
    lost = backup.failed + backup.problems
    left = [one for one in backup.left_behind if one.kind in goes_with]
    told = [f"{counted(one)} {'left behind' if is_known(one) else 'not known'}" for one in left]
    return ", ".join([*([f"{many(len(lost), 'thing')} failed"] if lost else []), *told])


def deletion(editor: Editor, run: Run) -> Callable[[], None]:
    """What deletes a run."""
    return lambda: editor.delete_run(run.run_id, now())
