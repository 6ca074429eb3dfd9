"""Which backend an address means: one of ours, or one that another package brings."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module, metadata

from runsync import config
from runsync.contract.backend import Backend
from runsync.errors import WrongUsage
from runsync.names import check_address

GROUP = "runsync.workspaces"
"""Of entry points; each names a `Backend`."""
OURS = ("databricks", "sagemaker", "azureml", "rest", "direct")


def find(where: str, config_path: str | None = None) -> Backend | None:
    """The backend that an address, or a name of `runsync.toml`, means; None where that is no workspace.

    Raises WrongUsage.
    """
    check_address(where)
    return next((backend for backend in _asked(where, config_path) if backend.is_meant(where, config_path)), None)


def forms() -> Iterator[str]:
    """How the addresses of all backends are written."""
    return (form for backend in (*_ours(), *_others()) for form in backend.forms)


def _asked(where: str, config_path: str | None) -> Iterator[Backend]:
    """Other packages are only looked for where there is a scheme, or a name of `runsync.toml`."""
    yield from _ours()
    if "://" in where or where in config.workspaces(config_path):
        yield from _others()


@cache
def _ours() -> tuple[Backend, ...]:
    return tuple(import_module(f"runsync.workspaces.{name}.backend").BACKEND for name in OURS)


@cache
def _others() -> tuple[Backend, ...]:
    return tuple(map(_loaded, metadata.entry_points(group=GROUP)))


def _loaded(entry: metadata.EntryPoint) -> Backend:
    try:
        backend = entry.load()
    except Exception as error:
        raise WrongUsage(f"the backend {entry.name} ({entry.value}) cannot be loaded: {error}") from error
    if not isinstance(backend, Backend):
        raise WrongUsage(f"the backend {entry.name} ({entry.value}) is no runsync.contract.backend.Backend")
    return backend
