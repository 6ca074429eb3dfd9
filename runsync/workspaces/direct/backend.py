"""Opens databases and file stores: see `contract.backend`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from runsync.contract.backend import Backend, Init, Opening
from runsync.contract.workspace import Workspace
from runsync.model.finding import Finding
from runsync.model.place import Place
from runsync.workspaces.address import StoreAddress, resolve


def open_folder(folder: Path, opening: Opening) -> Workspace:
    """The file store in a folder, whatever it looks like. Raises as `Backend.open`."""
    return _open_at(StoreAddress(folder=folder), opening)


def _address(where: str, config: str | None) -> StoreAddress | None:
    address = resolve(where, config)
    return address if isinstance(address, StoreAddress) else None


def _open(where: str, opening: Opening) -> Workspace:
    address = _address(where, opening.config)
    assert address is not None, where
    return _open_at(address, opening)


def _open_at(address: StoreAddress, opening: Opening) -> Workspace:
    from runsync.workspaces.direct.opening import open_direct

    address = replace(address, artifacts=opening.artifacts or address.artifacts)
    return open_direct(address, opening.workers + 4, opening.limits, opening.role, opening.init, opening.patience)


def _plan_init(where: str, opening: Opening, with_artifacts: bool, dry_run: bool) -> Init:
    from runsync.workspaces.direct.opening import plan_init

    address = _address(where, opening.config)
    assert address is not None, where
    return plan_init(replace(address, artifacts=opening.artifacts or address.artifacts), with_artifacts, dry_run)


def _approach(where: str, config: str | None) -> tuple[Place, Iterator[Finding]]:
    address = _address(where, config)
    assert address is not None, where
    return Place("", address.printable), iter(())


BACKEND = Backend(
    ("sqlite:///FILE", "postgresql://…", "mysql://…", "the path of an mlruns folder such as ./mlruns"),
    lambda where, config: _address(where, config) is not None,
    _open,
    _plan_init,
    _approach,
)
