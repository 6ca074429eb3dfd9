"""Fields of the documents that servers answer with. None is trusted to be there, or to be of its type.

What may be absent may be null as well, as protobuf's JSON has it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from runsync.errors import RequestRefused

Json = Mapping[str, Any]
LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""Of int64, which is what times, steps and sizes are."""
EMPTY = 100
"""Pages in a row that may be empty."""
REPEATED = 3
"""Pages in a row that bring nothing but what came before: so many are too many."""
ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError)
"""What it raises to read a document that is not as it should be."""


class OddAnswer(RequestRefused):
    """An answer that does not follow the API; `why` completes a sentence that begins with the field's name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"unexpected answer from the server: “{name}” {why}")


def part(document: Json, name: str) -> Json:
    """An object within it; an empty one where there is none. Raises OddAnswer."""
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OddAnswer(name, "is not an object")
    return found


def listed(document: Json, name: str) -> list[dict[str, Any]]:
    """The objects of a list within it; none where there is no list. Raises OddAnswer."""
    found = document.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise OddAnswer(name, "is not a list of objects")
    return found


def without_nulls(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The document with an object that has nothing in place of each null in a list within it."""
    found = document.get(name)
    if not isinstance(found, list) or None not in found:
        return document
    return {**document, name: [{} if each is None else each for each in found]}


def text(document: Json, name: str, default: str | None = None) -> str:
    """A string. Raises OddAnswer, also where there is none and no default."""
    found = document.get(name)
    if found is None and default is not None:
        return default
    if not isinstance(found, str):
        raise OddAnswer(name, "is not a string")
    return found


def identifier(document: Json, name: str) -> str:
    """A string that is not empty; some servers send numbers. Raises OddAnswer."""
    found = document.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not found:
        raise OddAnswer(name, "is not an id")
    return found


def number(document: Json, name: str, default: int = 0) -> int:
    """An int64, which may be sent as a string. Raises OddAnswer."""
    found = document.get(name)
    try:
        value = default if found is None else int(found)
    except ODD:
        raise OddAnswer(name, "is not a number") from None
    if not LEAST <= value <= MOST:
        raise OddAnswer(name, "is out of range")
    return value


class Listing:
    """Notices a list that does not end: a token that comes again, nothing new however many tokens are new."""

    def __init__(self, name: str, overlap: int = 0) -> None:
        """So many things are known to come again."""
        self._name = name
        self._overlap = overlap
        self._tokens: set[str] = set()
        self._empty = self._repeated = self._again = 0

    def page(self, token: str, size: int, fresh: int) -> None:
        """Notes a page of `size` things, `fresh` of them new, and the next page's token. Raises RequestRefused where
        the list does not end."""
        if fresh:
            self._empty = self._repeated = self._again = 0
        elif size:
            self._repeated += 1
            self._again += size
        else:
            self._empty += 1
        is_stale = self._repeated >= REPEATED and self._again > self._overlap
        if token in self._tokens or self._empty >= EMPTY or is_stale:
            raise endless(self._name)
        self._tokens.add(token)


def pages(ask: Callable[[str], Json], name: str, *, are_long: bool = False) -> Iterator[list[dict[str, Any]]]:
    """The objects under a name of each page, from that of the token "" on. Of pages that `are_long` only the ends are
    kept in mind.

    Raises OddAnswer, and RequestRefused where it has no end: see `Listing`.
    """
    token, listing = "", Listing(name)
    seen: set[int] = set()
    while True:
        answer = ask(token)
        found = listed(answer, name)
        yield found
        token = text(answer, "next_page_token", "")
        if not token:
            return
        known = {hash(orjson.dumps(one)) for one in ([found[:1], found[-1:], len(found)] if are_long else found)}
        fresh = len(known - seen)
        listing.page(token, len(found), fresh)
        seen |= known


def endless(name: str) -> RequestRefused:
    """Of a list whose pages bring nothing new any more."""
    return RequestRefused(
        f"the server's list of {name} does not end: it repeats pages or sends empty ones. It, or a proxy before it, "
        "ignores page tokens: name the server's own address, update it, or read its database or file store instead"
    )


def every(found: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The objects of all pages."""
    for page in found:
        yield from page
