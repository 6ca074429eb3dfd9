"""Histories of which some points cannot be read: the others are given, and those are named."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from runsync.errors import RequestRefused
from runsync.model.run import Problem

if TYPE_CHECKING:
    import pyarrow as pa


class PointsLost(RequestRefused):
    """Raised at the end of a history, once all its points that can be read were given; `problems` name the metrics that
    have others."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.kind} “{problem.name}”: {problem.reason}" for problem in problems))
        self.problems = tuple(problems)


def readable_points(
    history: "Iterator[pa.RecordBatch]", noting: Callable[[Problem], object]
) -> "Iterator[pa.RecordBatch]":
    """The points that can be read; the metrics that have others are noted at the end."""
    try:
        yield from history
    except PointsLost as lost:
        for problem in lost.problems:
            noting(problem)
