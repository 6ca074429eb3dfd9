"""Logged models of MLflow 3 as the files tell them.

A line of a metric is `timestamp value step run`, and behind that the name and digest of a dataset where it was measured
on one. MLflow itself reads no line of a dataset with a space in its name, and writes such lines.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runsync.kinds.logged_models import PENDING, STATUSES, LoggedModel, ModelMetric
from runsync.model.experiment import DELETED
from runsync.workspaces.direct.models import Recorded
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    META,
    METRICS,
    MODELS,
    PARAMS,
    TAGS,
    Broken,
    entries_of,
    files_below,
    is_plain_file,
    is_plain_folder,
    is_run_id,
    local_path,
    read_text,
    why,
)
from runsync.workspaces.files.meta import integer, read_meta, text
from runsync.workspaces.files.read import sound_texts
from runsync.workspaces.files.strays import Strays, is_stray

_BOUND = 2**63


def model_folders(experiment: str, strays: Strays) -> Iterator[tuple[str, str]]:
    """Ids and paths of what may be logged models in the folder of an experiment, links too. Raises Broken,
    OSError."""
    if Path(experiment, MODELS).is_symlink():
        raise Broken("the folder of its logged models is a link, and links are not followed")
    for entry in entries_of(f"{experiment}/{MODELS}"):
        if is_stray(entry.name):
            strays.note(entry.path)
        elif entry.is_symlink() or is_plain_file(f"{entry.path}/{META}"):
            yield entry.name, entry.path


def find_model(experiment: str, model_id: str) -> str | None:
    """The folder of a logged model in that of an experiment."""
    folder = f"{experiment}/{MODELS}/{model_id}"
    is_there = is_run_id(model_id) and is_plain_folder(folder) and is_plain_file(f"{folder}/{META}")
    return folder if is_there and is_plain_folder(f"{experiment}/{MODELS}") else None


def read_head(folder: str, experiment_id: str, model_id: str) -> dict[str, Any] | None:
    """What the meta.yaml of a logged model says; None for one that was deleted. Raises Broken, OSError."""
    if not is_plain_folder(folder):
        raise Broken("it is a link, and links are not followed")
    meta = read_meta(f"{folder}/{META}")
    if text(meta, "lifecycle_stage") == DELETED:
        return None
    if text(meta, "model_id") != model_id:
        raise Broken(f"its meta.yaml is that of logged model {text(meta, 'model_id')!a}")
    if text(meta, "experiment_id") != experiment_id:
        raise Broken(f"its meta.yaml says that it is of experiment {text(meta, 'experiment_id')!a}")
    return meta


def read_model(
    folder: str, experiment_id: str, meta: Mapping[str, Any], strays: Strays, broken: dict[str, str]
) -> Recorded[LoggedModel]:
    """One, without params, tags and metrics that cannot be read: why, goes into `broken`. Raises Broken, OSError."""
    number = integer(meta, "status") or 1
    item = LoggedModel(
        text(meta, "model_id"),
        experiment_id,
        text(meta, "name"),
        text(meta, "model_type"),
        text(meta, "source_run_id"),
        STATUSES[number - 1] if 1 <= number <= len(STATUSES) else PENDING,
        text(meta, "status_message"),
        integer(meta, "creation_timestamp"),
        integer(meta, "last_updated_timestamp"),
        sound_texts(folder, PARAMS, strays, broken),
        sound_texts(folder, TAGS, strays, broken),
        read_metrics(folder, strays, broken),
    )
    return Recorded(item, text(meta, "artifact_location") or f"{folder}/{ARTIFACTS}")


def read_metrics(folder: str, strays: Strays, broken: dict[str, str]) -> tuple[ModelMetric, ...]:
    """The points of a logged model, but for metrics that cannot be read. Raises Broken, OSError."""
    found = files_below(f"{folder}/{METRICS}")
    for stray in found.strays:
        strays.note(stray)
    broken |= {f"metric {key}": reason for key, reason in found.broken.items()}
    points: dict[tuple[Any, ...], ModelMetric] = {}
    for key, path in found.files:
        try:
            of_key = list(points_in(key, read_text(path)))
        except FileNotFoundError:
            raise
        except (Broken, OSError) as error:
            broken[f"metric {key}"] = why(error).removeprefix(f"metric {key}: ")
            continue
        for point in of_key:
            known = points.setdefault(identity(point), point)
            if _size(point) > _size(known):
                points[identity(point)] = point
    return tuple(sorted(points.values(), key=identity))


def points_in(key: str, content: str) -> Iterator[ModelMetric]:
    """Those of the file of a metric. Raises Broken."""
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                yield _point(key, line.split(" "))
            except ValueError as error:
                raise Broken(f"metric {key}: line {number} of its file is not as MLflow writes it") from error


def identity(point: ModelMetric) -> tuple[Any, ...]:
    """A file has one value at each: of more than one MLflow tells the greatest."""
    return (*point.place, point.dataset_name, point.dataset_digest)


def is_here(uri: str) -> bool:
    """Whether a recorded place is a folder of this machine."""
    path = local_path(uri)
    return path is not None and is_plain_folder(path)


def _point(key: str, parts: list[str]) -> ModelMetric:
    """Raises ValueError."""
    time, value, step, run_id, *dataset = parts
    point = ModelMetric(key, float(value), int(time), int(step), run_id, " ".join(dataset[:-1]), "".join(dataset[-1:]))
    if not run_id or len(dataset) == 1 or not all(-_BOUND <= n < _BOUND for n in (point.timestamp, point.step)):
        raise ValueError
    return point


def _size(point: ModelMetric) -> float:
    return 0.0 if math.isnan(point.value) else point.value
