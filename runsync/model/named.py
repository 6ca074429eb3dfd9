"""Which experiments a text means: an id, a name, `id:ID`, `name:NAME`, or a glob."""

import fnmatch
from collections.abc import Iterable, Sequence

from runsync.errors import Ambiguous, NothingSelected
from runsync.model.experiment import Experiment

BY_ID, BY_NAME = "id:", "name:"
MOST_SUGGESTED = 3


def plain_path(name: str) -> str:
    """A path in Databricks without `/Workspace` before it: experiments are found by their names only so."""
    return name.removeprefix("/Workspace") if name.startswith("/Workspace/") else name


def exactly(experiments: Iterable[Experiment], text: str) -> list[Experiment]:
    """Those of an id or a name, globs apart; several where they share the name.

    Raises Ambiguous for a text that is the id of one and the name of another.
    """
    by_id, by_name = text.removeprefix(BY_ID), plain_path(text.removeprefix(BY_NAME))
    found = {
        e.experiment_id: e
        for e in experiments
        if e.experiment_id in (by_id, text) or e.name in (by_name, text, plain_path(text))
    }
    if len({e.name for e in found.values()}) > 1:
        raise ambiguous(text, list(found.values()))
    return list(found.values())


def meant(experiments: Sequence[Experiment], text: str, others: Iterable[Experiment] = ()) -> list[Experiment]:
    """Those of an id or a name, or else those that match a glob; several may share a name.

    `others` are there too, and may not be taken. Raises Ambiguous, NothingSelected.
    """
    found = exactly(experiments, text) or [e for e in experiments if fnmatch.fnmatchcase(e.name, text)]
    if not found:
        raise missing(text, experiments, others)
    return found


def meant_to_change(experiments: Sequence[Experiment], text: str, state: str) -> list[Experiment]:
    """Likewise; of those that share a name, the one in that lifecycle stage. Raises Ambiguous where that is none or
    several, NothingSelected."""
    found = exactly(experiments, text)
    if len(found) > 1:
        fit = [e for e in found if e.lifecycle_stage == state]
        if len(fit) != 1:
            raise ambiguous(text, found)
        return fit
    return found or meant(experiments, text)


def ambiguous(text: str, found: Sequence[Experiment]) -> Ambiguous:
    """The error that lists what a text may mean."""
    told = [f"{BY_ID}{e.experiment_id}  “{e.name}” ({e.lifecycle_stage})" for e in found]
    return Ambiguous(f"“{text}” means {len(found)} experiments: say which by id", told)


def missing(text: str, experiments: Iterable[Experiment], others: Iterable[Experiment] = ()) -> NothingSelected:
    """The error that says that there is no such experiment, and what may be meant."""
    for other in others:
        if text in (other.name, other.experiment_id):
            return NothingSelected(f"experiment “{text}” is {other.lifecycle_stage}: --state all takes it too")
    advice = suggestion(text, experiments)
    return NothingSelected(f"no experiment has the name or id “{text}”, or matches it{advice}")


def suggestion(text: str, experiments: Iterable[Experiment]) -> str:
    """What is perhaps meant, as the end of a message; "" where nothing is like it."""
    like = _like(text, {e.name for e in experiments})
    return f"; did you mean {' or '.join(f'“{name}”' for name in like)}?" if like else ""


def _like(text: str, names: Iterable[str]) -> list[str]:
    """Names that were perhaps meant: of the same last step, in other letters, or with a slip."""
    from difflib import get_close_matches

    names = sorted(names)
    folded = text.casefold()
    last = [name for name in names if name.casefold() == folded or name.rpartition("/")[2].casefold() == folded]
    close = get_close_matches(text, names, MOST_SUGGESTED)
    return list(dict.fromkeys([*last, *close]))[:MOST_SUGGESTED]
