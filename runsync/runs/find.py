"""Which run a user means, and which runs a selection means."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from runsync.errors import NothingSelected
from runsync.model.experiment import Experiment
from runsync.model.protocol import Source
from runsync.model.run import Run
from runsync.model.selection import Selection

_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[0-9a-f]{4,31}")
MOST_NAMED = 5


def find_run(source: Source, text: str, experiments: Sequence[Experiment] | None = None) -> Run:
    """The run of an id, of the beginning of one (4 characters or more), or of a name that only one run has.

    Raises NothingSelected when there is none, or when there are several.
    """
    homes = source.experiments(Selection()) if experiments is None else experiments
    if _ID.fullmatch(text) and (whole := source.batch([text], homes).runs):
        return whole[0]
    found = {run.run_id: run for run in _called(source, homes, text)}
    if _BEGINNING.fullmatch(text):
        found |= {run.run_id: run for run in _search(source, homes, f"attributes.run_id LIKE '{text}%'")}
    runs = list(found.values())
    if not runs:
        raise NothingSelected(f"there is no run “{text}”: give an id, 4 characters or more of one, or a name")
    if len(runs) > 1:
        named = ", ".join(run.run_id for run in runs[:MOST_NAMED])
        raise NothingSelected(f"“{text}” means {len(runs)} runs: name one by its id ({named}, …)")
    return runs[0]


def with_ids(source: Source, selection: Selection, experiments: Sequence[Experiment]) -> Selection:
    """The selection with ids in place of the beginnings of ids, and the names, among its runs."""
    ids = (text if _ID.fullmatch(text) else find_run(source, text, experiments).run_id for text in selection.runs)
    return replace(selection, runs=tuple(dict.fromkeys(ids)))


def quoted(text: str) -> str:
    """A text as a value in a filter."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _called(source: Source, experiments: Sequence[Experiment], name: str) -> Iterable[Run]:
    if "\\" not in name:
        return _search(source, experiments, f"attributes.run_name = {quoted(name)}")
    # A filter has no way to write a backslash before a quote.
    return (run for run in source.in_order(experiments, Selection()) if run.name == name)


def _search(source: Source, experiments: Sequence[Experiment], condition: str) -> list[Run]:
    return list(source.in_order(experiments, Selection(filter=condition)))
