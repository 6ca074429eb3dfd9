"""rename, tag and untag, of runs and of experiments."""

from collections.abc import Callable, Mapping, Sequence

from runsync.contract.editor import Editor
from runsync.errors import WrongUsage
from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import is_ours
from runsync.model.run import Run
from runsync.model.selection import Selection
from runsync.runs.change import RENAME, TAG, UNCHANGED, UNTAG, Change, ChangeReport, How, carry_out, item_of
from runsync.runs.changing import changing
from runsync.runs.choose import chosen_experiments, look, one_experiment
from runsync.transfer.find import find_run


def rename_run(where: str, run: str, name: str, *, how: How | None = None) -> ChangeReport:
    """Gives a run (an id, the beginning of one, or a name) another name."""
    how = how or How()
    _refuse_empty(name)
    with changing(where, "runs rename", how, {"run": run, "name": name}) as (source, editor, report):
        homes = source.experiments(Selection())
        found = find_run(source, run, homes)
        if found.lifecycle_stage == DELETED:
            raise WrongUsage(f"run {found.run_id} is deleted, and a server renames no such run: restore it first")
        named = {e.experiment_id: e.name for e in homes}[found.experiment_id]
        act = lambda: editor.rename_run(found.run_id, name)  # noqa: E731
        _label(report, [(found, found.name == name, act)], RENAME, {found.experiment_id: named}, how)
    return report


def tag_runs(where: str, tags: Mapping[str, str], selection: Selection, *, how: How | None = None) -> ChangeReport:
    """Sets tags of the selected runs. Deleted runs refuse them."""
    _refuse_ours(tags)

    def plan(editor: Editor, run: Run) -> tuple[bool, Callable[[], None]]:
        missing = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        return not missing, lambda: editor.tag_run(run.run_id, missing)

    return _each_run(where, TAG, {"tags": dict(tags)}, selection, plan, how or How())


def untag_runs(where: str, keys: Sequence[str], selection: Selection, *, how: How | None = None) -> ChangeReport:
    """Takes tags away from the selected runs. Deleted runs refuse that."""
    _refuse_ours(keys)

    def plan(editor: Editor, run: Run) -> tuple[bool, Callable[[], None]]:
        there = [key for key in keys if key in run.tags]
        return not there, lambda: editor.untag_run(run.run_id, there)

    return _each_run(where, UNTAG, {"keys": list(keys)}, selection, plan, how or How())


def rename_experiment(where: str, experiment: str, name: str, *, how: How | None = None) -> ChangeReport:
    """Gives an experiment (its name or id) another name. Raises WrongUsage when another has it, be it deleted."""
    how = how or How()
    _refuse_empty(name)
    asked = {"experiment": experiment, "name": name}
    with changing(where, "experiments rename", how, asked) as (source, editor, report):
        homes = source.experiments(Selection())
        found = one_experiment(homes, experiment)
        for other in homes:
            if other.name == name and other is not found:
                raise WrongUsage(
                    f"there is an experiment “{name}” already ({other.lifecycle_stage}): take another name"
                )
        act = lambda: editor.rename_experiment(found.experiment_id, name)  # noqa: E731
        _label(report, [(found, found.name == name, act)], RENAME, {}, how)
    return report


def tag_experiments(
    where: str, experiments: Sequence[str], tags: Mapping[str, str], *, how: How | None = None
) -> ChangeReport:
    """Sets tags of experiments (names, ids or globs)."""
    _refuse_ours(tags)

    def plan(editor: Editor, experiment: Experiment) -> tuple[bool, Callable[[], None]]:
        missing = {key: value for key, value in tags.items() if experiment.tags.get(key) != value}
        return not missing, lambda: editor.tag_experiment(experiment.experiment_id, missing)

    return _each_experiment(where, TAG, {"tags": dict(tags)}, experiments, plan, how or How())


def untag_experiments(
    where: str, experiments: Sequence[str], keys: Sequence[str], *, how: How | None = None
) -> ChangeReport:
    """Takes tags away from experiments (names, ids or globs). MLflow 2 cannot: each is told as failed."""
    _refuse_ours(keys)

    def plan(editor: Editor, experiment: Experiment) -> tuple[bool, Callable[[], None]]:
        there = [key for key in keys if key in experiment.tags]
        return not there, lambda: editor.untag_experiment(experiment.experiment_id, there)

    return _each_experiment(where, UNTAG, {"keys": list(keys)}, experiments, plan, how or How())


def _each_run(
    where: str,
    action: str,
    asked: dict[str, object],
    selection: Selection,
    plan: Callable[[Editor, Run], tuple[bool, Callable[[], None]]],
    how: How,
) -> ChangeReport:
    asked = {**asked, "selection": selection.to_document()}
    with changing(where, f"runs {action}", how, asked) as (source, editor, report):
        homes = source.experiments(Selection())
        planned = [(run, *plan(editor, run)) for run in look(report, source, homes, selection).runs]
        _label(report, planned, action, {e.experiment_id: e.name for e in homes}, how)
    return report


def _each_experiment(
    where: str,
    action: str,
    asked: dict[str, object],
    experiments: Sequence[str],
    plan: Callable[[Editor, Experiment], tuple[bool, Callable[[], None]]],
    how: How,
) -> ChangeReport:
    if not experiments:
        raise WrongUsage(f"name the experiments to {action}")
    asked = {**asked, "experiments": list(experiments)}
    with changing(where, f"experiments {action}", how, asked) as (source, editor, report):
        homes = source.experiments(Selection())
        chosen = chosen_experiments([e for e in homes if e.lifecycle_stage == ACTIVE], experiments, ACTIVE)
        _label(report, [(e, *plan(editor, e)) for e in chosen], action, {}, how)
    return report


def _label(
    report: ChangeReport,
    planned: Sequence[tuple[Run | Experiment, bool, Callable[[], None]]],
    action: str,
    homes: Mapping[str, str],
    how: How,
) -> None:
    """Each with whether it is so already, and what makes it so."""
    changes = []
    for thing, is_so, act in planned:
        home = homes.get(thing.experiment_id, "")
        if is_so:
            report.items.append(item_of(thing, UNCHANGED, home))
        else:
            changes.append(Change(item_of(thing, action, home), act))
    carry_out(report, [changes], how)


def _refuse_ours(keys: Mapping[str, str] | Sequence[str]) -> None:
    if not keys:
        raise WrongUsage("name a tag")
    for key in keys:
        if is_ours(key):
            raise WrongUsage(f"tag “{key}”: those that begin with “runsync.” are runsync's own")


def _refuse_empty(name: str) -> None:
    if not name.strip():
        raise WrongUsage("a name cannot be empty")
