"""Databases of MLflow, one of each kind for the tests that hold for all of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from support.databases import KINDS, Databases, Fresh

from runsync.workspaces.sql.store import SqlStore, open_store


@pytest.fixture
def opened() -> Iterator[Callable[[str], SqlStore]]:
    """`opened(url)`: a store that is closed at the end."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(closing(open_store(url)))


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, databases: Databases) -> Fresh:
    """An empty database with the tables of MLflow 3."""
    return databases.fresh(request.param)
