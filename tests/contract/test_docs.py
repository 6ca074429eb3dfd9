"""docs/adding-a-backend.md is true: its smallest example works, and all else in it stands in the toy."""

import re
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from conftest import ROOT

import runsync
from runsync.workspaces import registry

TEXT = (ROOT / "docs" / "adding-a-backend.md").read_text(encoding="utf-8")
BLOCKS = [(found[2], dedent(found[3])) for found in re.finditer(r"(?ms)^( *)```(\w+)\n(.*?)^ *```$", TEXT)]


def test_the_smallest_example_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Any] = {}
    exec(BLOCKS[0][1], space)
    monkeypatch.setattr(registry, "_others", lambda: (space["BACKEND"],))
    report = runsync.export("smallest://", tmp_path / "bundle")
    assert (report.exit_code, report.runs.created, report.metric_points, report.artifacts) == (0, 1, 2, 1)
    assert runsync.verify("smallest://", str(tmp_path / "bundle"), verify_artifacts=True).exit_code == 0


def test_all_other_code_stands_in_the_toy() -> None:
    files = [*(ROOT / "tests" / "toy" / "runsync_toy").glob("*.py"), ROOT / "tests" / "contract" / "test_toy.py"]
    code = "\n".join(dedent(file.read_text(encoding="utf-8")) for file in files)
    python = [text for kind, text in BLOCKS[1:] if kind == "python"]
    assert len(python) == 5
    lines = {line.strip() for line in code.splitlines()}
    assert [line for text in python for line in text.splitlines() if line.strip() not in lines] == []


def test_the_entry_point_is_that_of_the_toy() -> None:
    (told,) = [tomllib.loads(text) for kind, text in BLOCKS if kind == "toml"]
    points = told["project"]["entry-points"][registry.GROUP]
    installed = (ROOT / "tests" / "toy" / "runsync_toy-1.0.dist-info" / "entry_points.txt").read_text()
    assert [f"{name} = {value}" for name, value in points.items()] == installed.splitlines()[1:]
