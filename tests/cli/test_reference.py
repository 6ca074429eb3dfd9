"""docs/commands.md is the help of the commands as it is now, docs/python.md the keywords of the verbs,
docs/config.md the keys of `runsync.toml`."""

import importlib.util

import pytest
from conftest import ROOT


@pytest.mark.parametrize("name", ["commands", "python", "config"])
def test_the_reference_is_up_to_date(name: str) -> None:
    spec = importlib.util.spec_from_file_location(f"make_{name}", ROOT / "docs" / f"make_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == made.page(), "run `make docs`"
