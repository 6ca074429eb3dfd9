"""Objects that are a document and nothing else on a server: what its endpoints have in common."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from runsync.errors import RequestRefused
from runsync.kinds.document import D, DocumentKind
from runsync.kinds.left_behind import UNTOLD, unsought
from runsync.model.experiment import ACTIVE, Experiment
from runsync.model.not_carried import NAMED, NotCarried
from runsync.workspaces.documents import DocumentStore
from runsync.workspaces.http import OPTIONAL, Client, json_of
from runsync.workspaces.http.fields import Json, OddAnswer, pages, without_nulls
from runsync.workspaces.rest.collisions import after_collisions
from runsync.workspaces.rest.leftovers import is_unknown, refusal
from runsync.workspaces.rest.server import API3

T = TypeVar("T")


class ServerDocuments(DocumentStore[D], Generic[D]):
    """The part of a `DocumentStore` that reads lists of a server. A server gives ids and times of its own."""

    keeps_all = False
    api = API3
    """What stands before the paths of its endpoints."""

    def __init__(self, kind: DocumentKind[D], client: Client) -> None:
        self.client = client
        self._kind = kind
        self.lacks_kind = False
        self._refused = ""
        self._odd: dict[str, str] = {}
        self._unsought: dict[str, None] = {}

    def left(self) -> list[NotCarried]:
        """See `DocumentStore`."""
        left = [unsought(self._kind.category, why) for why in self._unsought]
        if self._refused:
            left.append(self._kind.left(None, f"{UNTOLD} ({self._refused})"))
        if self._odd:
            names, why = tuple(sorted(self._odd)), next(iter(self._odd.values()))
            left.append(self._kind.left(len(names), why, names[:NAMED]))
        return left

    def not_sought(self, why: str) -> None:
        """Some were not looked for."""
        self._unsought[why] = None

    def each(self, name: str, ask: Callable[[Json], dict[str, Any]], make: Callable[[Json], T]) -> Iterator[T]:
        """All that an endpoint lists under a name, page by page; `ask` gets what names the page. One that cannot be
        read is named in `left`. Raises RequestRefused."""

        def page(token: str) -> dict[str, Any]:
            return without_nulls(ask({"page_token": token} if token else {}), name)

        for found in pages(page, name):
            for document in found:
                try:
                    yield make(document)
                except OddAnswer as error:
                    self._odd[str(document.get("name") or "?")] = str(error)

    def told(self, found: Iterator[D]) -> Iterator[D]:
        """What a server tells; none where it has no such kind, and where it refuses, that is in `left`."""
        try:
            yield from found
        except RequestRefused as error:
            self.lacks_kind = is_unknown(error)
            if not self.lacks_kind:
                self._refused = refusal(error)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Asks an endpoint of the API below `/mlflow`. Raises RequestRefused."""
        return self.client.get(f"{self.api}/{path}", care=OPTIONAL, **parameters)

    def post(self, path: str, body: Json) -> dict[str, Any]:
        """Likewise an endpoint that is asked by POST."""
        return self.client.post(f"{self.api}/{path}", body, care=OPTIONAL)

    def send(self, method: str, path: str, body: Mapping[str, Any], *, once: bool = False) -> dict[str, Any]:
        """Has an endpoint do what may be done twice, or, `once`, what may not: then it is sent again only where it was
        surely not done. Raises RequestRefused."""
        content, headers = orjson.dumps(body), {"Content-Type": "application/json"}

        def act() -> dict[str, Any]:
            return json_of(
                self.client.send(method, f"{self.api}/{path}", content=content, headers=headers, retry=not once)
            )

        return after_collisions(self.client, path, act)


def active(experiments: Sequence[Experiment]) -> list[str]:
    """The ids of those that are not deleted: of the others a server lists nothing."""
    return [e.experiment_id for e in experiments if e.lifecycle_stage == ACTIVE]
