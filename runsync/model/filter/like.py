"""LIKE and ILIKE: `%` stands for any characters, `_` for one.

In time that grows with the length of the text, never with the ways to part it: a pattern with several wildcards is
matched against params of any length that others wrote.
"""

import re
from collections.abc import Callable
from functools import lru_cache

_ANY = "%"
_ONE = "_"
_LOWER = {ord(letter): ord(letter.lower()) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@lru_cache(maxsize=256)
def like(pattern: str, is_blind: bool) -> Callable[[str], bool]:
    """Whether a text fits a pattern; blind to the case of ASCII letters only, as SQLite is."""
    pieces = [_Piece(text) for text in (pattern.translate(_LOWER) if is_blind else pattern).split(_ANY)]
    return lambda text: _fits(pieces, text.translate(_LOWER) if is_blind else text)


class _Piece:
    """What stands between two `%`: of a fixed length."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self._text = text
        written = "".join("." if c == _ONE else re.escape(c) for c in text)
        self._pattern = re.compile(written, re.DOTALL) if _ONE in text else None

    def stands_at(self, text: str, place: int) -> bool:
        if self._pattern is not None:
            return self._pattern.match(text, place) is not None
        return text.startswith(self._text, place)

    def find(self, text: str, start: int, end: int) -> int:
        """The first place of it between the two; -1 where there is none."""
        if self._pattern is None:
            return text.find(self._text, start, end)
        found = self._pattern.search(text, start, end)
        return found.start() if found else -1


def _fits(pieces: list[_Piece], text: str) -> bool:
    """The first piece begins the text, the last ends it, and the others are taken as early as they come."""
    first, *between = pieces
    if not between:
        return len(text) == first.length and first.stands_at(text, 0)
    last = between.pop()
    place, end = first.length, len(text) - last.length
    if end < place or not first.stands_at(text, 0) or not last.stands_at(text, end):
        return False
    for piece in between:
        found = piece.find(text, place, end)
        if found < 0:
            return False
        place = found + piece.length
    return True
