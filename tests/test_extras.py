"""The command that installs what is missing is one that works where it is read."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from runsync import extras


class Installed:
    """What is recorded of an installation."""

    def __init__(self, **direct_url: Any) -> None:
        self._recorded = json.dumps(direct_url) if direct_url else None

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self._recorded


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose own pip is the first one on PATH."""
    for name in ("python", "pip"):
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).touch(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("recorded", "command"),
    [
        ({}, "pip install 'runsync[sql]'"),
        ({"url": "file:///src/run%20sync", "dir_info": {}}, "pip install '/src/run sync[sql]'"),
        (
            {"url": "file:///dist/runsync-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'runsync[sql] @ file:///dist/runsync-1-py3-none-any.whl'",
        ),
        (
            {"url": "https://git.example.org/runsync", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'runsync[sql] @ git+https://git.example.org/runsync@abc'",
        ),
    ],
)
def test_it_comes_from_where_runsync_came_from(
    recorded: dict[str, Any], command: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "distribution", lambda name: Installed(**recorded))
    assert extras.how_to_install("sql") == command


def test_within_the_checkout_it_is_what_the_readme_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Installed(url=here.as_uri(), dir_info={"editable": True})
    monkeypatch.setattr(extras, "distribution", lambda name: recorded)
    assert extras.how_to_install("init") == "pip install '.[init]'"


def test_it_goes_into_the_environment_that_runsync_runs_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "distribution", lambda name: Installed())
    (here / "bin" / "pip").unlink()
    assert extras.how_to_install("sql") == f"{here}/bin/python -m pip install 'runsync[sql]'"
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert extras.how_to_install("sql") == f"uv pip install --python {here}/bin/python 'runsync[sql]'"
    (here / "pipx_metadata.json").touch()
    assert extras.how_to_install("sql") == "pipx install --force 'runsync[sql]'"
    (here / "uv-receipt.toml").touch()
    assert extras.how_to_install("sql") == "uv tool install 'runsync[sql]'"
