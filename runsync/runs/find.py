"""Which run a user means, and which runs a selection means."""

import re
from collections.abc import Sequence

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
    if _ID.fullmatch(text) and (found := source.batch([text], homes).runs):
        return found[0]
    runs: Sequence[Run] = ()
    if _BEGINNING.fullmatch(text):
        runs = _search(source, homes, f"attributes.run_id LIKE '{text}%'")
    runs = runs or _search(source, homes, f"attributes.run_name = {quoted(text)}")
    if not runs:
        raise NothingSelected(f"there is no run “{text}”: give an id, the beginning of one, or a name")
    if len(runs) > 1:
        named = ", ".join(run.run_id for run in runs[:MOST_NAMED])
        raise NothingSelected(f"“{text}” means {len(runs)} runs: name one by its id ({named}, …)")
    return runs[0]


def quoted(text: str) -> str:
    """A text as a value in a filter."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _search(source: Source, experiments: Sequence[Experiment], condition: str) -> list[Run]:
    return list(source.in_order(experiments, Selection(filter=condition)))
