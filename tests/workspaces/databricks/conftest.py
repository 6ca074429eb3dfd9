"""Databricks workspaces on loopback, and profiles that lead to them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from emulators.databricks import Databricks
from support.databricks import profile_file
from support.secrets import SEARCH

Start = Callable[..., Databricks]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """`start("prod", cloud="gcp")`: a workspace that `databricks://prod` leads to.

    At the end, nothing may have been sent to any of them that no careful client sends.
    """
    place = SEARCH.holds_secrets(tmp_path / "databrickscfg")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(place))
    started: dict[str, Databricks] = {}
    with ExitStack() as stack:

        def begin(name: str, **options: Any) -> Databricks:
            workspace = stack.enter_context(Databricks(**{"rates": None, **options}))
            started[name] = workspace
            place.write_text(profile_file(started))
            return workspace

        yield begin
    violations = [violation for workspace in started.values() for violation in workspace.violations]
    assert not violations, "\n".join(violations)
