"""A workspace that let us in, and all connections to it."""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from runsync.model.place import Place
from runsync.workspaces.http import Client
from runsync.workspaces.rest.artifacts import Artifacts, ByAddress
from runsync.workspaces.rest.server import Server

_THIS_MACHINE = {"127.0.0.1": "localhost", "::1": "localhost"}
_PORTS = {"http": 80, "https": 443}


class Connections(Protocol):
    """To something of a workspace."""

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""

    def close(self) -> None:
        """Drops them; what still waits raises Interrupted."""


@dataclass(frozen=True, slots=True)
class Reached:
    """`known_as` is what tells it from others (see `Workspace.whereabouts`); () for its address. `further` are the
    connections beside those of client and artifacts, `notes` what its user should hear of first. `by_address` reads
    files of versions that hang off nothing; None where there is no such thing."""

    client: Client
    server: Server
    artifacts: Artifacts
    place: Place
    known_as: tuple[str, ...] = ()
    further: tuple[Connections, ...] = ()
    notes: tuple[str, ...] = ()
    by_address: ByAddress | None = None

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return sum(each.requests for each in self._all())

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        if self.known_as:
            return self.known_as
        parts = urlsplit(self.place.address)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
        return _THIS_MACHINE.get(host, host), str(port), parts.path, parts.query

    def close(self) -> None:
        """Drops the connections; what still waits raises Interrupted."""
        for each in self._all():
            each.close()

    def _all(self) -> tuple[Connections, ...]:
        return (self.client, self.artifacts, *self.further)
