"""The wheel holds all that it needs, and runs where nothing of this repository is."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from support.forks import clean_environment

pytestmark = pytest.mark.long

SCHEMAS = sorted(file.name for file in (ROOT / "schemas" / "v1").glob("*.schema.json"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "--quiet", "-w", folder, cwd=folder)
    (built,) = folder.glob("runsync-*.whl")
    return built


def test_the_wheel_holds_the_schemas_and_says_that_it_is_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert SCHEMAS
    assert {f"runsync/schemas/v1/{name}" for name in SCHEMAS} | {"runsync/py.typed"} <= set(names)
    assert {"runsync/schemas/config.schema.json", "runsync/testing/source_suite.py"} <= set(names)


def test_the_wheel_holds_the_files_of_the_page_that_compares_runs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"runsync/runs/compare_page/page.{kind}" for kind in ("html", "css", "js")} <= names


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"runsync"}


def test_the_wheel_needs_neither_mlflow_nor_anything_for_development(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    needed = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    always = [line for line in needed if "extra ==" not in line]
    assert always
    assert not [line for line in always if line.startswith(("mlflow", "pytest", "mypy", "ruff", "hypothesis"))]


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_virtual_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    command = tmp_path / "venv" / "bin" / "runsync"
    call(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    assert call(command, "--version", cwd=tmp_path).startswith("runsync 0.")
    assert "Sound." in call(command, "check", ROOT / "examples" / "bundle", cwd=tmp_path)
    place = call(python, "-c", "from runsync.schema_files import folder; print(folder())", cwd=tmp_path)
    assert place.startswith(str(tmp_path / "venv"))


@pytest.mark.slow
def test_the_extra_init_brings_all_that_init_needs(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python, command = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "runsync"
    call(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    arguments = ("sync", ROOT / "examples" / "mlruns", "sqlite:///new.db", "--init")
    done = subprocess.run([command, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    call("sh", "-c", done.stderr.partition("is missing): ")[2].replace("install", "install --quiet"), cwd=tmp_path)
    assert "Done." in call(command, *arguments, cwd=tmp_path)


def call(*command: object, cwd: Path) -> str:
    """Runs a command to its end and gives its stdout; fails with what it wrote when it fails."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
