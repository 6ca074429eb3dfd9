"""What a source and a target must do. A workspace is both, a bundle is both, and the engine knows no more of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from runsync.model.experiment import Experiment
from runsync.model.fields import NEWEST_FIRST, Order
from runsync.model.finding import Finding
from runsync.model.import_options import ImportOptions
from runsync.model.not_carried import NotCarried
from runsync.model.run import ArtifactFile, Batch, Contents, LoggedModel, ModelVersion, Problem, Run, Unreadable
from runsync.model.selection import Selection
from runsync.secrecy import strike_all

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.contract.entities import EntitySource, EntityTarget
    from runsync.contract.workbench import Workbench
    from runsync.kinds.kind import E, Kind
    from runsync.model.progress import Progress


@dataclass(frozen=True, slots=True)
class Place:
    """What a source or target says of itself. It is fit for printing, and stands in manifests: it holds no secret."""

    kind: str
    address: str
    version: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("address", "version", "details"):  # a server may say anything of itself
            object.__setattr__(self, name, strike_all(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Bytes that lie in S3: a target in the same S3 can have them copied there, without fetching them.

    `endpoint` tells which S3; `sha256` (hex) is that of the whole object, `tag` (ETag) that of its present version,
    where they are known.
    """

    endpoint: str
    bucket: str
    key: str
    size: int
    sha256: str | None = None
    tag: str = ""


class Histories(Protocol):
    """The metric history of the runs of one batch."""

    def of(self, run_id: str) -> "Iterator[pa.RecordBatch]":
        """The whole history of one run (see `model.points`). Raises RequestRefused, BundleDamaged; PointsLost (see
        `model.lost_points`) at the end where some points cannot be read."""


Unread = Callable[[Unreadable], object]
"""Told what was met and cannot be read."""


def pass_over(unreadable: Unreadable) -> None:
    """Nothing is made of what cannot be read."""


class Source(Protocol):
    """Yields experiments, runs, metric history and artifacts.

    Methods may be called from several threads. `pool` runs requests side by side; work given to it never waits
    for other work given to it.
    """

    @property
    def place(self) -> Place:
        """What this source is."""

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""

    @property
    def doubts(self) -> list[str]:
        """Artifact roots in which there is nothing of any run that was looked at: what was taken for no artifacts may
        be out of reach."""

    def experiments(self, selection: Selection) -> list[Experiment]:
        """The experiments that a selection means, with tags. Raises NothingSelected."""

    def batches(self, experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """The runs that a selection means, each once, in batches fit for one `Target.put`."""

    def in_order(
        self,
        experiments: Sequence[Experiment],
        selection: Selection,
        order: Sequence[Order] = NEWEST_FIRST,
        limit: int | None = None,
        unread: Unread = pass_over,
    ) -> Iterator[Run]:
        """The first so many runs that a selection means, each once, in the order of `model.ordering`; what is met and
        cannot be read is given to `unread`."""

    def unlike(self, other: "Source", experiments: Sequence[Experiment], selection: Selection) -> Iterator[Batch]:
        """Like `batches`, where it is cheaply known without the runs that are surely the same in the other source."""

    def batch(self, run_ids: Sequence[str], experiments: Sequence[Experiment]) -> Batch:
        """These runs again; a run that is no longer there is left out."""

    def histories(self, batch: Batch, pool: Executor) -> "AbstractContextManager[Histories]":
        """The metric history of a batch's runs; memory stays flat however long it is."""

    def complete(self, batch: Batch, pool: Executor) -> Batch:
        """The batch with what a search does not tell (model inputs), where the source has more to tell."""

    def artifacts(self, run: Run) -> tuple[ArtifactFile, ...]:
        """All files below the run's artifact root, sorted by path. Raises RequestRefused."""

    def seen_artifacts(self, run: Run, contents: Contents | None) -> tuple[ArtifactFile, ...] | None:
        """Likewise, each with the fault that shows without reading it; None where that takes requests for each run.
        `contents` is what its batch tells of it. Raises RequestRefused."""

    def read_artifact(self, run: Run, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file. Raises RequestRefused, BundleDamaged."""

    def locate_artifact(self, run: Run, file: ArtifactFile) -> StoredObject | None:
        """Where in S3 the bytes of one file lie; None when they lie elsewhere. Raises RequestRefused."""

    def model_versions(self, run: Run) -> tuple[ModelVersion, ...]:
        """The versions of registered models that were made of a run, where the source has them."""

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """Those that are there and cannot be read: `experiments` does not give them. Among them may be pieces of those
        that can, and runs in no experiment; known once `experiments` was called."""

    def known_counts(self, experiments: Sequence[Experiment]) -> Mapping[str, int] | None:
        """How many runs each experiment (by id) has, where that costs little; else None."""

    def logged_model(self, run: Run, model_id: str) -> LoggedModel:
        """A logged model that a run wrote, with its files. Raises RequestRefused, BundleDamaged where it is not."""

    def read_model_file(self, model: LoggedModel, file: ArtifactFile) -> Iterator[bytes]:
        """The bytes of one file of a logged model. Raises RequestRefused, BundleDamaged."""

    def left_behind(
        self, experiments: Sequence[Experiment], selection: Selection, artifacts: bool = True
    ) -> list[NotCarried]:
        """Kinds of objects that hang off the source and that this version does not carry, and what the source itself
        lacks of these experiments and of the runs that the selection means; of their files only with `artifacts`."""

    @property
    def is_all(self) -> bool:
        """Whether an experiment that it neither lists nor tells as unreadable is not there: not so of a snapshot of
        some, or of one whose export could not read some."""

    def entities(self, kind: "Kind[E]") -> "EntitySource[E] | None":
        """Those of a kind; None where it cannot have any."""

    @property
    def kept(self) -> Mapping[str, Any]:
        """What of every kind was asked for when a snapshot was made, by the names of options (see `kinds.asked`)."""


CREATE = "create"
UPDATE = "update"
UNCHANGED = "unchanged"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one run. `target_id` is the run's id in the target, where it has one already; `problems`
    tell what cannot be done for it, whatever the action does; `retry` is as in `Outcome`."""

    run_id: str
    action: str
    target_id: str = ""
    error: str = ""
    problems: tuple[Problem, ...] = ()
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with one run, experiment or further object.

    `points`, `artifacts` and `bytes` count what was written. With `action` FAILED nothing can be said to be whole;
    otherwise `problems` tell which pieces did not arrive. `retry`: another try may bring (some of) what did not.
    """

    kind: str
    source_id: str
    name: str
    action: str
    target_id: str = ""
    points: int = 0
    artifacts: int = 0
    bytes: int = 0
    problems: tuple[Problem, ...] = ()
    error: str = ""
    retry: bool = False


class Target(Protocol):
    """Takes what a source yields. `plan` and `put` may be called from several threads."""

    @property
    def place(self) -> Place:
        """What this target is."""

    def begin(self, source: Source, selection: Selection, experiments: Sequence[Experiment]) -> list[Outcome]:
        """Looks at what is there already and says what is to be done with each experiment; writes nothing."""

    def prepare(self) -> list[Outcome]:
        """Makes ready to take runs (experiments are made), and says what was done with each experiment."""

    def plan(self, batch: Batch) -> list[Step]:
        """What is to be done with each run of a batch, in its order; reads, but writes nothing."""

    def foresee_experiments(self) -> list[Outcome]:
        """What is to be done with each experiment, for a dry run: with those that will be refused, as far as that shows
        without writing."""

    def foresee(self, batch: Batch, steps: Sequence[Step], source: Source) -> list[Step]:
        """The same steps, with what will not arrive, likewise."""

    def foresee_end(self) -> None:
        """Likewise, of what only shows once all runs are known: `cannot_keep` tells it then."""

    def put(
        self, batch: Batch, steps: Sequence[Step], source: Source, pool: Executor, progress: "Progress"
    ) -> list[Outcome]:
        """Does it. One run's failure is an outcome; only what stops everything (no answer, disk full) is raised.

        A run without an outcome gets it from `finish`.
        """

    def finish(self, not_carried: Sequence[NotCarried]) -> list[Outcome]:
        """Does what can only be done once all runs are in, and marks the whole as finished."""

    def cannot_keep(self) -> list[NotCarried]:
        """What of the things planned or put this kind of target has no place for."""

    def notes(self) -> list[str]:
        """Sentences for the report: what else is worth knowing of what was planned or put."""

    def entities(self, kind: "Kind[E]") -> "EntityTarget[E] | None":
        """Takes those of a kind; None where there is no place for any."""


@dataclass(frozen=True, slots=True)
class DeletedBefore:
    """Runs of a deleted experiment that were deleted before it was. `is_all`: there were surely no others."""

    run_ids: tuple[str, ...]
    is_all: bool


class BulkChanges(Protocol):
    """Deletes and restores by time within the workspace itself, as Databricks does. Each gives how many runs it was.

    A request whose answer is lost may have been done all the same; it raises RequestRefused or WorkspaceUnreachable.
    """

    keeps_days: int
    """How long a deleted run is kept."""

    def delete_runs(self, experiment_id: str, max_timestamp_millis: int, max_runs: int) -> int:
        """Those created at or before a time."""

    def restore_runs(self, experiment_id: str, min_timestamp_millis: int, max_runs: int) -> int:
        """Those deleted at or after a time."""


class Editor(Protocol):
    """Changes runs and experiments where they lie.

    Methods may be called from several threads, and again for what is done already; each raises RequestRefused.
    """

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""

    @property
    def bulk(self) -> BulkChanges | None:
        """None where the workspace has nothing of the kind."""

    def deleted_at(self, run: Run) -> int | None:
        """When a deleted run was deleted, in epoch milliseconds; None where that is not told."""

    def is_unfinished(self, run: Run) -> bool:
        """Whether a restoration that was cut short left something to do on a run that is active again."""

    def is_half_restored(self, experiment: Experiment, runs: Sequence[Run]) -> bool:
        """Whether a restoration that was cut short left runs of an active experiment (all are given) to be put back."""

    def rename_run(self, run_id: str, name: str) -> None:
        """Gives it another name."""

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags, whole or not at all. A deleted run is refused."""

    def untag_run(self, run_id: str, keys: Sequence[str]) -> None:
        """Takes tags away that it has. A deleted run is refused."""

    def delete_run(self, run_id: str, at: int | None) -> None:
        """Marks it as deleted; `at` is kept as the time of the deletion, unless the workspace keeps its own."""

    def restore_run(self, run: Run) -> None:
        """Makes it active again."""

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """Gives it another name, which no other may have, not even a deleted one."""

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""

    def untag_experiment(self, experiment_id: str, keys: Sequence[str]) -> None:
        """Takes tags away that it has."""

    def delete_experiment(self, experiment: Experiment, at: int, deleted_runs: Sequence[str]) -> None:
        """Marks it and all its runs as deleted; `deleted_runs` (those deleted before) are remembered."""

    def restore_experiment(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Makes it active again, with all its runs; `deleted_runs` (to be deleted again) are remembered."""

    def put_back(self, run: Run) -> None:
        """Deletes a run again that came back with its experiment."""

    def forget_deletion(self, experiment: Experiment, deleted_runs: Sequence[str]) -> None:
        """Takes away what was remembered, once those runs are deleted again."""

    def deleted_before(self, experiment: Experiment, runs: Sequence[Run]) -> DeletedBefore:
        """Which runs of a deleted experiment (all are given) were deleted before it was; also after it was restored,
        as long as that is unfinished."""


class Workspace(Source, Protocol):
    """Where runs live: a source that can also be written to and changed."""

    @property
    def notes(self) -> list[str]:
        """What its user should hear of how it was reached."""

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """The same for two workspaces that are one and the same, however their addresses are spelled."""

    def target(self, options: ImportOptions) -> Target:
        """Takes one import or sync."""

    def editor(self) -> Editor:
        """Changes runs and experiments. Raises WrongUsage where that cannot be done."""

    @property
    def workbench(self) -> "Workbench | None":
        """Where its notebooks run; None where it has none."""

    def examine(self) -> Iterator[Finding]:
        """Who we are there, and what will and will not work, each as soon as it is known. Nothing is written.

        Raises WorkspaceError where it cannot go on.
        """

    def close(self) -> None:
        """Lets go of connections; what still waits raises Interrupted."""
