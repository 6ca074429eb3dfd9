"""Workspaces for the tests of the emulators."""

from collections.abc import Iterator

import pytest

from emulators.calls import Caller
from emulators.databricks import Databricks, SimulatedClock


@pytest.fixture
def call() -> Iterator[Caller]:
    """Calls of a workspace without rate limits, whose clock stands still."""
    with Databricks(rates=None, clock=SimulatedClock()) as workspace:
        yield Caller(workspace)
