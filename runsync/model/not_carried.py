"""What stays behind of a transfer."""

from dataclasses import dataclass

NAMED = 20
"""Names that are told of things of one sort; the others are counted."""


@dataclass(frozen=True, slots=True)
class NotCarried:
    """Something that stays behind: what it is, how many (None: not counted), why, and some names.

    `kind` is the name with which it is accepted (see `left_behind`); "" where nothing is lost.
    """

    what: str
    count: int | None
    why: str
    names: tuple[str, ...]
    kind: str
