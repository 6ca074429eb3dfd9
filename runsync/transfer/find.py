"""Which run a user means, and which runs a selection means.

A run is named by its id, by the beginning of its id, or by its name; by `EXPERIMENT/NAME` (or an id in place of either)
where others are called so, too; by `id:ID` or `name:NAME` where a name looks like the id of another. A whole id, as
MLflow gives them out, is never taken for a name.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from runsync.contract.source import Source
from runsync.errors import Ambiguous, BundleDamaged, NothingSelected
from runsync.kinds.options import check_kinds
from runsync.model.experiment import Experiment
from runsync.model.ids import is_given_out, unfit_id
from runsync.model.named import BY_ID, BY_NAME, exactly
from runsync.model.run import PART, Run, Unreadable
from runsync.model.selection import Selection
from runsync.transfer.find_models import with_versions

_BEGINNING = re.compile(r"[0-9a-f]{4,31}")


def find_run(source: Source, text: str, experiments: Sequence[Experiment] | None = None, state: str = "all") -> Run:
    """The one run that a text means; of several, the one in that lifecycle stage.

    Raises NothingSelected when there is none, Ambiguous when there are several, BundleDamaged when it may mean a run in
    a part of a bundle that cannot be read.
    """
    homes = source.experiments(Selection()) if experiments is None else experiments
    if is_given_out(text) and (whole := source.batch([text], homes).runs):
        return whole[0]
    damage: list[Unreadable] = []
    found = {run.run_id: run for run in _called(source, homes, text, damage)}
    for home, name in _within(homes, text):
        found |= {run.run_id: run for run in _called(source, home, name, damage)}
    runs = [run for run in found.values() if run.lifecycle_stage == state] or list(found.values())
    if damage and len(runs) < 2:
        raise BundleDamaged(
            f"“{text}” may mean a run in a part that is damaged (a whole id finds those in others): {damage[0].reason}"
        )
    if not runs:
        raise NothingSelected(
            f"there is no run “{text}”: give an id, 4 characters or more of one, a name, or EXPERIMENT/NAME"
        )
    if len(runs) > 1:
        raise Ambiguous(f"“{text}” means {len(runs)} runs: say which by id", list(_told(runs, homes)))
    return runs[0]


def with_ids(source: Source, selection: Selection, experiments: Sequence[Experiment], state: str = "") -> Selection:
    """The selection with ids in place of all else that names its runs; of several the one in the lifecycle stage of the
    selection, or in `state`. Raises NothingSelected, Ambiguous."""
    state = state or selection.state
    ids = (_whole_id(text) or find_run(source, text, experiments, state).run_id for text in selection.runs)
    return replace(selection, runs=tuple(dict.fromkeys(ids)))


def resolved(source: Source, selection: Selection) -> Selection:
    """Likewise, before anything is read; costs no request where only whole ids are given. Of models the versions and
    runs that they mean. Raises WrongUsage for a kind that there is not."""
    check_kinds(selection.kinds)
    if selection.models:
        selection = with_versions(source, selection)
    if all(map(_whole_id, selection.runs)):
        return with_ids(source, selection, ())
    return with_ids(source, selection, selection.choose(source.experiments(Selection())))


def quoted(text: str) -> str:
    """A text as a value in a filter."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _whole_id(text: str) -> str:
    """The id that a text is; "" where it has to be looked up."""
    id = text.removeprefix(BY_ID)
    is_whole = is_given_out(id) or (id != text and _BEGINNING.fullmatch(id) is None)
    return id if is_whole else ""


def _called(source: Source, experiments: Sequence[Experiment], text: str, damage: list[Unreadable]) -> Iterator[Run]:
    """The runs of that name, and those of an id that is so or begins so; parts that are damaged go to `damage`."""
    if not text.startswith(BY_ID):
        yield from _named(source, experiments, text, damage)
    if text.startswith(BY_NAME):
        yield from _named(source, experiments, text.removeprefix(BY_NAME), damage)
    id = text.removeprefix(BY_ID)
    if _BEGINNING.fullmatch(id):
        found = _search(source, experiments, Selection(filter=f"attributes.run_id LIKE '{id}%'"), damage)
        yield from [run for run in found if run.run_id == id] or found
    elif unfit_id(id) is None and not damage:
        yield from source.batch([id], experiments).runs


def _within(experiments: Sequence[Experiment], text: str) -> Iterator[tuple[list[Experiment], str]]:
    """Every reading of `EXPERIMENT/NAME`: either may have slashes."""
    for slash in re.finditer("/", text):
        name = text[slash.end() :]
        if name and (homes := exactly(experiments, text[: slash.start()])):
            yield homes, name


def _named(source: Source, experiments: Sequence[Experiment], name: str, damage: list[Unreadable]) -> Iterable[Run]:
    if "\\" not in name:
        return _search(source, experiments, Selection(filter=f"attributes.run_name = {quoted(name)}"), damage)
    # A filter has no way to write a backslash before a quote.
    return [run for run in _search(source, experiments, Selection(), damage) if run.name == name]


def _search(
    source: Source, experiments: Sequence[Experiment], selection: Selection, damage: list[Unreadable]
) -> list[Run]:
    unread: list[Unreadable] = []
    runs = list(source.in_order(experiments, selection, unread=unread.append))
    damage += (one for one in unread if one.kind == PART)
    return runs


def _told(runs: Sequence[Run], homes: Sequence[Experiment]) -> Iterator[str]:
    names = {e.experiment_id: e.name for e in homes}
    for run in runs:
        state = "" if run.lifecycle_stage == "active" else f" ({run.lifecycle_stage})"
        yield f"{run.run_id}  “{run.name}” in “{names.get(run.experiment_id, run.experiment_id)}”{state}"
