"""Holds a transfer back until it is known that its selection means as many runs as it should."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from runsync.errors import OtherRunsSelected
from runsync.model.run import Batch
from runsync.model.selection import Selection
from runsync.model.wording import many


def expected(batches: Iterator[Batch], selection: Selection, hints: Callable[[], Sequence[str]]) -> Iterator[Batch]:
    """The batches again, once enough of them were read to tell. `hints` say why there may be too few.

    Raises OtherRunsSelected, when no more than that was read.
    """
    if not selection.min_runs and selection.expect_runs is None:
        return batches
    enough = selection.min_runs if selection.expect_runs is None else max(selection.min_runs, selection.expect_runs + 1)
    held: list[Batch] = []
    count = 0
    while count < enough and (batch := next(batches, None)) is not None:
        held.append(batch)
        count += len(batch.runs)
    if wrong := unexpected(selection, count):
        raise OtherRunsSelected("; ".join((wrong, *hints())))
    return chain(held, batches)


def unexpected(selection: Selection, count: int) -> str:
    """What is wrong with so many runs; "" when nothing is."""
    if selection.expect_runs is not None and count != selection.expect_runs:
        asked = many(selection.expect_runs, "run")
        found = f"more than the {asked}" if count > selection.expect_runs else f"{many(count, 'run')}, not the {asked}"
        return f"the selection matches {found} that --expect-runs asks for"
    if count < selection.min_runs:
        return f"the selection matches {many(count, 'run')}, fewer than {selection.min_runs:,} (--min-runs)"
    return ""
