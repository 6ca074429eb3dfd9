"""Which runs are to be changed, and which hang below them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from runsync.contract.source import Source, Unread, pass_over
from runsync.errors import WrongUsage
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.identity import PARENT
from runsync.model.ids import unfit_id
from runsync.model.named import exactly, meant_to_change, missing
from runsync.model.run import Run, Unreadable
from runsync.model.selection import Selection
from runsync.runs.change import ChangeReport
from runsync.transfer.find import with_ids
from runsync.transfer.unmet import unmet_fields

FEW = 8
"""Parents whose children are asked for one by one; for more of them, all nested runs are read, a page a thousand."""


def refuse_everything(selection: Selection, what: str, first: str = "RUN") -> None:
    """Raises WrongUsage for a selection that narrows nothing; `first` is what else could be said."""
    if not selection.experiments and not selection.names_runs:
        raise WrongUsage(f"say which runs to {what}: {first}, --run, --experiment, --filter, --since or --until")


@dataclass(frozen=True, slots=True)
class Meant:
    """A selection by ids, its runs, oldest first, and those that are nested in them."""

    selection: Selection
    runs: list[Run]
    nested: list[Run]


def look(
    report: ChangeReport,
    source: Source,
    homes: Sequence[Experiment],
    selection: Selection,
    state: str = "",
    nested: bool = False,
) -> Meant:
    """The runs of a selection; of those that share a name, the one in that lifecycle stage. The report tells what
    cannot be read, and what was filtered by that no run has. Raises NothingSelected."""
    selection = with_ids(source, selection, selection.choose(homes), state)
    runs = chosen_runs(source, selection, homes, report.note_unread)
    report.notes += unmet_fields(source, selection, runs)
    return Meant(selection, runs, nested_in(source, runs, homes) if nested else [])


def first(runs: Iterable[Run], limit: int | None, state: str) -> list[Run]:
    """As many as `limit` says of those in a lifecycle stage; all runs where it says nothing."""
    return list(runs) if limit is None else [run for run in runs if run.lifecycle_stage == state][:limit]


def chosen_runs(
    source: Source, selection: Selection, homes: Sequence[Experiment], unread: Unread = pass_over
) -> list[Run]:
    """The runs that are meant (by ids), oldest first; what is met and cannot be read is given to
    `unread`. Raises NothingSelected for a run or an experiment that is not there."""
    experiments = selection.choose(homes)
    unreadable: list[Unreadable] = []
    runs = runs_of(source, selection, experiments, unreadable.append)
    met = {one.id for one in unreadable if one.kind == "run"}
    replace(selection, runs=tuple(run_id for run_id in selection.runs if run_id not in met)).having_runs(homes, runs)
    for one in unreadable:
        unread(one)
    return runs


def runs_of(source: Source, selection: Selection, experiments: Sequence[Experiment], unread: Unread) -> list[Run]:
    """The runs of some experiments that are meant, oldest first."""
    runs: list[Run] = []
    for batch in source.batches(experiments, selection):
        runs += batch.runs
        for one in (*batch.unreadable, *batch.pieces):
            unread(one)
    return sorted(runs, key=lambda run: (run.start_time or 0, run.run_id))


def chosen_experiments(homes: Sequence[Experiment], texts: Iterable[str], state: str) -> list[Experiment]:
    """The experiments to change (names, ids or globs), each once, in the order of `homes`; of those that share a name,
    the one in that lifecycle stage. Raises NothingSelected, Ambiguous."""
    ids = {e.experiment_id for text in texts for e in meant_to_change(homes, text, state)}
    return [e for e in homes if e.experiment_id in ids]


def one_experiment(homes: Sequence[Experiment], text: str) -> Experiment:
    """The experiment of an id or a name. Raises NothingSelected, Ambiguous."""
    if not exactly(homes, text):
        raise missing(text, homes)
    return meant_to_change(homes, text, ACTIVE)[0]


def nested_in(source: Source, runs: Sequence[Run], homes: Sequence[Experiment]) -> list[Run]:
    """All runs below these (without these), at any depth, in whichever experiment they lie, deleted ones too."""
    seen = {run.run_id for run in runs}
    level, found = sorted(seen), list[Run]()
    while level and len(level) <= FEW and not any(map(unfit_id, level)):
        children = [run for parent in level for run in _nested(source, homes, f"= '{parent}'")]
        level = _take(children, seen, found)
    return found + (nested_among(_nested(source, homes, "LIKE '%'"), seen, level) if level else [])


def nested_among(runs: Iterable[Run], seen: set[str], level: Iterable[str]) -> list[Run]:
    """Those of `runs` that hang below the ids in `level`, at any depth, without those `seen`."""
    below: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        below[run.tags.get(PARENT, "")].append(run)
    found: list[Run] = []
    level = list(level)
    while level:
        level = _take([run for parent in level for run in below[parent]], seen, found)
    return found


def children_first(runs: Iterable[Run]) -> list[list[Run]]:
    """In waves, so that a parent comes after all that is below it.

    What is stopped on the way is then found again by way of the parents.
    """
    by_id = {run.run_id: run for run in runs}
    waves: dict[int, list[Run]] = defaultdict(list)
    for run in by_id.values():
        waves[len(_ancestors(run, by_id))].append(run)
    return [waves[depth] for depth in sorted(waves, reverse=True)]


def _ancestors(run: Run, by_id: dict[str, Run]) -> set[str]:
    """A ring of parents, which nothing forbids, ends where it closes."""
    met: set[str] = set()
    parent = run.tags.get(PARENT, "")
    while parent in by_id and parent not in met:
        met.add(parent)
        parent = by_id[parent].tags.get(PARENT, "")
    return met


def _take(runs: Iterable[Run], seen: set[str], found: list[Run]) -> list[str]:
    fresh = {run.run_id: run for run in runs if run.run_id not in seen}
    seen.update(fresh)
    found += fresh.values()
    return list(fresh)


def _nested(source: Source, homes: Sequence[Experiment], condition: str) -> Iterable[Run]:
    selection = Selection(filter=f"tags.`{PARENT}` {condition}")
    return (run for batch in source.batches(homes, selection) for run in batch.runs)
