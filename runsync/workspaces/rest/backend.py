"""Opens MLflow servers: see `contract.backend`."""

from collections.abc import Iterator

from runsync.contract.backend import Backend, Opening
from runsync.contract.workspace import Workspace
from runsync.model.finding import Finding
from runsync.model.place import Place
from runsync.workspaces.address import Address, resolve


def _address(where: str, config: str | None) -> Address | None:
    address = resolve(where, config)
    return address if isinstance(address, Address) else None


def _open(where: str, opening: Opening) -> Workspace:
    from runsync.workspaces.rest.opening import open_server

    address = _address(where, opening.config)
    assert address is not None, where
    return open_server(address, opening.workers, opening.patience, opening.limits)


def _approach(where: str, config: str | None) -> tuple[Place, Iterator[Finding]]:
    from runsync.workspaces.rest.examine import approach

    address = _address(where, config)
    assert address is not None, where
    return Place("", address.printable), approach(address)


BACKEND = Backend(
    ("http(s)://host:port",), lambda where, config: _address(where, config) is not None, _open, approach=_approach
)
