"""docs/commands.md is the help of the commands as it is now."""

import importlib.util

from conftest import ROOT


def test_the_reference_of_commands_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_commands", ROOT / "docs" / "make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == made.page(), "run `make docs`"
