"""Fields of the documents that servers answer with. None is trusted to be there, or to be of its type.

What may be absent may be null as well, as protobuf's JSON has it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from runsync.errors import RequestRefused

Json = Mapping[str, Any]
LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""Of int64, which is what times, steps and sizes are."""
STALE = 100
"""Pages in a row that may bring nothing new."""
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


def pages(ask: Callable[[str], Json], name: str) -> Iterator[list[dict[str, Any]]]:
    """The objects under a name of each page, from that of the token "" on.

    Raises OddAnswer, and RequestRefused where it has no end: a token that comes again, or nothing new.
    """
    token, stale = "", 0
    seen: set[str] = set()
    before: list[dict[str, Any]] = []
    while True:
        answer = ask(token)
        found = listed(answer, name)
        yield found
        token = text(answer, "next_page_token", "")
        if not token:
            return
        stale = 0 if found and found != before else stale + 1
        if token in seen or stale >= STALE:
            raise endless(name)
        seen.add(token)
        before = found


def endless(name: str) -> RequestRefused:
    """Of a list whose pages bring nothing new any more."""
    return RequestRefused(
        f"the server's list of {name} does not end: it repeats pages or sends empty ones; check any proxy in between, "
        "then run it again"
    )


def every(found: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The objects of all pages."""
    for page in found:
        yield from page
