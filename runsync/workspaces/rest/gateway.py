"""What the objects of a server's AI gateway have in common."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic

from runsync.errors import ABSENT, RequestRefused
from runsync.kinds.document import D, DocumentKind
from runsync.model.experiment import Experiment
from runsync.workspaces.http import Client
from runsync.workspaces.http.fields import Json, text
from runsync.workspaces.rest import wire
from runsync.workspaces.rest.documents import ServerDocuments


class ServerGateway(ServerDocuments[D], Generic[D]):
    """The part of a `DocumentStore` that lists one family of endpoints. A server gives ids and times of its own."""

    family: ClassVar[str]
    listed_as: ClassVar[str]
    """The name of the list in an answer."""

    def __init__(self, kind: DocumentKind[D], client: Client) -> None:
        super().__init__(kind, client)
        self._id_field = kind.id_field

    def made(self, document: Json) -> D:
        """One that a server tells. Raises OddAnswer."""
        raise NotImplementedError

    def listed(self, experiments: Sequence[Experiment], is_asked: bool) -> Iterator[D]:
        """See `DocumentStore`."""
        return self.told(self.all())

    def find(self, wanted: Sequence[D]) -> Iterable[D]:
        """See `DocumentStore`."""
        return list(self.all())

    def delete(self, experiment_id: str, id: str) -> None:
        """See `DocumentStore`."""
        try:
            self.act("delete", {self._id_field: id}, method="DELETE")
        except RequestRefused as error:
            if error.code != ABSENT:
                raise

    def all(self) -> Iterator[D]:
        """Those that a server lists. Raises RequestRefused."""
        return self.each(self.listed_as, lambda page: self.get(f"gateway/{self.family}/list", **page), self.made)

    def act(self, verb: str, body: Json, *, method: str = "POST", once: bool = False) -> dict[str, Any]:
        """Has the endpoint of that verb do something. Raises RequestRefused."""
        return self.send(method, f"gateway/{self.family}/{verb}", body, once=once)


def authors(document: Json) -> dict[str, Any]:
    """Who made one and when."""
    return {
        "created_by": text(document, "created_by", ""),
        "updated_by": text(document, "last_updated_by", ""),
        "created_at": wire.moment(document, "created_at"),
        "updated_at": wire.moment(document, "last_updated_at"),
    }


def by(author: str) -> dict[str, str]:
    """What names who made one, where that is known."""
    return {"created_by": author} if author else {}
