"""Artifact roots as MLflow has recorded them: on this machine, on another one, on Windows, or in a cloud.

- `/srv/mlruns/1/…`: a path of the machine where MLflow ran.
- `C:\\Users\\ada\\mlruns\\1/…`, with both kinds of slashes: MLflow appends to an experiment's root with `/`.
- `\\\\host\\share\\…`, `//host/share/…`: a network share of Windows.
- `mlruns/1/…`, `./mlruns/1/…`: relative to where a server was started, before MLflow made it absolute.
- `file:///srv/…`, `file:/srv/…`, `file:./mlruns/…`, `file:///C:/…`, `file:C:\\…`, `file://host/share/…`.
- `s3://…`, `gs://…`, `dbfs:/…`, `mlflow-artifacts:/…`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from runsync.model.ids import unfit_id
from runsync.model.run import Run
from runsync.workspaces.local_artifacts import is_folder

ARTIFACTS = "artifacts"
MODELS = "models"
TRACES = "traces"
"""The folders of an experiment's logged models and traces."""
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?=[/\\])|(?P<file>[Ff][Ii][Ll][Ee]):")
_STEP = re.compile(r"[/\\]+")


def steps(uri: str) -> tuple[str, ...]:
    """The names on the way to a recorded place. Of those before the last few some may be a host or a drive."""
    found = _SCHEME.match(uri)
    path = uri[found.end() :] if found else uri
    is_file = found is not None and (found["file"] or found["scheme"]).lower() == "file"
    return tuple(step for step in _STEP.split(unquote(path) if is_file else path) if step not in ("", "."))


def folder_within(names: Sequence[str]) -> str:
    """The folder of an experiment that the names on the way to an artifact root have in between: MODELS for those of a
    logged model, TRACES for those of a trace; "" for those of a run."""
    within = names[-3] if len(names) > 3 else ""
    is_model = within == MODELS and names[-2].startswith("m-")
    return within if is_model or within == TRACES else ""


def is_reached_otherwise(uri: str) -> bool:
    """Whether a recorded place is no folder of any machine and yet can be reached: on S3, or through a server."""
    return uri.startswith(("s3://", "mlflow-artifacts:"))


def below(root: Path, run: Run) -> Path | None:
    """Where the artifacts of a run (logged model, trace) lie below the root that they are said to be in now; None where
    what is recorded is not the folder of one.

    That is below the experiment's folder, or, where only one experiment was kept there, right below the root. Of a run
    that has nothing there it is where it would lie.
    """
    recorded = steps(run.artifact_uri)
    if recorded[-2:] != (run.run_id, ARTIFACTS) or unfit_id(run.run_id):
        return None
    within = folder_within(recorded)
    above = dict.fromkeys((*(recorded[-4:-3] if within else recorded[-3:-2]), run.experiment_id))
    places = [root / step for step in above if _is_plain(step)] + [root]
    if within:
        places = [place / within for place in places]
    found = [place for place in places if is_folder(place / run.run_id / ARTIFACTS)]
    found += [place for place in places[:-1] if is_folder(place)]
    return _own(root, (found or places)[0] / run.run_id / ARTIFACTS)


def beside(home: Path, run: Run) -> Path | None:
    """Where the artifacts of a run lie below the folder that its store was moved to: all of the way that is recorded
    or an end of it, the longest that is there. None where nothing of it is."""
    recorded = steps(run.artifact_uri)
    if recorded[-2:] != (run.run_id, ARTIFACTS) or unfit_id(run.run_id):
        return None
    ends = [recorded[first:] for first in range(len(recorded) - 2) if all(map(_is_plain, recorded[first:]))]
    for given_up in (0, 2, 3):  # a run without artifacts has no folder, and its experiment may have none either
        for end in ends:
            if len(end) > max(given_up, 2) and is_folder(home.joinpath(*end[: len(end) - given_up])):
                return _own(home, home.joinpath(*end))
    return None


def _own(root: Path, folder: Path) -> Path | None:
    """The folder, where no link on the way leads out of the root."""
    return folder if folder.resolve().is_relative_to(root.resolve()) else None


def _is_plain(step: str) -> bool:
    return step != ".." and not any(character in step for character in "/\\\0")
