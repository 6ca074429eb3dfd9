"""What a dry run takes for the database that --init would make: it has nothing, and takes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

from runsync.contract.source import Histories
from runsync.errors import RequestRefused
from runsync.model.experiment import Experiment
from runsync.model.finding import Finding
from runsync.model.not_carried import NotCarried
from runsync.model.place import Place
from runsync.model.run import Batch, ModelVersion, Run, Unreadable
from runsync.workspaces.direct.misfits import Misfit, Refusal
from runsync.workspaces.direct.store import Arrival, Change, ExperimentChange, Query
from runsync.workspaces.documents import Stores
from runsync.workspaces.sql.address import DatabaseAddress
from runsync.workspaces.sql.document_stores import SHAPES
from runsync.workspaces.sql.planned_documents import NoDocuments
from runsync.workspaces.sql.planned_models import NoModels
from runsync.workspaces.sql.planned_traces import NoTraces


class PlannedStore:
    """A `DirectStore` of a database without tables."""

    keeps_duplicates = False

    def __init__(self, address: DatabaseAddress, mlflow: str) -> None:
        self.place = Place("database", address.printable, "", {"database": address.kind})
        self.whereabouts = address.whereabouts
        self.notes = [f"its tables are not there yet: --init has MLflow {mlflow} make them"]

    def close(self) -> None:
        """Nothing is open."""

    def refresh(self) -> None:
        """Nothing to read again."""

    def examine(self) -> Iterator[Finding]:
        """Nothing is told."""
        return iter(())

    def experiments(self) -> list[Experiment]:
        """No experiments."""
        return []

    def unreadable_experiments(self) -> Sequence[Unreadable]:
        """No experiments."""
        return ()

    def batches(self, query: Query) -> Iterator[Batch]:
        """No runs."""
        return iter(())

    def run_counts(self) -> Mapping[str, int]:
        """No runs."""
        return {}

    def has_roots_besides(self, prefix: str) -> bool:
        """No runs."""
        return False

    def histories(self, run_ids: Sequence[str]) -> AbstractContextManager[Histories]:
        """Raises RequestRefused."""
        self._refuse()

    def model_versions(self, run_id: str) -> tuple[ModelVersion, ...]:
        """No model versions."""
        return ()

    @property
    def models(self) -> NoModels:
        """None yet, and room for them."""
        return NoModels()

    @property
    def traces(self) -> NoTraces:
        """Likewise."""
        return NoTraces()

    @property
    def documents(self) -> Stores:
        """None yet, and room for them."""
        return {kind: NoDocuments() for kind in SHAPES}

    def left_behind(self, experiment_ids: Sequence[str]) -> list[NotCarried]:
        """Nothing."""
        return []

    def check_writable(self) -> None:
        """Whoever makes tables may write into them."""

    def default_artifact_root(self, experiment_id: str) -> str:
        """Nothing is told."""
        return ""

    def create_experiment(self, experiment: Experiment) -> str:
        """Raises RequestRefused, as all that writes."""
        self._refuse()

    def change_experiment(self, change: ExperimentChange) -> None:
        """Raises RequestRefused."""
        self._refuse()

    def unfit_experiment(self, name: str, tags: Mapping[str, str]) -> Sequence[Misfit]:
        """Nothing is known of columns that are not there yet."""
        return ()

    def unfit(self, run: Run) -> Refusal | None:
        """Likewise."""

    def write_runs(self, arrivals: Sequence[Arrival]) -> Mapping[str, Refusal]:
        """Raises RequestRefused."""
        self._refuse()

    def change_runs(self, changes: Sequence[Change]) -> None:
        """Raises RequestRefused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RequestRefused(f"{self.place.address} has no tables yet")
