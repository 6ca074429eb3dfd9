"""What a store that is reached without a server must do; source, target and editor are made of it once for all.

A store keeps ids and all times exactly as they are given. It knows runs, params, tags, points and inputs; where
artifact bytes lie, and what an import or a deletion means, is not its concern.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from runsync.contract.source import Histories
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding
from runsync.model.identity import RUN_NAME
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import Batch, ModelVersion, Run, Unreadable
from runsync.workspaces.direct.misfits import Misfit, Refusal

if TYPE_CHECKING:
    import pyarrow as pa

    from runsync.workspaces.direct.models import ModelStore
    from runsync.workspaces.direct.traces import TraceStore
    from runsync.workspaces.documents import Stores


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs are asked for. `run_ids` None: all; `state` is active, deleted or all; bounds of the start time are
    inclusive, in epoch milliseconds. Oldest first, or newest first; of the same start time by run id."""

    experiment_ids: tuple[str, ...]
    run_ids: tuple[str, ...] | None = None
    state: str = "all"
    since: int | None = None
    until: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """A run to be written as it is: its id, experiment, times, lifecycle stage, deletion time and artifact root.

    Params, tags and inputs that it names are set, others stay. `points` (see `model.points`, without exact
    duplicates where the store keeps none) are added to those that are there; tags of the keys in `untagged` are taken
    away; `is_new` tells that the run is not there yet. One that is there in another experiment is moved, with the
    inputs it has. The latest metrics are worked out by the store, by MLflow's own order: greatest step, then timestamp,
    then value (NaN as 0).
    """

    run: Run
    is_new: bool
    points: Iterable["pa.RecordBatch"] = ()
    untagged: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed of a run that is there; all else of it stays as it is in that moment, whoever wrote it.

    `name` and `lifecycle_stage` None: they stay. `deleted_time` goes with a lifecycle stage. `tags` are set, those of
    the keys in `untagged` are taken away (one that is not there is no fault).
    """

    run_id: str
    name: str | None = None
    lifecycle_stage: str | None = None
    deleted_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    untagged: Sequence[str] = ()

    @property
    def all_tags(self) -> Mapping[str, str]:
        """With the one that repeats a new name."""
        return self.tags if self.name is None else {**self.tags, RUN_NAME: self.name}


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """The same of an experiment: None stays as it is. Times are epoch milliseconds."""

    experiment_id: str
    name: str | None = None
    lifecycle_stage: str | None = None
    creation_time: int | None = None
    last_update_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    untagged: Sequence[str] = ()


class DirectStore(Protocol):
    """A file store or a database.

    Methods may be called from several threads. Reading happens in one consistent state of the store, as far as it has
    such a thing (a transaction that began with the first read), until `refresh`. What is written by this process is
    read back after `refresh`.
    """

    keeps_duplicates: bool
    """Whether a history may hold exactly the same point twice."""

    @property
    def place(self) -> Place:
        """What it is; its address holds no secret."""

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""

    @property
    def notes(self) -> list[str]:
        """What its user should hear of what was met in reading."""

    def close(self) -> None:
        """Lets go of it; what still waits raises Interrupted."""

    def refresh(self) -> None:
        """What is read from now on is as it is now."""

    # Reading: needs no right to write.

    def examine(self) -> Iterator[Finding]:
        """What this kind of store alone can tell: which it is, who we are there, how quickly it answers."""

    def experiments(self) -> list[Experiment]:
        """All of them that can be read, deleted ones too, with tags and times, oldest first."""

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """The others."""

    def batches(self, query: Query) -> Iterator[Batch]:
        """The runs asked for, each once, with all that `Run` tells (model inputs and deletion times too), some
        hundred at a time; those that are met and cannot be read are told in `Batch.unreadable`."""

    def run_counts(self) -> Mapping[str, int]:
        """How many runs each experiment (by id) has, deleted ones too, where that costs less than reading them."""

    def has_roots_besides(self, prefix: str) -> bool:
        """Whether any run, deleted ones too, has its artifacts elsewhere than below a prefix (of a URI)."""

    def histories(self, run_ids: Sequence[str]) -> AbstractContextManager[Histories]:
        """The metric history of these runs, asked for in this order; memory stays flat however long it is. Points
        stand as the store holds them, exact duplicates too."""

    def model_versions(self, run_id: str) -> tuple[ModelVersion, ...]:
        """Versions of registered models that were made of a run."""

    @property
    def models(self) -> "ModelStore":
        """Its logged models and its model registry."""

    @property
    def traces(self) -> "TraceStore":
        """Its traces."""

    @property
    def documents(self) -> "Stores":
        """What it has of the kinds that are documents."""

    def left_behind(self, experiment_ids: Sequence[str]) -> list[NotCarried]:
        """Kinds that hang off these experiments and are not carried, counted."""

    # Writing. Raises RequestRefused for what this store cannot take, with the way out.

    def check_writable(self) -> None:
        """Raises WrongUsage or AccessDenied, before anything is written, when this store cannot be written to (its
        version is none that is known, rights are missing), with the way out."""

    def default_artifact_root(self, experiment_id: str) -> str:
        """The artifact location (URI) that a new experiment of this id gets; "" where the store does not tell."""

    def create_experiment(self, experiment: Experiment) -> str:
        """Makes an experiment as it is given and gives its id: the one asked for where that is free and fits ("":
        any), else a new one. `artifact_location` may hold `{experiment_id}`, which the id is put in for. Raises
        RequestRefused where the name is taken, also by a deleted one, and Unfit."""

    def change_experiment(self, change: ExperimentChange) -> None:
        """Changes what is named of an experiment, and nothing else. Raises RequestRefused where its new name is taken,
        also by a deleted one, and Unfit."""

    def unfit_experiment(self, name: str, tags: Mapping[str, str]) -> Sequence[Misfit]:
        """What an experiment would be refused for, as far as that shows without writing."""

    def unfit(self, run: Run) -> Refusal | None:
        """Why a run would be refused, or some of its pieces, likewise."""

    def write_runs(self, arrivals: Sequence[Arrival]) -> Mapping[str, Refusal]:
        """Writes runs, each whole or not at all (also when killed); many in one transaction. Gives by run id why a run
        was refused, with the pieces of it that do not fit; the others are in."""

    def change_runs(self, changes: Sequence[Change]) -> None:
        """Changes runs, in one transaction as far as the store has such a thing. A new name goes into the tag that
        repeats it, too."""
