"""Deleting and restoring experiments, with all their runs.

MLflow deletes the runs of an experiment along with it, and restores all of them along with it: also those that had been
deleted before. Where that is known, those are deleted again.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from runsync.contract.editor import Editor
from runsync.contract.source import Source
from runsync.errors import RequestRefused, WrongUsage
from runsync.kinds.left_behind import GO_WITH_EXPERIMENTS, NOT_OF_RUNS
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.named import BY_ID
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.model.times import now
from runsync.model.wording import many
from runsync.runs.change import DELETE, IMPORT, RESTORE, UNCHANGED, Change, ChangeReport, How, carry_out, item_of
from runsync.runs.changing import changing
from runsync.runs.choose import chosen_experiments
from runsync.runs.delete import backup_first
from runsync.transfer.import_ import import_
from runsync.transfer.places import open_held


def delete_experiments(
    where: str,
    experiments: Sequence[str],
    *,
    backup: str | Path | None = None,
    accept: Iterable[str] = (),
    how: How | None = None,
) -> ChangeReport:
    """Deletes experiments (names, ids or globs) and their runs; the server keeps them, as deleted, until it is purged.

    `backup` names a bundle: they are exported there first, and nothing is deleted unless that export is whole. Kinds of
    objects that go with them and are not carried, such as traces, must be in `accept` (see `export`).

    Raises WrongUsage, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    how = how or How()
    asked = {"experiments": list(experiments), "max_changes": how.most, "backup": backup and str(backup)}
    with changing(where, "experiments delete", how, asked) as (source, editor, report):
        chosen = _chosen(source, experiments, ACTIVE)
        report.items += [item_of(e, UNCHANGED) for e in chosen if e.lifecycle_stage == DELETED]
        going = [e for e in chosen if e.lifecycle_stage == ACTIVE]
        runs = _runs(source, going)
        changes = []
        for experiment in going:
            gone = [r.run_id for r in runs[experiment.experiment_id] if r.lifecycle_stage == DELETED]
            act = partial(_delete, editor, experiment, gone)
            changes.append(Change(item_of(experiment, DELETE), act))
        active = sum(r.lifecycle_stage == ACTIVE for some in runs.values() for r in some)
        if active:
            go = "would go" if how.dry_run else "goes" if active == 1 else "go"
            report.notes.append(f"{many(active, 'active run')} {go} with them")
        wanted = Selection(experiments=tuple(BY_ID + e.experiment_id for e in going))
        carry_out(report, [changes], how, backup_first(report, where, backup, wanted, how, accept, GO_WITH_EXPERIMENTS))
    return report


def restore_experiments(
    where: str, experiments: Sequence[str], *, from_bundle: str | Path | None = None, how: How | None = None
) -> ChangeReport:
    """Makes deleted experiments (names, ids or globs) active again, with their runs.

    Runs that had been deleted before the experiment was are deleted again where that is known, as it is of what runsync
    deleted; else the report's notes tell that all are active now. With `from_bundle` the experiments are those of a
    bundle, and what the workspace has purged is imported from there: a server gives it new ids.

    Raises WrongUsage, NothingSelected, TooManyChanges, and what `how.confirm` raises.
    """
    how = how or How()
    asked = {"experiments": list(experiments), "max_changes": how.most, "from": from_bundle and str(from_bundle)}
    with changing(where, "experiments restore", how, asked) as (source, editor, report):
        purged: list[Experiment] = []
        if from_bundle is None:
            chosen = _chosen(source, experiments, DELETED)
        else:
            chosen, purged = _of_bundle(from_bundle, source, experiments, how)
        runs = _runs(source, chosen)
        half = {e.experiment_id for e in chosen if editor.is_half_restored(e, runs[e.experiment_id])}
        back = [e for e in chosen if e.lifecycle_stage == DELETED or e.experiment_id in half]
        report.items += [item_of(e, UNCHANGED) for e in chosen if e not in back]
        waves = _restorations(report, editor, back, runs)
        waves[0] += [Change(item_of(e, IMPORT), partial(_tell, report, e)) for e in purged]
        names = tuple(BY_ID + e.experiment_id for e in purged)
        before = partial(_import, report, where, from_bundle, names, how) if from_bundle and purged else None
        carry_out(report, waves, how, before)
    return report


def _chosen(source: Source, experiments: Sequence[str], state: str) -> list[Experiment]:
    if not experiments:
        raise WrongUsage("name the experiments: by name, id or glob")
    return chosen_experiments(source.experiments(Selection()), experiments, state)


def _runs(source: Source, experiments: Sequence[Experiment]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {e.experiment_id: [] for e in experiments}
    for batch in source.batches(experiments, Selection()):
        for run in batch.runs:
            found[run.experiment_id].append(run)
    return found


def _delete(editor: Editor, experiment: Experiment, gone: Sequence[str]) -> None:
    editor.delete_experiment(experiment, now(), gone)


def _restorations(
    report: ChangeReport, editor: Editor, experiments: Sequence[Experiment], runs: dict[str, list[Run]]
) -> list[list[Change]]:
    """First the experiments; then the runs that are deleted again; then what was remembered of that is taken away."""
    waves: list[list[Change]] = [[], []]
    for experiment in experiments:
        theirs = runs[experiment.experiment_id]
        known = editor.deleted_before(experiment, theirs)
        again = [run for run in theirs if run.run_id in known.run_ids]
        rest = len(theirs) - len(again)
        if rest and not known.is_all:
            report.notes.append(
                f"“{experiment.name}” was not deleted by runsync: which of its other {many(rest, 'run')} were deleted "
                "before it was is not known, and all of them become active"
            )
        work = _Restoration(editor, experiment, [run.run_id for run in again])
        waves[0].append(Change(item_of(experiment, RESTORE), work.begin))
        waves[1] += [Change(item_of(run, DELETE, experiment.name), partial(work.put_back, run)) for run in again]
    return waves


class _Restoration:
    """Of one experiment. What it remembers is taken away after the last run was put back, so that a stopped
    restoration is taken up again."""

    def __init__(self, editor: Editor, experiment: Experiment, again: Sequence[str]) -> None:
        self._editor = editor
        self._experiment = experiment
        self._again = again
        self._waiting = set(again)
        self._is_active = False

    def begin(self) -> None:
        self._editor.restore_experiment(self._experiment, self._again)
        self._is_active = True
        if not self._waiting:
            self._editor.forget_deletion(self._experiment, self._again)

    def put_back(self, run: Run) -> None:
        if not self._is_active:
            raise RequestRefused(f"experiment “{self._experiment.name}” could not be restored")
        self._editor.put_back(run)
        self._waiting.discard(run.run_id)
        if not self._waiting:
            self._editor.forget_deletion(self._experiment, self._again)


def _of_bundle(
    bundle: str | Path, source: Source, experiments: Sequence[str], how: How
) -> tuple[list[Experiment], list[Experiment]]:
    """The experiments that the workspace still has (by id and name, or as what was imported before), and the others."""
    with open_held(bundle, "restore", how.access) as snapshot:
        wanted = _chosen(snapshot, experiments, ACTIVE)
        is_of_here = snapshot.place.details.get("source") == source.place.address
    everything = source.experiments(Selection())
    by_id = {e.experiment_id: e for e in everything} if is_of_here else {}
    by_name = {e.name: e for e in everything}
    there = [by_id.get(e.experiment_id) or by_name.get(e.name) for e in wanted]
    return [e for e in there if e is not None], [e for e, found in zip(wanted, there, strict=True) if found is None]


def _import(report: ChangeReport, where: str, bundle: str | Path, experiments: tuple[str, ...], how: How) -> None:
    report.imported = import_(
        bundle,
        where,
        selection=Selection(experiments=experiments),
        accept=NOT_OF_RUNS,
        workers=how.workers,
        access=how.access,
        progress=how.progress,
    )
    if any(old != new for ids in report.imported.id_map.values() for old, new in ids.items()):
        report.notes.append("what the server had purged has new ids there, which MLflow gives out itself (see --json)")


def _tell(report: ChangeReport, experiment: Experiment) -> str:
    assert report.imported is not None
    new_id = report.imported.id_map["experiments"].get(experiment.experiment_id, "")
    if not new_id:
        raise RequestRefused("it was not imported")
    return new_id
