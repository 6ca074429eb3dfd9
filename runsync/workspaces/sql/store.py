"""A database as a store: see `workspaces.direct.store.DirectStore`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

from runsync.contract.source import Histories
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import Batch, ModelVersion, Run, Unreadable
from runsync.workspaces.direct.misfits import Misfit, Refusal
from runsync.workspaces.direct.models import ModelStore
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange, Query
from runsync.workspaces.direct.traces import TraceStore
from runsync.workspaces.documents import Stores
from runsync.workspaces.sql import address, read_points, registry, schema
from runsync.workspaces.sql.change import change_runs
from runsync.workspaces.sql.database import Database
from runsync.workspaces.sql.document_stores import stores
from runsync.workspaces.sql.fits import Fits
from runsync.workspaces.sql.leftovers import left_behind
from runsync.workspaces.sql.models import SqlModels
from runsync.workspaces.sql.part import Part
from runsync.workspaces.sql.read import Reader
from runsync.workspaces.sql.rights import require_rights
from runsync.workspaces.sql.trace_store import SqlTraces
from runsync.workspaces.sql.write import RunWriter
from runsync.workspaces.sql.write_experiments import ExperimentWriter

PROXIED = "mlflow-artifacts:/"
"""The artifact root that MLflow servers give when they are told no other."""


def open_store(url: str) -> "SqlStore":
    """Opens a database that MLflow made. Raises WrongUsage, WorkspaceUnreachable, AccessDenied."""
    return SqlStore(Database(address.parse(url)))


class SqlStore:
    """One database, or one MLflow workspace of it."""

    keeps_duplicates = False

    def __init__(self, database: Database) -> None:
        self._database = database
        try:
            self._schema = schema.reflect(database)
        except BaseException:
            database.close()
            raise
        self._reader = Reader(database, self._schema)
        self._unreadable: tuple[Unreadable, ...] | None = None

    @cached_property
    def place(self) -> Place:
        """What it is; its address holds no secret."""
        details = {"database": self._database.kind}
        return Place("database", self._database.address.printable, self._schema.revision, details)

    @property
    def whereabouts(self) -> tuple[str, ...]:
        """See `Workspace`."""
        return self._database.address.whereabouts

    @property
    def notes(self) -> list[str]:
        """Nothing to note of a database."""
        return []

    def close(self) -> None:
        """Lets go of it; what still waits raises Interrupted."""
        self._database.close()

    def refresh(self) -> None:
        """What is read from now on is as it is now."""
        self._database.refresh()
        self._unreadable = None

    def examine(self) -> Iterator[Finding]:
        """See `sql.examine`."""
        from runsync.workspaces.sql.examine import examine

        return examine(self._database, self._schema)

    def experiments(self) -> list[Experiment]:
        """All of them that can be read, deleted ones too, with tags and times, oldest first."""
        return self._reader.experiments()

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """The others, looked for once: that reads the whole table of runs."""
        found = self._unreadable
        if found is None:
            found = self._unreadable = tuple(self._reader.unreadable_experiments())
        return found

    def batches(self, query: Query) -> Iterator[Batch]:
        """The runs asked for, each once."""
        return self._reader.batches(query)

    def run_counts(self) -> Mapping[str, int]:
        """How many runs each experiment (by id) has, deleted ones too."""
        return self._reader.run_counts()

    def has_roots_besides(self, prefix: str) -> bool:
        """Whether a run, deleted ones too, has its artifacts elsewhere than below a prefix."""
        return self._reader.has_roots_besides(prefix)

    def histories(self, run_ids: Sequence[str]) -> AbstractContextManager[Histories]:
        """The metric history of these runs, asked for in this order."""
        return read_points.histories(self._database, run_ids, self._reader.without)

    def model_versions(self, run_id: str) -> tuple[ModelVersion, ...]:
        """Versions of registered models that were made of a run."""
        return registry.model_versions(self._database, self._schema, run_id)

    @cached_property
    def models(self) -> ModelStore:
        """Its logged models and its model registry."""
        return SqlModels(Part(self._database, self._schema))

    @cached_property
    def traces(self) -> TraceStore:
        """Its traces."""
        return SqlTraces(Part(self._database, self._schema))

    @cached_property
    def documents(self) -> Stores:
        """What it has of the kinds that are documents."""
        return stores(Part(self._database, self._schema))

    def left_behind(self, experiment_ids: Sequence[str]) -> list[NotCarried]:
        """Kinds that hang off these experiments and are not carried, counted."""
        return left_behind(self._database)

    def check_writable(self) -> None:
        """Raises WrongUsage or AccessDenied, before anything is written."""
        schema.require_writable(self._schema, self._database.address)
        require_rights(self._database, self._schema)

    def default_artifact_root(self, experiment_id: str) -> str:
        """The artifact location (URI) that a new experiment of this id gets: beside those that are there."""
        for experiment in self.experiments():
            root, _, last = experiment.artifact_location.rpartition("/")
            if last == experiment.experiment_id:
                return f"{root}/{experiment_id}"
        return PROXIED + experiment_id

    @cached_property
    def _fits(self) -> Fits:
        return Fits(self._database, self._schema)

    @cached_property
    def _experiments(self) -> ExperimentWriter:
        return ExperimentWriter(self._database, self._schema, self._fits)

    @cached_property
    def _runs(self) -> RunWriter:
        return RunWriter(self._database, self._schema, self._reader, self._fits)

    def create_experiment(self, experiment: Experiment) -> str:
        """Makes an experiment as it is given and gives its id."""
        return self._experiments.create(experiment)

    def change_experiment(self, change: ExperimentChange) -> None:
        """Changes what is named of an experiment, and nothing else."""
        self._experiments.change(change)

    def unfit_experiment(self, name: str, tags: Mapping[str, str]) -> Sequence[Misfit]:
        """What an experiment would be refused for."""
        return self._fits.of_experiment(name, tags)

    def unfit(self, run: Run) -> Refusal | None:
        """Why a run would be refused, or some of its pieces."""
        return self._fits.refusal(run)

    def write_runs(self, arrivals: Sequence[Arrival]) -> Mapping[str, Refusal]:
        """Writes runs, each whole or not at all. Gives by run id why a run was refused."""
        return self._runs.write(arrivals)

    def change_runs(self, changes: Sequence[Change]) -> None:
        """Changes what is named of runs, and nothing else."""
        change_runs(self._database, self._schema, changes)
