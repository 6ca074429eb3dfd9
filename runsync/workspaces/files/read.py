"""Experiments and runs as the files tell them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runsync.model.experiment import ACTIVE, DELETED, Experiment
from runsync.model.identity import RUN_NAME
from runsync.model.run import Run
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
    is_plain_folder,
    read_text,
)
from runsync.workspaces.files.meta import integer, read_meta, text
from runsync.workspaces.files.read_points import MetricFile

STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""RunStatus in MLflow's service.proto."""


def read_experiments(root: str) -> tuple[list[Experiment], dict[str, str]]:
    """All experiments, oldest first, and by folder why others cannot be read."""
    found: dict[str, Experiment] = {}
    problems: dict[str, str] = {}
    if Path(root, TRASH).is_symlink():
        problems[TRASH] = "it is a link, and links are not followed"
    for folder in experiment_folders(root):
        name = folder.path[len(root) + 1 :]
        try:
            if folder.experiment_id in found:
                raise Broken("an active experiment of the same id hides it")
            found[folder.experiment_id] = read_experiment(folder)
        except FileNotFoundError:
            if is_plain_folder(folder.path):
                problems[name] = "it has no meta.yaml"
        except (Broken, OSError) as error:
            problems[name] = why(error)
    return sorted(found.values(), key=lambda e: (e.creation_time or 0, e.experiment_id)), problems


def read_experiment(folder: Folder) -> Experiment:
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
        integer(meta, "creation_time"),
        integer(meta, "last_update_time"),
        read_texts(folder.path, TAGS),
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


def read_run(folder: str, experiment_id: str, run_id: str, datasets: Datasets) -> tuple[Run, list[MetricFile]]:
    """A run without its latest metrics, and its metric files. Raises Broken, OSError."""
    meta = read_head(folder, experiment_id, run_id)
    there = set(_folders_of_run(folder))
    tags = read_texts(folder, TAGS) if TAGS in there else {}
    read, models = dataset_and_model_inputs(folder, datasets) if INPUTS in there else ((), ())
    run = Run(
        run_id=run_id,
        experiment_id=experiment_id,
        name=text(meta, "run_name") or tags.get(RUN_NAME, "") or text(meta, "name"),
        user_id=text(meta, "user_id"),
        status=_status(meta),
        start_time=integer(meta, "start_time"),
        end_time=integer(meta, "end_time"),
        lifecycle_stage=_stage(meta),
        deleted_time=integer(meta, "deleted_time"),
        artifact_uri=text(meta, "artifact_uri"),
        params=read_texts(folder, PARAMS) if PARAMS in there else {},
        tags=tags,
        dataset_inputs=read,
        model_inputs=models,
        model_outputs=model_outputs(folder) if OUTPUTS in there else (),
    )
    files = files_below(f"{folder}/{METRICS}") if METRICS in there else []
    return run, [MetricFile(run_id, key, path) for key, path in files]


def read_texts(folder: str, kind: str) -> dict[str, str]:
    """The values of all params or tags. Raises Broken, OSError."""
    return {key: read_text(path) for key, path in files_below(f"{folder}/{kind}")}


def why(error: Exception) -> str:
    """An error as the reason why something cannot be read, without a path."""
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return str(error)


def _stage(meta: Mapping[str, Any]) -> str:
    stage = text(meta, "lifecycle_stage") or ACTIVE
    if stage not in (ACTIVE, DELETED):
        raise Broken(f"lifecycle_stage {stage!a} in its meta.yaml is none that MLflow knows")
    return stage


def _status(meta: Mapping[str, Any]) -> str:
    status = meta.get("status", 1)
    if isinstance(status, str) and status in STATUSES.values():
        return status
    if not isinstance(status, int) or status not in STATUSES:
        raise Broken(f"status {ascii(status)[:40]} in its meta.yaml is none that MLflow knows")
    return STATUSES[status]


def _folders_of_run(folder: str) -> Iterator[str]:
    """Which of its folders a run has. Raises Broken where one of them leads elsewhere."""
    for entry in entries_of(folder):
        if entry.name in RUN_FOLDERS:
            if entry.is_symlink() and entry.name != ARTIFACTS:
                raise Broken(f"{entry.name} is a link, and links are not followed")
            if entry.is_dir():
                yield entry.name


def is_half_written(folder: str) -> bool:
    """Whether a folder without meta.yaml has what makes a run: an import or a training run that was stopped."""
    return any(entry.name in RUN_FOLDERS for entry in entries_of(folder))
