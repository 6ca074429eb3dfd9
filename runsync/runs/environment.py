"""The software environment of a run: requirements.txt, conda.yaml and python_env.yaml of its model or of the run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runsync.contract.source import Source
from runsync.errors import ITEM_ERRORS
from runsync.growing import Files
from runsync.model.model_file import parse_yaml
from runsync.model.run import ArtifactFile, Run
from runsync.runs.models import RunModel, read_text

REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON_ENV = "python_env.yaml"
FILES = (REQUIREMENTS, CONDA, PYTHON_ENV)
_VERSION = re.compile(r"\d+(\.\d+){0,2}", re.ASCII)
_CONDA_PYTHON = re.compile(r"python\s*={1,2}\s*(\d+(?:\.\d+){0,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Environment:
    """`origin` says whose it is; `texts` are the files as they were, by name.

    `python` is a version ("3.11.7"; "" where nothing tells), `packages` what pip installs where there is no
    requirements.txt.
    """

    origin: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    packages: tuple[str, ...] = ()


def environment_of(
    source: Source, run: Run, files: Sequence[ArtifactFile], models: Sequence[RunModel]
) -> tuple[Environment, list[tuple[str, str]]]:
    """Of the first model that has one, else at the root of the run's artifacts; and the files that cannot be read."""
    missing: list[tuple[str, str]] = []
    places = [(f"model “{m.path}”", m.files, m.folder, m.logged) for m in models]
    for origin, there, folder, logged in [*places, ("the run's artifacts", tuple(files), "", None)]:
        texts = _texts(source, run, there, folder, logged, missing)
        if texts:
            return understood(origin, texts), missing
    return Environment(), missing


def understood(origin: str, texts: Mapping[str, str]) -> Environment:
    """What the files say. One that is no YAML says nothing."""
    conda, python_env = (_mapping(texts.get(name, "")) for name in (CONDA, PYTHON_ENV))
    told = str(python_env.get("python") or "")
    pinned = [_CONDA_PYTHON.fullmatch(each) for each in _strings(conda.get("dependencies"))]
    python = told if _VERSION.fullmatch(told) else next((found[1] for found in pinned if found), "")
    packages: list[str] = []
    if REQUIREMENTS not in texts:
        packages = [each for each in _strings(python_env.get("dependencies")) if not each.startswith("-r")]
        below = conda.get("dependencies") if isinstance(conda.get("dependencies"), list) else []
        pips = [each["pip"] for each in below or [] if isinstance(each, dict) and "pip" in each]
        packages = packages or [each for pip in pips for each in _strings(pip)]
    return Environment(origin, texts, python, tuple(packages))


def _texts(
    source: Source,
    run: Run,
    files: Sequence[ArtifactFile],
    folder: str,
    logged: Files | None,
    missing: list[tuple[str, str]],
) -> dict[str, str]:
    texts = {}
    for name in FILES:
        wanted = f"{folder}/{name}" if folder else name
        for file in files:
            if file.path == wanted:
                try:
                    texts[name] = read_text(source, run, file, logged)
                except ITEM_ERRORS as error:
                    missing.append((wanted, str(error)))
    return texts


def _mapping(text: str) -> dict[str, Any]:
    try:
        document = parse_yaml(text) if text else None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _strings(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str) and "\n" not in each] if isinstance(value, list) else []
