"""A backend of another package, which is installed by its entry point, passes the suite that is shipped for it."""

from pathlib import Path

import pytest

from runsync.testing import SourceSuite, Subject, TargetSuite
from runsync.transfer.places import open_workspace


@pytest.fixture(scope="class")
def subject(tmp_path_factory: pytest.TempPathFactory, installed_toy: Path) -> Subject:
    """An empty folder."""
    where = f"toy://{tmp_path_factory.mktemp('toy')}"
    return Subject.of_workspace(lambda role: open_workspace(where, role=role), kinds=frozenset({"registered-models"}))


class TestToySource(SourceSuite):
    pass


class TestToyTarget(TargetSuite):
    pass
