"""The layers of the package, and that a kind of entity is named in its own files only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import runsync
from runsync.kinds import KINDS

PACKAGE = Path(runsync.__file__).parent
BELOW = {
    "testing": {"transfer", "workspaces", "bundle", "contract", "kinds", "model"},
    "cli": {
        "promotion",
        "prompts",
        "traces",
        "datasets",
        "models",
        "runs",
        "transfer",
        "bundle",
        "workspaces",
        "contract",
        "kinds",
        "model",
    },
    "promotion": {"models", "runs", "transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "prompts": {"models", "runs", "transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "datasets": {"runs", "transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "traces": {"runs", "transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "models": {"runs", "transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "runs": {"transfer", "bundle", "workspaces", "contract", "kinds", "model"},
    "transfer": {"bundle", "workspaces", "contract", "kinds", "model"},
    "bundle": {"contract", "kinds", "model"},
    "workspaces": {"contract", "kinds", "model"},
    "contract": {"kinds", "model"},
    "kinds": {"model"},
    "model": set(),
}
"""What each may import; modules at the top of the package are for all."""
OF_CODE = (
    *(
        "runs/notebook.py",
        "runs/options.py",
        "runs/reproduce.py",
        "runs/show.py",
        "runs/source.py",
        "runs/workbench.py",
    ),
    *("model/code.py", "contract/workbench.py", "cli/runs/"),
)
"""About the code that a run was made with, which may lie in a notebook."""


OF_ONE_KIND = (
    *("prompts/", "cli/prompts/", "traces/", "cli/traces/", "datasets/", "cli/datasets/"),
    *("cli/commands.py", "__init__.py"),
)
"""Verbs on prompts, traces and evaluation datasets."""


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules of runsync that are imported when the code runs, not only when its types are checked."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from imports(node)


@pytest.mark.parametrize("room", BELOW)
def test_imports_point_downwards(room: str) -> None:
    found = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in (PACKAGE / room).rglob("*.py")
        for name in imports(ast.parse(file.read_text(encoding="utf-8")))
        if name.startswith("runsync.") and name.split(".")[1] in BELOW.keys() - BELOW[room] - {room}
    }
    assert found == set()


def test_the_model_does_no_input_or_output_and_holds_no_threads() -> None:
    """A grammar is a file of the package."""
    outside = {
        "os",
        "socket",
        "subprocess",
        "threading",
        "concurrent",
        "shutil",
        "tempfile",
        "requests",
        "urllib3",
        "pathlib",
    }
    files = set((PACKAGE / "model").rglob("*.py")) - {PACKAGE / "model" / "filter" / "parse.py"}
    found = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in files
        for name in imports(ast.parse(file.read_text(encoding="utf-8")))
        if name.split(".")[0] in outside
    }
    assert found == set()


def words(file: Path) -> Iterator[str]:
    """The words of identifiers, and the strings that are one word, of a module."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        named = (getattr(node, name, None) for name in ("id", "attr", "arg", "name", "module"))
        for text in (text for text in named if isinstance(text, str)):
            yield from re.findall("[A-Z]?[a-z]+|[A-Z]+", text)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_a_kind_is_named_in_its_own_files_and_by_backends_only() -> None:
    names = {name for kind in KINDS for name in (kind.name, kind.noun)}
    files = {file: file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py")}
    own = ("kinds/", "testing/", "workspaces/", *OF_CODE, *OF_ONE_KIND)
    others = [file for file, name in files.items() if not name.startswith(own)]
    found = {(files[file], word) for file in others for word in words(file) if word.lower() in names}
    assert found == set()
