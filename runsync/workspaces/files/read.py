"""Experiments and runs as the files tell them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import RUN_NAME
from runsync.model.run import RUNNING, Problem, Run, Unreadable
from runsync.workspaces.files.inputs import Datasets, dataset_and_model_inputs, model_outputs
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    INPUTS,
    META,
    METRICS,
    OUTPUTS,
    PARAMS,
    RUN_FOLDERS,
    TAGS,
    TRASH,
    Broken,
    Folder,
    entries_of,
    experiment_folders,
    files_below,
    find_experiment,
    is_plain_file,
    is_plain_folder,
    printable,
    read_text,
    why,
)
from runsync.workspaces.files.meta import integer, read_meta, text
from runsync.workspaces.files.read_points import MetricFile
from runsync.workspaces.files.strays import Strays, is_stray

T = TypeVar("T")
STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""RunStatus in MLflow's service.proto."""
NO_ID = (
    "the name of its folder is no id, so MLflow does not show it either: rename the folder to the id in its meta.yaml"
)


@dataclass(slots=True)
class Experiments:
    """All experiments that can be read, oldest first; `unreadable` tells of the others and of what is broken in these.
    `strays` are the paths of what was passed over."""

    experiments: list[Experiment]
    unreadable: list[Unreadable]
    strays: list[str]


def read_experiments(root: str) -> Experiments:
    """Reads them all."""
    found: dict[str, Experiment] = {}
    result = Experiments([], [], [])

    def refuse(path: str, reason: str, id: str = "") -> None:
        id = id or printable(path.rpartition("/")[2])
        result.unreadable.append(Unreadable(id, printable(path), reason, "experiment"))

    if Path(root, TRASH).is_symlink():
        refuse(f"{root}/{TRASH}", "it is a link, and links are not followed")

    def judge(path: str) -> None:
        inside = odd_one(path, "experiment_id")
        if inside is None or find_experiment(root, inside):
            result.strays.append(path)
        else:
            refuse(path, NO_ID, inside)

    for folder in experiment_folders(root, judge):
        try:
            if folder.experiment_id in found:
                raise Broken("an active experiment of the same id hides it")
            pieces = Pieces()
            experiment = found[folder.experiment_id] = _read_experiment(folder, pieces)
        except FileNotFoundError:
            if is_plain_folder(folder.path):
                refuse(folder.path, "it has no meta.yaml")
        except (Broken, OSError) as error:
            refuse(folder.path, why(error))
        else:
            result.strays += pieces.strays
            told = (experiment.experiment_id, folder.path)
            result.unreadable += [Unreadable.piece(*told, problem, "experiment") for problem in pieces.broken]
    result.experiments = sorted(found.values(), key=lambda e: (e.creation_time or 0, e.experiment_id))
    return result


def odd_one(folder: str, *names: str) -> str | None:
    """The id that the meta.yaml of a folder with a name that is no id gives ("": it cannot be read); None where it has
    no meta.yaml, or is by its name a copy of which nothing more can be told. `names` are those of the field."""
    if not is_plain_file(f"{folder}/{META}"):
        return None
    is_copy = is_stray(folder.rpartition("/")[2])
    try:
        meta = read_meta(f"{folder}/{META}")
        return next((id for name in names if (id := text(meta, name))), "" if not is_copy else None)
    except (Broken, OSError):
        return None if is_copy else ""


@dataclass(slots=True)
class Pieces:
    """What of a run or an experiment is broken, and the paths of what was passed over."""

    broken: list[Problem] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def _read_experiment(folder: Folder, pieces: Pieces) -> Experiment:
    """One experiment with its tags. Raises Broken, OSError."""
    if not is_plain_folder(folder.path):
        raise Broken("it is a link, and links are not followed")
    meta = read_meta(f"{folder.path}/{META}")
    experiment_id = text(meta, "experiment_id")
    if not text(meta, "name"):
        raise Broken("its meta.yaml gives it no name")
    if experiment_id != folder.experiment_id:
        raise Broken(f"its meta.yaml is that of experiment {experiment_id!a}")
    stage = DELETED if folder.is_deleted else _stage(meta)
    return Experiment(
        experiment_id,
        text(meta, "name"),
        stage,
        text(meta, "artifact_location"),
        _or_none(integer, meta, "creation_time", pieces),
        _or_none(integer, meta, "last_update_time", pieces),
        _texts(folder.path, TAGS, pieces),
    )


def read_head(folder: str, experiment_id: str, run_id: str) -> dict[str, Any]:
    """What the meta.yaml of a run says, when it is this run's. Raises Broken, OSError."""
    meta = read_meta(f"{folder}/{META}")
    inside = text(meta, "run_id") or text(meta, "run_uuid")
    if inside != run_id:
        raise Broken(f"its meta.yaml is that of run {inside!a}")
    if text(meta, "experiment_id") != experiment_id:
        raise Broken(f"its meta.yaml says that it is of experiment {text(meta, 'experiment_id')!a}")
    return meta


def read_run(
    folder: str, experiment_id: str, run_id: str, datasets: Datasets, pieces: Pieces
) -> tuple[Run, list[MetricFile]]:
    """A run without its latest metrics, and its metric files; what is broken of it is noted. Raises Broken, OSError."""
    meta = read_head(folder, experiment_id, run_id)
    there = set(_folders_of_run(folder, pieces))
    tags = _texts(folder, TAGS, pieces) if TAGS in there else {}
    read, models = dataset_and_model_inputs(folder, datasets, pieces.broken) if INPUTS in there else ((), ())
    name = _or_none(text, meta, "run_name", pieces) or tags.get(RUN_NAME, "") or _or_none(text, meta, "name", pieces)
    run = Run(
        run_id=run_id,
        experiment_id=experiment_id,
        name=name or "",
        user_id=_or_none(text, meta, "user_id", pieces) or "",
        status=_or_none(_status, meta, "status", pieces) or RUNNING,
        start_time=_or_none(integer, meta, "start_time", pieces),
        end_time=_or_none(integer, meta, "end_time", pieces),
        lifecycle_stage=_stage(meta),
        deleted_time=_or_none(integer, meta, "deleted_time", pieces),
        artifact_uri=text(meta, "artifact_uri"),
        params=_texts(folder, PARAMS, pieces) if PARAMS in there else {},
        tags=tags,
        dataset_inputs=read,
        model_inputs=models,
        model_outputs=model_outputs(folder, pieces.broken) if OUTPUTS in there else (),
    )
    files = _files(f"{folder}/{METRICS}", "metric", pieces) if METRICS in there else []
    return run, [MetricFile(run_id, key, path) for key, path in files]


def start_time(meta: Mapping[str, Any]) -> int:
    """When a run began; 0 where its meta.yaml does not tell, or not as a time."""
    return _or_none(integer, meta, "start_time", Pieces()) or 0


def _or_none(
    read: Callable[[Mapping[str, Any], str], T], meta: Mapping[str, Any], name: str, pieces: Pieces
) -> T | None:
    """One field of a meta.yaml; None, and it is noted, where it is none that MLflow writes."""
    try:
        return read(meta, name)
    except Broken as error:
        pieces.broken.append(Problem("field", name, str(error)))
        return None


def _files(folder: str, kind: str, pieces: Pieces) -> list[tuple[str, str]]:
    """Key and path of each file. Raises Broken, OSError."""
    found = files_below(folder)
    pieces.strays += found.strays
    pieces.broken += [Problem(kind, key, reason) for key, reason in found.broken.items()]
    return found.files


def sound_texts(folder: str, name: str, strays: Strays, broken: dict[str, str]) -> dict[str, str]:
    """All params or tags (by the name of their folder) that can be read; why others cannot goes into `broken`. Raises
    Broken, OSError."""
    pieces = Pieces()
    texts = _texts(folder, name, pieces)
    for stray in pieces.strays:
        strays.note(stray)
    broken |= {f"{problem.kind} {problem.name}": problem.reason for problem in pieces.broken}
    return texts


def _texts(folder: str, name: str, pieces: Pieces) -> dict[str, str]:
    """The values of all params or tags. Raises Broken, OSError."""
    texts = {}
    kind = name.removesuffix("s")
    for key, path in _files(f"{folder}/{name}", kind, pieces):
        try:
            texts[key] = read_text(path)
        except FileNotFoundError:
            raise
        except (Broken, OSError) as error:
            pieces.broken.append(Problem(kind, key, why(error)))
    return texts


def _stage(meta: Mapping[str, Any]) -> str:
    stage = text(meta, "lifecycle_stage") or ACTIVE
    if stage not in (ACTIVE, DELETED):
        raise Broken(f"lifecycle_stage {stage!a} in its meta.yaml is not one that MLflow knows")
    return stage


def _status(meta: Mapping[str, Any], name: str) -> str:
    status = meta.get(name, 1)
    if isinstance(status, str) and status in STATUSES.values():
        return status
    if not isinstance(status, int) or status not in STATUSES:
        raise Broken(f"status {ascii(status)[:40]} in its meta.yaml is not one that MLflow knows")
    return STATUSES[status]


def _folders_of_run(folder: str, pieces: Pieces) -> Iterator[str]:
    """Which of its folders a run has. Raises Broken where one of them leads elsewhere."""
    for entry in entries_of(folder):
        if is_stray(entry.name):
            pieces.strays.append(entry.path)
        if entry.name in RUN_FOLDERS:
            if entry.is_symlink() and entry.name != ARTIFACTS:
                raise Broken(f"{entry.name} is a link, and links are not followed")
            if entry.is_dir():
                yield entry.name


def is_half_written(folder: str) -> bool:
    """Whether a folder without meta.yaml has what makes a run: an import or a training run that was stopped."""
    return any(entry.name in RUN_FOLDERS for entry in entries_of(folder))
