"""An MLflow file store, read and written without MLflow. Listing and reading need read rights only."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runsync.contract.source import Histories
from runsync.errors import ABSENT, AccessDenied, Interrupted, RequestRefused, WorkspaceUnreachable, WrongUsage
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import Batch, ModelVersion, Run, Unreadable
from runsync.workspaces.direct.misfits import Misfit, Refusal
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.recorded import folder_within, is_reached_otherwise, steps
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange, Query
from runsync.workspaces.direct.traces import TraceStore
from runsync.workspaces.documents import Stores
from runsync.workspaces.files import batches, fits, write
from runsync.workspaces.files.layout import (
    ARTIFACTS,
    META,
    METRICS,
    TRASH,
    Broken,
    experiment_folders,
    files_below,
    find_experiment,
    find_run,
    is_file_store,
    is_plain_folder,
    is_run_id,
    local_path,
    why,
)
from runsync.workspaces.files.models import FileModels
from runsync.workspaces.files.read import Experiments, read_experiments
from runsync.workspaces.files.read_points import MetricFile, Piece, history, read_pieces
from runsync.workspaces.files.strays import Strays
from runsync.workspaces.files.trace_store import FileTraces
from runsync.workspaces.files.versions_by_run import versions_by_run
from runsync.workspaces.local_artifacts import is_folder

if TYPE_CHECKING:
    import pyarrow as pa


class FileStore:
    """A `DirectStore` over an `mlruns` folder.

    A folder has no transactions: what is read is as it is in that moment. A run that is deleted meanwhile is skipped.
    """

    keeps_duplicates = True

    def __init__(self, path: Path, create: bool) -> None:
        self.path = path.absolute()
        self._root = str(self.path.resolve())
        self._is_closed = False
        self._strays = Strays(self._root)
        self._memory = _Memory(self._strays)
        self._lock = threading.Lock()
        self._creates = create
        self._is_written = False
        """Nothing is made before something is written, and experiment 0 last of all: the source may have it."""
        self._open(create)
        self.place = Place("file store", str(self.path))

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        return ("file store", self._root)

    @property
    def notes(self) -> list[str]:
        """See `DirectStore`."""
        return self._strays.notes

    def close(self) -> None:
        """See `DirectStore`."""
        if self._creates and self._is_written and not self._is_closed:
            self._add_default()
        self._is_closed = True

    def refresh(self) -> None:
        """See `DirectStore`."""
        with self._lock:
            self._memory = _Memory(self._strays)

    def examine(self) -> Iterator[Finding]:
        """See `DirectStore`."""
        from runsync.workspaces.files.examine import examine

        return examine(self.path, self.models)

    def experiments(self) -> list[Experiment]:
        """See `DirectStore`."""
        return list(self._experiments().experiments)

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """See `DirectStore`."""
        return list(self._experiments().unreadable)

    def batches(self, query: Query) -> Iterator[Batch]:
        """See `DirectStore`."""
        return batches.batches(self._root, query, self._memory.runs, self._check_open)

    def run_counts(self) -> Mapping[str, int]:
        """See `DirectStore`."""
        known = {experiment.experiment_id for experiment in self.experiments()}
        counts: dict[str, int] = {}
        for folder in experiment_folders(self._root):
            if folder.experiment_id in known and folder.experiment_id not in counts:
                counts[folder.experiment_id] = batches.count_runs(folder.path)
        return counts

    def has_roots_besides(self, prefix: str) -> bool:
        """See `DirectStore`."""
        folders = (folder.path for folder in experiment_folders(self._root))
        return any(batches.is_recorded_besides(prefix, path) for path in folders)

    @contextmanager
    def histories(self, run_ids: Sequence[str]) -> Iterator[Histories]:
        """See `DirectStore`."""
        yield _Histories(self._root, self._memory.runs, self._check_open)

    def model_versions(self, run_id: str) -> tuple[ModelVersion, ...]:
        """See `DirectStore`."""
        with self._lock:
            if self._memory.versions is None:
                self._memory.versions = versions_by_run(self._root)
            return self._memory.versions.get(run_id, ())

    @cached_property
    def models(self) -> ModelStore:
        """See `DirectStore`."""
        return FileModels(self._root, self._strays, self._make)

    @cached_property
    def traces(self) -> TraceStore:
        """See `DirectStore`."""
        return FileTraces(self._root, self._strays, self._make)

    @property
    def documents(self) -> Stores:
        """MLflow keeps none of them in files."""
        return {}

    def left_behind(self, experiment_ids: Sequence[str]) -> list[NotCarried]:
        """See `DirectStore`: MLflow keeps nothing in files that is not carried."""
        return []

    def check_writable(self) -> None:
        """See `DirectStore`."""
        for folder in (self._root, f"{self._root}/{TRASH}"):
            if Path(folder).exists() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise AccessDenied(f"{folder} may not be written to: ask its owner for write rights")

    def default_artifact_root(self, experiment_id: str) -> str:
        """See `DirectStore`: what FileStore gives, below the store's own folder."""
        return f"{self.path.as_uri()}/{experiment_id}"

    def artifact_folder(self, run: Run) -> Path | None:
        """Where the artifacts of a run or a logged model lie in this store when they are not where its artifact root
        says: the store was moved, or the experiment is deleted. None where the root is right, or leads elsewhere.

        MLflow makes the folder also when artifacts go elsewhere: an empty one, or none (version control keeps no empty
        ones), says nothing unless the root is that of a store of the same name. Files in it do, also of a run that is
        recorded nowhere, or in what a server proxies; those on S3 are there.

        Of a run that is still to be written they go where its folder will be, when the store was moved or the
        experiment is deleted."""
        uri = run.artifact_uri
        recorded = local_path(uri)
        folder = find_experiment(self._root, run.experiment_id)
        is_right = uri.startswith("s3://") or (recorded is not None and is_folder(Path(recorded)))
        if is_right or folder is None:
            return None
        within = folder_within(steps(uri))
        below = f"{within}/{run.run_id}" if within else run.run_id
        levels = below.count("/")
        path = f"{folder.path}/{below}"
        if is_run_id(run.run_id) and (is_plain_folder(path) or not os.path.lexists(path)):
            here = Path(path, ARTIFACTS)
            has_files = is_plain_folder(str(here)) and any(here.iterdir())
            was_moved = recorded is None or not is_folder(_above(Path(recorded), 2 + levels))
            is_of_store = steps(uri)[-4 - levels : -3 - levels] == (self.path.name,) and not is_reached_otherwise(uri)
            if has_files or (is_of_store and was_moved):
                return here
        is_of_here = recorded == f"{self.path}/{folder.experiment_id}/{below}/{ARTIFACTS}"
        return Path(path, ARTIFACTS) if folder.is_deleted and is_of_here else None

    def create_experiment(self, experiment: Experiment) -> str:
        """See `DirectStore`."""
        self._make()
        return write.create_experiment(self._root, experiment)

    def change_experiment(self, change: ExperimentChange) -> None:
        """See `DirectStore`."""
        write.change_experiment(self._root, change)

    def unfit_experiment(self, name: str, tags: Mapping[str, str]) -> Sequence[Misfit]:
        """See `DirectStore`."""
        return write.unfit_experiment(name, tags)

    def unfit(self, run: Run) -> Refusal | None:
        """See `DirectStore`."""
        return fits.refusal(run)

    def write_runs(self, arrivals: Sequence[Arrival]) -> Mapping[str, Refusal]:
        """See `DirectStore`."""
        self._check_open()
        self._memory.runs.recent.forget([arrival.run.run_id for arrival in arrivals])
        return write.write_runs(self._root, arrivals)

    def change_runs(self, changes: Sequence[Change]) -> None:
        """See `DirectStore`."""
        write.change_runs(self._root, changes)

    def _open(self, create: bool) -> None:
        try:
            if Path(self._root, META).exists():
                raise WrongUsage(_too_deep(Path(self._root)))
            if create and not (self.path.is_dir() and any(self.path.iterdir())):
                return
            if not self.path.is_dir():
                raise WorkspaceUnreachable(f"there is no folder {self._root}")
            if not is_file_store(self.path):
                next(self.path.iterdir(), None)  # raises where it may not be read
                raise WorkspaceUnreachable(
                    f"{self._root} is no file store of MLflow: it holds no experiment (<id>/meta.yaml)"
                )
        except PermissionError as error:
            raise AccessDenied(f"{self._root} cannot be opened: {why(error)}") from error

    def _make(self) -> None:
        self._is_written = True
        if self._creates:
            try:
                Path(self._root, TRASH).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AccessDenied(f"{self._root} cannot be made: {why(error)}") from error

    def _add_default(self) -> None:
        """The experiment that MLflow itself makes in an empty store, and needs for runs without another."""
        if any(e.experiment_id == "0" or e.name == "Default" for e in read_experiments(self._root).experiments):
            return
        now = int(time.time() * 1000)
        location = self.default_artifact_root("0")
        write.create_experiment(
            self._root, Experiment("0", "Default", "active", location, creation_time=now, last_update_time=now)
        )

    def _experiments(self) -> Experiments:
        with self._lock:
            if self._memory.experiments is None:
                self._memory.experiments = read_experiments(self._root)
                for path in self._memory.experiments.strays:
                    self._strays.note(path)
            return self._memory.experiments

    def _check_open(self) -> None:
        if self._is_closed:
            raise Interrupted("stopped")


class _Memory:
    """What was read and stays so until `refresh`."""

    def __init__(self, strays: Strays) -> None:
        self.experiments: Experiments | None = None
        self.versions: dict[str, tuple[ModelVersion, ...]] | None = None
        self.runs = batches.Memory(strays)


class _Histories:
    """The metric history of runs that mostly lie in the same experiment."""

    def __init__(self, root: str, memory: batches.Memory, check_open: Callable[[], None]) -> None:
        self._root = root
        self._memory = memory
        self._check_open = check_open
        self._last = ""

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """See `Histories`. Raises RequestRefused."""
        kept = self._memory.recent.of(run_id)
        for batch in history(self._read(run_id) if kept is None else kept):
            self._check_open()
            yield batch

    def _read(self, run_id: str) -> Iterator[Piece]:
        folder = find_run(self._root, run_id, self._memory.homes.get(run_id, self._last))
        if folder is None:
            raise RequestRefused(f"run {run_id} is no longer there", 404, ABSENT)
        self._last = folder.rpartition("/")[0]
        without = self._memory.without.get(run_id, ())  # told with the run already
        try:
            found = files_below(f"{folder}/{METRICS}")
            if fresh := [reason for key, reason in found.broken.items() if key not in without]:
                raise Broken(fresh[0])
        except (Broken, OSError) as error:
            raise RequestRefused(f"metrics of run {run_id} cannot be read: {why(error)}") from error
        files = [MetricFile(run_id, key, path) for key, path in found.files if key not in without]
        yield from read_pieces(files, _refuse)


def _above(path: Path, levels: int) -> Path:
    """So many folders above; the root has itself above it."""
    for _ in range(levels):
        path = path.parent
    return path


def _too_deep(folder: Path) -> str:
    """What to give in place of the folder of one experiment or one run."""
    if Path(folder.parent, META).exists():
        what, store, only = "run", folder.parents[1], f"--experiment {folder.parent.name} --run {folder.name}"
    else:
        what, store, only = "experiment", folder.parent, f"--experiment {folder.name}"
    store = store.parent if store.name == TRASH else store
    return f"{folder} is one {what} of a file store, and not the store: give {store}, with {only} to take only this one"


def _refuse(file: MetricFile, error: Exception) -> None:
    raise RequestRefused(f"metric {ascii(file.key)[1:-1]} of run {file.run_id} cannot be read: {why(error)}") from error
