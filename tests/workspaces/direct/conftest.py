"""The stores that must all pass the same tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from support.databases import Databases

from runsync.workspaces.direct.store import DirectStore
from runsync.workspaces.files import open_store as open_files
from runsync.workspaces.sql.store import open_store


@dataclass(frozen=True)
class Opener:
    """An empty store, which may be opened again and again."""

    open: Callable[[], DirectStore]
    clamps_infinity: bool
    """Whether it keeps ±Inf as the greatest finite number, no negative zero, and no point twice."""


@pytest.fixture(params=["files", "sqlite", "sqlite-2", "postgres", "mysql"])
def opener(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[Opener]:
    """An empty store of each kind."""
    kind, _, release = request.param.partition("-")
    with ExitStack() as stack:
        if kind == "files":
            open_it: Callable[[], DirectStore] = partial(open_files, tmp_path / "mlruns", create=True)
        else:
            open_it = partial(open_store, databases.fresh(kind, release or "3").url)

        def open_again() -> DirectStore:
            return stack.enter_context(closing(open_it()))

        yield Opener(open_again, clamps_infinity=kind != "files")


@pytest.fixture
def store(opener: Opener) -> DirectStore:
    """It is empty."""
    return opener.open()
