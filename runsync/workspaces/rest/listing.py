"""The list of one kind of entity, as far as a server tells it."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, TypeVar

from runsync.errors import RequestRefused
from runsync.kinds.kind import Kind
from runsync.kinds.left_behind import UNTOLD
from runsync.model.not_carried import NAMED, NotCarried
from runsync.workspaces.http import Care, Client, Portion
from runsync.workspaces.http.fields import Json, OddAnswer, pages, without_nulls
from runsync.workspaces.rest.leftovers import is_unknown, refusal

T = TypeVar("T")
Send = Callable[[Care, Json], dict[str, Any]]
"""Asks for a page: with how much care, and with so many and from where on."""


class Listing:
    """Reads lists of a kind; what the server does not tell, or tells otherwise than MLflow, is in `left`.

    `called` is the field that names one which cannot be read. `is_by_tag`: they are found by a tag, for which not every
    server can be asked; one that cannot has none.
    """

    def __init__(
        self, client: Client, kind: Kind[Any], most: int, called: Callable[[Json], str], is_by_tag: bool = False
    ) -> None:
        self.client = client
        self._kind = kind
        self._portion = Portion(most, kind.noun)
        self._called = called
        self._is_by_tag = is_by_tag
        self._refused = ""
        self.lacks_kind = False
        """Whether the server turned out to have none."""
        self._odd: dict[str, str] = {}

    def each(self, name: str, send: Send, make: Callable[[Json], T]) -> Iterator[T]:
        """All that is listed under a name; none where the server has no such kind."""

        def ask(token: str) -> dict[str, Any]:
            further = {"page_token": token} if token else {}

            def page(size: int, care: Care) -> dict[str, Any]:
                care = Care(is_optional=True, is_divisible=care.is_divisible)
                return send(care, {"max_results": size, **further})

            return without_nulls(self._portion.ask(page), name)

        try:
            for found in pages(ask, name):
                for document in found:
                    try:
                        yield make(document)
                    except OddAnswer as error:
                        self._odd[self._called(document) or "?"] = str(error)
        except RequestRefused as error:
            has_none = is_unknown(error) or (self._is_by_tag and error.status == HTTPStatus.BAD_REQUEST)
            self.lacks_kind = has_none
            if not has_none:
                self._refused = refusal(error)

    def left(self) -> list[NotCarried]:
        """What was not listed."""
        left = []
        if self._refused:
            left.append(self._kind.left(None, f"{UNTOLD} ({self._refused})"))
        if self._odd:
            names, why = tuple(sorted(self._odd)), next(iter(self._odd.values()))
            left.append(self._kind.left(len(names), why, names[:NAMED]))
        return left
