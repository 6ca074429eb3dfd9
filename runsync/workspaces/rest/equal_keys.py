"""Keys that may be one to the database of a server, as “lr” and “LR” are to MySQL: all that is sent beside the first of
them is refused with it, or hides it. Other databases keep both, and nothing tells which one a server has."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from runsync.errors import RequestRefused, TooMuch
from runsync.workspaces.http import NEEDED, Care, Client
from runsync.workspaces.rest.collisions import is_collision, post
from runsync.workspaces.rest.server import API

_SIGNS = re.compile(r"Duplicate entry|Failed to set tags with given within")
"""Of MySQL and MariaDB; and of MLflow, which answers 500 for tags that it tried in vain to set."""
_ONCE = Care(is_divisible=True, soon=1)


def is_of_equal_keys(error: RequestRefused) -> bool:
    """Whether keys may have been refused as they are one to the database; or others wrote the same at that time."""
    return _SIGNS.search(str(error)) is not None


def folded(key: str) -> str:
    """The same for keys that MySQL's collations take for one: whatever their case, accents and blanks at the end."""
    letters = unicodedata.normalize("NFKD", key)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold().rstrip(" ")


class Spellings:
    """The spelling of each key that came first."""

    def __init__(self, there: Iterable[str] = ()) -> None:
        self._first: dict[str, str] = {}
        for key in there:
            self.other(key)

    def other(self, key: str) -> str:
        """The other key that it may be one with; "" for none."""
        first = self._first.setdefault(folded(key), key)
        return "" if first == key else first


def firsts(entries: Mapping[str, str], there: Iterable[str] = ()) -> dict[str, str]:
    """The entries that are surely not one with another, or with what is there."""
    spellings = Spellings(there)
    return {key: value for key, value in entries.items() if not spellings.other(key)}


def same_as(other: str) -> str:
    """Why a key was refused that is one with the other."""
    return f"to the server's database it is the same as “{other}”"


def post_soon(client: Client, path: str, body: Mapping[str, Any], care: Care = NEEDED) -> dict[str, Any]:
    """As `collisions.post`, of entries whose keys may be one: raises RequestRefused at once where it is for that."""
    try:
        return client.post(f"{API}/{path}", body, care=_ONCE)
    except RequestRefused as error:
        if is_of_equal_keys(error):
            raise RequestRefused(str(error), error.status, error.code) from None
        if not isinstance(error, TooMuch) and not is_collision(error):
            raise
    return post(client, path, body, care)
