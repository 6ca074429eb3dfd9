"""What a filter asks for that no run has: mostly a slip of the pen, which would pass for an empty result."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from runsync.contract.source import Source
from runsync.errors import RunsyncError
from runsync.model.experiment import Experiment
from runsync.model.fields import METRICS, PARAMS, TAGS, Field
from runsync.model.filter import tree
from runsync.model.filter.parse import parse
from runsync.model.run import Batch, Run
from runsync.model.selection import Selection
from runsync.model.wording import many

MOST_LOOKED_AT = 1000
"""Runs that are read to tell what other fields there are: one page of a server."""
_KINDS = (METRICS, PARAMS, TAGS)


class UnmetFields:
    """The metrics, params and tags of a selection's filter that no run met so far has."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        expression = parse(selection.filter) if selection.filter else None
        asked = tree.comparisons_of(expression) if expression is not None else ()
        # What is asked with IS NULL may well be nowhere.
        fields = [c.field for c in asked if c.field.kind in _KINDS and c.operator != tree.IS_NULL]
        self._unmet = dict.fromkeys(fields)

    def note(self, runs: Iterable[Run]) -> None:
        """Runs that the selection means."""
        for run in runs if self._unmet else ():
            for field in [f for f in self._unmet if f.key in _names(run, f.kind)]:
                del self._unmet[field]

    def noting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches again, each noted."""
        for batch in batches:
            self.note(batch.runs)
            yield batch

    def noting_each(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Like `noting`, of runs one by one."""
        for run in runs:
            self.note((run,))
            yield run

    def hints(self, source: Source) -> list[str]:
        """A sentence for each, with the nearest name there is. Reads a page of runs when there is something to say."""
        if not self._unmet:
            return []
        runs: list[Run] = []
        with suppress(RunsyncError):  # a hint must not end what it is about
            runs = self._others(source)
        self.note(runs)
        known = {kind: {name for run in runs for name in _names(run, kind)} for kind in _KINDS}
        looked = "no run" if len(runs) < MOST_LOOKED_AT else f"none of the newest {many(MOST_LOOKED_AT, 'run')}"
        return [f"{looked} has {field}{_suggested(field, known)}" for field in self._unmet] if runs else []

    def _others(self, source: Source) -> list[Run]:
        wide = Selection(self._selection.experiments, state=self._selection.state)
        experiments: Sequence[Experiment] = source.experiments(wide)
        return list(source.in_order(experiments, replace(wide, experiments=()), limit=MOST_LOOKED_AT))


def unmet_fields(source: Source, selection: Selection, runs: Iterable[Run]) -> list[str]:
    """The hints for a selection that means these runs."""
    unmet = UnmetFields(selection)
    unmet.note(runs)
    return unmet.hints(source)


def _names(run: Run, kind: str) -> Iterable[str]:
    if kind == METRICS:
        return {metric.key for metric in run.latest_metrics}
    return run.params if kind == PARAMS else run.tags


def _suggested(field: Field, known: dict[str, set[str]]) -> str:
    found = difflib.get_close_matches(field.key, sorted(known[field.kind]), n=1, cutoff=0.6)
    near = [Field(field.kind, key) for key in found]
    near = near or [Field(kind, field.key) for kind in _KINDS if field.key in known[kind]]
    return f": did you mean {near[0]}?" if near else ""
