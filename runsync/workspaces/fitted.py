"""An object as a place can hold it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from runsync.model.run import Problem

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Fitted(Generic[E]):
    """One without the pieces that a store has no place for, which `left_out` tells. `why_not` is why it cannot be there
    at all ("": it can)."""

    item: E
    left_out: tuple[Problem, ...] = ()
    why_not: str = ""
