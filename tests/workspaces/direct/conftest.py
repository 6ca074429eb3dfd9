"""The stores that must all pass the same tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest
from support.databases import Databases

from runsync.workspaces.direct.store import DirectStore
from runsync.workspaces.sql.store import open_store


@dataclass(frozen=True)
class Opener:
    """An empty store, which may be opened again and again."""

    open: Callable[[], DirectStore]
    clamps_infinity: bool
    """Whether it keeps ±Inf as the greatest finite number, no negative zero, and no point twice."""


@pytest.fixture(params=["sqlite", "sqlite-2", "postgres", "mysql"])
def opener(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Opener]:
    """An empty store of each kind."""
    kind, _, release = request.param.partition("-")
    database = databases.fresh(kind, release or "3")
    with ExitStack() as stack:

        def open_again() -> DirectStore:
            return stack.enter_context(closing(open_store(database.url)))

        yield Opener(open_again, clamps_infinity=True)


@pytest.fixture
def store(opener: Opener) -> DirectStore:
    """It is empty."""
    return opener.open()
