"""Restoring deleted runs, and, from a bundle, those that the server has purged."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runsync.contract.editor import BulkChanges, Editor
from runsync.contract.source import Source
from runsync.errors import NothingSelected, WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.times import iso, now
from runsync.runs import at_once, choose
from runsync.runs.change import (
    FAILED,
    RESTORE,
    UNCHANGED,
    UNDECIDABLE,
    Change,
    ChangeReport,
    How,
    Item,
    Together,
    carry_out,
    item_of,
)
from runsync.runs.changing import changing, refuse_limit, with_runs
from runsync.runs.choose import Meant, first, refuse_everything
from runsync.runs.purged import Purged

DAY = 24 * 60 * 60 * 1000
"""Milliseconds."""
NOT_TOLD = "the server does not tell when it was deleted, and runsync did not delete it: restore it by its id"


def restore_selected_runs(
    where: str,
    selection: Selection | None = None,
    *,
    runs: Sequence[str] = (),
    deleted_since: int | None = None,
    children: bool = True,
    limit: int | None = None,
    from_bundle: str | Path | None = None,
    how: How | None = None,
) -> ChangeReport:
    """Makes the deleted runs of a selection, and of `runs` (ids, beginnings of ids, or names), active again.

    With `children` all that is nested in them too, at any depth. `deleted_since` (epoch milliseconds) takes only runs
    that were deleted then or later; where the time of a deletion is not told, the run is left and told as undecidable.
    `limit` takes those deleted first. With `from_bundle` the selection is that of a bundle (all of its snapshots, each
    run in the newest that has it, or `backup@2026-11-01` alone), and what the workspace has purged is imported from
    there: a server gives it new ids.

    Raises WrongUsage for a selection of everything, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    selection, how = with_runs(selection, runs), how or How()
    _check(selection, deleted_since, children, limit, from_bundle)
    asked: dict[str, object] = {"children": children, "deleted_since": deleted_since, "max_changes": how.most}
    asked |= {"limit": limit, "from": from_bundle and str(from_bundle)}
    with changing(where, "runs restore", how, asked) as (source, editor, report):
        homes = source.experiments(Selection())
        purged = None if from_bundle is None else Purged(where, from_bundle, editor, how)
        look = purged.look if purged else partial(_look, report)
        meant = look(source, homes, selection, children and deleted_since is None)
        report.asked["selection"] = meant.selection.to_document()
        chosen, together = meant.runs, list[Together]()
        restored: set[str] = set()
        if deleted_since is not None and editor.bulk is not None and limit is None and _is_by_time(meant.selection):
            by_time = _ByTime(report, source, editor, editor.bulk, deleted_since, restored)
            chosen, together = by_time.planned(chosen, meant.selection.choose(homes))
        elif deleted_since is not None:
            chosen = decided(report, editor, chosen, deleted_since, homes)
        chosen = first(chosen, limit, DELETED)
        changes = restorations(report, editor, chosen, meant.nested, homes, restored)
        changes += purged.changes(report, homes) if purged else []
        carry_out(report, [changes], how, (lambda: purged.bring(report)) if purged else None, together)
        if purged is not None and how.dry_run:
            purged.foresee(report)
        if purged is not None and report.stopped:
            purged.tell_of_stopped(report)
    return report


def _look(
    report: ChangeReport, source: Source, homes: Sequence[Experiment], selection: Selection, nested: bool
) -> Meant:
    try:
        return choose.look(report, source, homes, selection, DELETED, nested)
    except NothingSelected as error:
        hint = "; if it was purged, --from BUNDLE restores it" if selection.runs else ""
        raise NothingSelected(f"{error}{hint}") from None


def decided(
    report: ChangeReport, editor: Editor, runs: Sequence[Run], since: int, homes: Sequence[Experiment]
) -> list[Run]:
    """Of deleted runs those that were deleted at that time or later, by that time; the report tells the others of
    which that is not known."""
    names = {e.experiment_id: e.name for e in homes}
    later, unknown = _parted(editor, runs, since)
    report.items += [item_of(run, UNDECIDABLE, names.get(run.experiment_id, ""), error=NOT_TOLD) for run in unknown]
    return later


def _parted(editor: Editor, runs: Sequence[Run], since: int) -> tuple[list[Run], list[Run]]:
    """Of deleted runs those that were deleted at that time or later, by that time, and those of an unknown time."""
    deleted = [(editor.deleted_at(run), run) for run in runs if run.lifecycle_stage == DELETED]
    later = [(at, run.run_id, run) for at, run in deleted if at is not None and at >= since]
    return [run for _, _, run in sorted(later, key=lambda one: one[:2])], [run for at, run in deleted if at is None]


def _is_by_time(selection: Selection) -> bool:
    """Whether it is about all runs of some experiments."""
    return replace(selection, experiments=()) == Selection()


@dataclass(frozen=True, slots=True)
class _ByTime:
    """Restoration by a workspace that knows when runs were deleted; in `restored` are those that it brought back."""

    report: ChangeReport
    source: Source
    editor: Editor
    bulk: BulkChanges
    since: int
    restored: set[str]

    def planned(self, runs: Sequence[Run], experiments: Sequence[Experiment]) -> tuple[list[Run], list[Together]]:
        """Those that are surely meant; and what the workspace does, also with those of which it alone knows."""
        sure: list[Run] = []
        together: list[Together] = []
        count = 0
        by_home: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            by_home[run.experiment_id].append(run)
        for experiment in experiments:
            theirs = by_home[experiment.experiment_id]
            if experiment.lifecycle_stage == DELETED:
                sure += decided(self.report, self.editor, theirs, self.since, experiments)
                continue
            later, unknown = _parted(self.editor, theirs, self.since)
            sure += later
            count += len(unknown)
            if later or unknown:
                together.append(self._together(experiment, theirs, later, unknown))
        self._note(count)
        return sure, together

    def _together(
        self, experiment: Experiment, runs: Sequence[Run], later: Sequence[Run], unknown: Sequence[Run]
    ) -> Together:
        items = {run.run_id: item_of(run, RESTORE, experiment.name) for run in (*later, *unknown)}
        plan = at_once.Plan(self.source, self.bulk, self.report, experiment, items)
        known = frozenset(run.run_id for run in runs if run.lifecycle_stage == DELETED)
        alone = {run.run_id: items[run.run_id] for run in unknown}
        return Together(frozenset(items), partial(self._act, plan, known, alone), tuple(alone.values()))

    def _act(self, plan: at_once.Plan, known: frozenset[str], alone: Mapping[str, Item]) -> list[Item]:
        """Of the others something remains to be done: what is remembered of their deletion is taken away."""
        items, is_sure = at_once.restore(plan, self.since, known)
        self.restored.update(item.id for item in items)
        left = [item for id, item in alone.items() if id not in self.restored]
        told = [item for item in items if item.id in alone or item.id not in plan.items]
        action, error = (UNCHANGED, "") if is_sure else (UNDECIDABLE, NOT_TOLD)
        return told + [replace(item, action=action, error=error) for item in left]

    def _note(self, unknown: int) -> None:
        if unknown:
            self.report.notes.append(
                f"of {unknown:,} of these runs only the workspace knows when they were deleted: those deleted before "
                "the time that was named stay so"
            )
        kept_since = now() - self.bulk.keeps_days * DAY
        if self.since < kept_since:
            told = f"the workspace keeps deleted runs for {self.bulk.keeps_days} days"
            self.report.notes.append(f"{told}: what was deleted before {iso(kept_since)} is gone")


def restorations(
    report: ChangeReport,
    editor: Editor,
    chosen: Sequence[Run],
    nested: Sequence[Run],
    homes: Sequence[Experiment],
    restored: Container[str] = (),
) -> list[Change]:
    """What makes the runs active again; the report tells which are so already, and which cannot be.

    Those that are in `restored` by then are active, and only what is remembered of their deletion is to be taken away.
    """
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
            changes.append(Change(item, partial(_restore, editor, run, restored)))
    return changes


def _restore(editor: Editor, run: Run, restored: Container[str]) -> None:
    editor.restore_run(replace(run, lifecycle_stage=ACTIVE) if run.run_id in restored else run)


def _check(
    selection: Selection,
    deleted_since: int | None,
    children: bool,
    limit: int | None,
    from_bundle: str | Path | None,
) -> None:
    if deleted_since is None:
        refuse_everything(selection, "restore")
    refuse_limit(limit, children and deleted_since is None)
    if from_bundle is not None and (deleted_since is not None or limit is not None):
        raise WrongUsage("--from takes its runs from a bundle, which knows no deletions: leave out --deleted-since")
