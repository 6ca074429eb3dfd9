"""Runs in their order, some hundred at a time: memory holds the start time and id of each run, and one batch."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from runsync.model.run import RUNNING, Batch, LatestMetric, Problem, Run, Unreadable
from runsync.workspaces.direct.store import Query
from runsync.workspaces.files.inputs import Datasets
from runsync.workspaces.files.layout import (
    META,
    Broken,
    find_experiment,
    find_run,
    is_plain_file,
    is_plain_folder,
    is_run_id,
    printable,
    run_folders,
    why,
)
from runsync.workspaces.files.meta import read_meta, text
from runsync.workspaces.files.read import NO_ID, Pieces, is_half_written, odd_one, read_head, read_run, start_time
from runsync.workspaces.files.read_points import MetricFile, latest, read_pieces
from runsync.workspaces.files.recent import Recent
from runsync.workspaces.files.strays import Strays

BATCH = 200
_LOOKS = 5
TORN = "the last line of its file is not complete: that point is lost"
STOPPED = "it has no meta.yaml: an import or a training run that was stopped while it made the run, or is making it"


class _Place(NamedTuple):
    """A run in the order of a listing."""

    start_time: int
    run_id: str
    experiment: str


@dataclass(slots=True)
class Memory:
    """What is kept of reading runs: points that were read, the metrics (by run id) that cannot be read, and what was
    passed over."""

    strays: Strays
    recent: Recent = field(default_factory=Recent)
    without: dict[str, set[str]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    """The folder of the experiment of a run whose id another run has, too."""


def batches(root: str, query: Query, memory: Memory, is_open: Callable[[], None]) -> Iterator[Batch]:
    """See `DirectStore.batches`; `is_open` is called now and then and may raise. Runs that go away meanwhile are
    skipped."""
    unreadable: list[Unreadable] = []
    places: list[_Place] = []
    for experiment_id in dict.fromkeys(query.experiment_ids):
        folder = find_experiment(root, experiment_id)
        if folder is None:
            continue
        try:
            odd = partial(_judge, root, unreadable, memory.strays)
            places += _listed(folder.path, experiment_id, query, unreadable, odd, is_open)
        except OSError as error:
            unreadable.append(Unreadable(experiment_id, folder.path, f"its runs: {why(error)}", "experiment"))
    places = list(_once(places, unreadable, memory))
    places.sort(reverse=query.newest_first)
    if unreadable:
        yield Batch((), unreadable=tuple(unreadable))
    datasets: dict[str, Datasets] = {}
    for start in range(0, len(places), BATCH):
        is_open()
        batch = _batch(places[start : start + BATCH], datasets, memory)
        if batch.runs or batch.unreadable:
            yield batch


def count_runs(experiment: str) -> int:
    """How many runs an experiment's folder holds, readable or not."""
    return sum(1 for entry in run_folders(experiment) if os.access(f"{entry.path}/{META}", os.F_OK))


def is_recorded_besides(prefix: str, experiment: str) -> bool:
    """Whether a run in an experiment's folder has its artifacts elsewhere than below a prefix (of a URI)."""
    for entry in run_folders(experiment):
        with suppress(Broken, OSError):
            if not text(read_meta(f"{entry.path}/{META}"), "artifact_uri").startswith(prefix):
                return True
    return False


def _listed(
    experiment: str,
    experiment_id: str,
    query: Query,
    unreadable: list[Unreadable],
    odd: Callable[[str], object],
    is_open: Callable[[], None],
) -> Iterator[_Place]:
    for number, (run_id, path) in enumerate(_candidates(experiment, query, odd)):
        if number % 1000 == 0:
            is_open()
        try:
            if not is_plain_folder(path):
                raise Broken("it is a link, and links are not followed")
            meta = read_head(path, experiment_id, run_id)
            began = start_time(meta)
            stage = text(meta, "lifecycle_stage") or "active"
        except FileNotFoundError:
            if is_half_written(path):
                unreadable.append(Unreadable(run_id, path, STOPPED))
        except (Broken, OSError) as error:
            unreadable.append(Unreadable(run_id, path, why(error)))
        else:
            if _is_meant(query, began, stage):
                yield _Place(began, run_id, experiment)


def _once(places: Sequence[_Place], unreadable: list[Unreadable], memory: Memory) -> Iterator[_Place]:
    """Each run id once: of runs that have the same one, as copied folders have, the first is taken."""
    if len({place.run_id for place in places}) == len(places):
        yield from places
        return
    homes: dict[str, str] = {}
    for place in places:
        home = homes.setdefault(place.run_id, place.experiment)
        if home == place.experiment:
            yield place
        else:
            memory.homes[place.run_id] = home
            taken = f"{home}/{place.run_id} has the same run id: move one of the two away"
            unreadable.append(Unreadable(place.run_id, f"{place.experiment}/{place.run_id}", taken))


def _judge(root: str, unreadable: list[Unreadable], strays: Strays, path: str) -> None:
    """What has a name that no run has is a failed item, unless it is a copy of a run that is there, or no run."""
    inside = odd_one(path, "run_id", "run_uuid")
    if inside is None or find_run(root, inside, path.rpartition("/")[0]):
        strays.note(path)
    else:
        unreadable.append(Unreadable(inside or printable(path.rpartition("/")[2]), printable(path), NO_ID))


def _candidates(experiment: str, query: Query, odd: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    if query.run_ids is None:
        for entry in run_folders(experiment, odd):
            yield entry.name, entry.path
        return
    for run_id in dict.fromkeys(query.run_ids):
        path = f"{experiment}/{run_id}"
        if is_run_id(run_id) and os.access(path, os.F_OK):
            yield run_id, path


def _is_meant(query: Query, start_time: int, stage: str) -> bool:
    return (
        query.state in ("all", stage)
        and (query.since is None or start_time >= query.since)
        and (query.until is None or start_time <= query.until)
    )


def _batch(places: Sequence[_Place], datasets: dict[str, Datasets], memory: Memory) -> Batch:
    runs: list[Run] = []
    files: list[MetricFile] = []
    unreadable: list[Unreadable] = []
    broken: dict[str, list[Problem]] = {}
    for place in places:
        path = f"{place.experiment}/{place.run_id}"
        known = datasets.setdefault(place.experiment, Datasets(place.experiment))
        try:
            run, its_files, pieces = _read(path, place, known)
        except FileNotFoundError:
            continue
        except (Broken, OSError) as error:
            unreadable.append(Unreadable(place.run_id, path, why(error)))
        else:
            runs.append(run)
            files += its_files
            if pieces.broken:
                broken[place.run_id] = pieces.broken
            for stray in pieces.strays:
                memory.strays.note(stray)
    refused: dict[str, set[str]] = {}

    def refuse(file: MetricFile, error: Exception) -> None:
        refused.setdefault(file.run_id, set()).add(file.key)
        if not isinstance(error, FileNotFoundError):
            broken.setdefault(file.run_id, []).append(Problem("metric", file.key, why(error)))

    torn: list[MetricFile] = []
    points = latest(memory.recent.noting(read_pieces(files, refuse, torn.append)))
    going_on = {run.run_id for run in runs if run.status == RUNNING}
    for file in torn:
        if file.run_id not in going_on and file.key not in refused.get(file.run_id, ()):
            broken.setdefault(file.run_id, []).append(Problem("point", file.key, TORN))
    memory.recent.forget(refused)  # of a long file some pieces may have been kept
    for run_id, problems in broken.items():
        memory.without[run_id] = {problem.name for problem in problems if problem.kind == "metric"}
    whole = tuple(_with_latest(run, points.get(run.run_id, ()), refused.get(run.run_id, ())) for run in runs)
    return Batch(whole, {}, tuple(unreadable), {run_id: tuple(of_run) for run_id, of_run in broken.items()})


def _read(path: str, place: _Place, datasets: Datasets) -> tuple[Run, list[MetricFile], Pieces]:
    """A run, read again where it changed meanwhile. Raises FileNotFoundError where it is gone, Broken, OSError."""
    for _ in range(_LOOKS):
        try:
            pieces = Pieces()
            run, files = read_run(path, place.experiment.rpartition("/")[2], place.run_id, datasets, pieces)
            return run, files, pieces
        except FileNotFoundError:
            if not is_plain_file(f"{path}/{META}"):
                raise
    raise Broken("files of it come and go while it is read: run it again")


def _with_latest(run: Run, points: Sequence[LatestMetric], but: Collection[str]) -> Run:
    values: dict[str, Any] = {name: getattr(run, name) for name in Run.__slots__}
    values["latest_metrics"] = tuple(sorted(point for point in points if point.key not in but))
    return Run(**values)
