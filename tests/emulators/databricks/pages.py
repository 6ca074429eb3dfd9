"""Pages of long answers, by tokens that tell a client nothing."""

import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

from emulators.databricks.errors import invalid

Item = TypeVar("Item")


class Pages:
    """Hands out tokens. A token is good for the same question only."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Any, int]] = {}

    def cut(self, items: Sequence[Item], size: int, question: Any, token: str | None) -> tuple[Sequence[Item], str]:
        """One page, and the token of the next (empty: there is none). Raises Refusal."""
        begin = 0
        if token:
            asked, begin = self._places.get(token, (None, -1))
            if begin < 0 or asked != question:
                raise invalid(f"Invalid page token: {token}")
        end = begin + size
        if end >= len(items):
            return items[begin:], ""
        following = secrets.token_urlsafe(24)
        self._places[following] = (question, end)
        return items[begin:end], following
