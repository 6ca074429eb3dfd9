"""reproduce.sh: builds the environment of a run, shows how it was started, and starts it again when asked to.

What comes from a server is quoted for the shell, and shown without control characters.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runsync.model.printable import printable
from runsync.runs.environment import CONDA, REQUIREMENTS, Environment

PACKAGES = "pip-packages.txt"
"""What pip is to install where the environment has no requirements.txt of its own."""


@dataclass(frozen=True, slots=True)
class Start:
    """How the run was started: `words` in `folder` (below code/); without words it is not known or not possible.

    `params` are the run's; only an MLflow project takes them on its command line.
    """

    kind: str = ""
    folder: str = ""
    words: tuple[str, ...] = ()
    params: Mapping[str, str] | None = None


def script(run_id: str, environment: Environment, start: Start, requirements: str) -> str:
    """The text of reproduce.sh. `requirements` is a file below the folder for pip, "" for none."""
    return "\n".join([*_head(run_id), *_build(environment, requirements), "", *_start(start)]) + "\n"


def _head(run_id: str) -> Iterator[str]:
    yield "#!/bin/sh"
    yield f"# Builds the environment of run {printable(run_id)} in ./venv."
    yield "#   sh reproduce.sh       builds it, and shows how the run was started"
    yield "#   sh reproduce.sh run   starts it again; what follows “run” goes to the program"
    yield "# PYTHON names another python; VENV_OPTIONS may be --system-site-packages; PIP_OPTIONS go to pip install."
    yield "set -eu"
    yield "CDPATH="
    yield 'cd "$(dirname "$0")"'
    yield "here=$(pwd)"
    yield ""


def _build(environment: Environment, requirements: str) -> Iterator[str]:
    short = ".".join(environment.python.split(".")[:2])
    named = f"$(command -v python{short} || command -v python3)" if short else "$(command -v python3)"
    conda = CONDA in environment.texts and REQUIREMENTS not in environment.texts
    yield "if [ ! -e venv/.whole ]; then"
    yield "    rm -rf venv"
    if conda:
        yield "    if command -v conda >/dev/null 2>&1; then"
        yield f"        conda env create --quiet --prefix ./venv --file environment/{CONDA}"
        yield "    else"
    yield f'    "${{PYTHON:-{named}}}" -m venv ${{VENV_OPTIONS:-}} venv'
    if requirements:
        yield f"    venv/bin/python -m pip install --quiet ${{PIP_OPTIONS:-}} -r {requirements}"
    if conda:
        yield "    fi"
    yield "    : > venv/.whole"
    yield "fi"
    if short:
        yield "found=$(venv/bin/python -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])')"
        yield f'[ "$found" = "{short}" ] || echo "Note: the run had Python {environment.python}, this is $found" >&2'


def _start(start: Start) -> Iterator[str]:
    if not start.words:
        yield "echo 'What started the run is not known, or cannot be started here: see run.json.'"
        return
    command = shlex.join(start.words)
    shown = f"cd {shlex.quote('code/' + start.folder if start.folder else 'code')} && {command}"
    yield 'if [ "${1:-}" = run ]; then'
    yield "    shift"
    yield '    PATH="$here/venv/bin:$PATH"; export PATH'
    yield f"    cd {shlex.quote('code/' + start.folder if start.folder else 'code')}"
    yield f'    exec {command} "$@"'
    yield "fi"
    yield f"printf 'The run was started so:\\n  %s\\n' {shlex.quote(printable(shown))}"
    yield "echo 'Its params are in params.json. Start it again: sh reproduce.sh run'"
